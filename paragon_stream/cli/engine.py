"""`paragon-stream engine build|list|clear`: TensorRT engines, and the disk cache of compiled code."""

from __future__ import annotations

import time
from typing import Any

import click

from paragon_stream.cli.display.sections import SectionedCommand
from paragon_stream.cli.options import SIZE, given, network_options, verbose_option
from paragon_stream.number_text import size

_MATRICES = {"bt709": "BT709", "bt601": "SMPTE170M", "bt2020": "BT2020_NCL"}


@click.group()
def command() -> None:
    """Build TensorRT engines in advance; list and remove the compiled code on this machine."""


@command.command(cls=SectionedCommand)
@click.option("--size", type=SIZE, help="Size of the source frames.")
@click.option(
    "--sizes",
    type=SIZE,
    nargs=3,
    metavar="LEAST BEST MOST",
    help="One engine for all sizes from LEAST to MOST, fastest at BEST.",
)
@click.option(
    "--pix-fmt",
    default="yuv420p",
    show_default=True,
    metavar="F",
    help="Pixel format of the source; GPUs decode to nv12 and p010le.",
)
@click.option("--out-pix-fmt", metavar="F", help="Pixel format of the result (default: that of the source).")
@click.option(
    "--matrix",
    type=click.Choice([*_MATRICES]),
    help="Colour matrix of the source (default: bt601 below 1280 columns and up to 576 rows, else bt709).",
)
@click.option(
    "--range",
    "range_",
    type=click.Choice(["limited", "full"]),
    help="Range of the source (default: limited; RGB full).",
)
@click.option(
    "--chroma",
    type=click.Choice(["left", "center", "topleft"]),
    help="Chroma location of the source (default: left).",
)
@click.option(
    "--sm",
    type=int,
    metavar="N",
    help="Compute capability of the GPU, such as 89 (default: this machine's GPU).",
)
@network_options
@verbose_option
def build(
    size: tuple[int, int] | None,
    sizes: tuple[tuple[int, int], ...],
    pix_fmt: str,
    out_pix_fmt: str | None,
    matrix: str | None,
    range_: str | None,
    chroma: str | None,
    sm: int | None,
    verbose: bool,
    engine: str | None,
    **options: Any,
) -> None:
    """Build the engine for frames of one size or of a range of sizes. With --sm, no GPU is needed
    (tensorrt-rtx only)."""
    from paragon_stream.engine_cache import build_engine
    from paragon_stream.frame import ChromaLocation, ColorRange, ColorSpec, Matrix
    from paragon_stream.framejob.onnx.dynamic import SizeRange
    from paragon_stream.upscaler import UpscalerOptions

    if bool(size) == bool(sizes):
        raise click.UsageError("give either --size or --sizes")
    several = SizeRange(least=sizes[0], best=sizes[1], most=sizes[2]) if sizes else None
    width, height = size or sizes[1]

    begin = time.perf_counter()
    entry = build_engine(
        UpscalerOptions(engine=engine or "tensorrt-rtx", **given(**options)),
        width=width,
        height=height,
        sizes=several,
        pixel_format_name=pix_fmt,
        output_pixel_format_name=out_pix_fmt,
        color=ColorSpec(
            matrix=Matrix[_MATRICES[matrix]] if matrix else Matrix.UNSPECIFIED,
            range=ColorRange(range_) if range_ else None,
            chroma_location=ChromaLocation[(chroma or "unspecified").upper()],
        ),
        sm=sm,
        on_progress=_Lines(),
    )
    state = "exists already" if entry.found else f"built in {time.perf_counter() - begin:.0f} s"
    click.echo(f"{entry.facts['job']}, {entry.facts['precision']}, {entry.facts['gpu']}: {state}")
    click.echo(str(entry.path))


@command.command("list")
def list_() -> None:
    """List the compiled code in the disk cache."""
    from paragon_stream.engine_cache import cached

    entries = cached()
    for entry in entries:
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.made))
        known = ("library", "job", "weights", "precision", "gpu", "architecture")
        facts = ", ".join(entry.facts[name] for name in known if name in entry.facts) or "damaged"
        click.echo(f"{made}  {size(entry.size):>9}  {entry.path.suffix[1:]}: {facts}")
    click.echo(f"{len(entries)} entries" + (f" in {entries[0].path.parent.parent}" if entries else ""))


@command.command()
def clear() -> None:
    """Remove all compiled code. It is compiled again when it is needed."""
    from paragon_stream.engine_cache import clear as clear_all

    click.echo(f"{clear_all()} entries removed")


class _Lines:
    """Shows the progress of a build on standard error, one line for every tenth of a phase."""

    def __init__(self) -> None:
        self._shown: dict[str, int] = {}

    def __call__(self, phase: str, part: float) -> None:
        tenth = int(10 * part)
        if tenth > self._shown.get(phase, -1):
            self._shown[phase] = tenth
            click.echo(f"{phase}: {10 * tenth} %", err=True)
