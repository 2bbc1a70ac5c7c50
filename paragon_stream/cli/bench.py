"""`paragon-stream bench`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from paragon_stream.cli.display.sections import SectionedCommand
from paragon_stream.cli.options import SIZE, given, network_options, verbose_option
from paragon_stream.cli.shortcuts.paths import FilePath
from paragon_stream.errors import EngineError, OutputError, ParagonError


@click.command(cls=SectionedCommand)
@click.option("--size", type=SIZE, default="960x540", show_default=True, help="Size of the source frames.")
@click.option(
    "--pix-fmt", default="yuv420p", show_default=True, metavar="F", help="Pixel format of the source."
)
@click.option(
    "--frames",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Number of synthetic frames.",
)
@click.option(
    "--stills",
    type=FilePath(exists=True, file_okay=False, path_type=Path),
    help="Instead of synthetic frames: a folder of pictures, which are shrunk, upscaled and compared.",
)
@click.option("--compare", is_flag=True, help="Measure every installed engine in turn.")
@click.option(
    "--matrix", is_flag=True, help="Measure every variant, engine and precision; print a Markdown table."
)
@click.option(
    "--torch-compile",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    show_default=True,
    help="Whether the engine torch uses torch.compile (auto: on GPUs).",
)
@click.option(
    "--plot", type=FilePath(dir_okay=False, path_type=Path), help="With --matrix: also write an SVG."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@network_options
@verbose_option
def command(
    size: tuple[int, int],
    pix_fmt: str,
    frames: int,
    stills: Path | None,
    compare: bool,
    matrix: bool,
    torch_compile: str,
    plot: Path | None,
    as_json: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Measure an engine on synthetic frames, without decoder and encoder, or on a folder of pictures."""
    from paragon_stream.runtimes.registry import set_torch_compile

    _check_together()
    if plot is not None and not plot.absolute().parent.is_dir():
        raise OutputError(f"the plot cannot be written: {plot.absolute().parent} is not a folder")
    if matrix:
        _matrix([] if stills else [size], stills, pix_fmt, frames, plot, as_json, options)
        return
    if torch_compile != "auto":
        if options["engine"] != "torch":
            raise click.UsageError("--torch-compile goes with --engine torch")
        set_torch_compile(torch_compile == "on")
    if stills is not None:
        _stills(stills, as_json, options)
        return
    if compare and options["engine"] is not None:
        raise click.UsageError("--compare measures every engine: omit --engine")
    _synthetic(size, pix_fmt, frames, options, compare=compare, as_json=as_json)


def _check_together() -> None:
    """Raise UsageError for options that have no effect beside others."""
    context = click.get_current_context()
    chosen = {
        name
        for name in context.params
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    if "plot" in chosen and "matrix" not in chosen:
        raise click.UsageError("--plot goes with --matrix")
    for one, others in (
        ("matrix", ("compare", "torch_compile")),
        ("stills", ("compare", "size", "pix_fmt", "frames")),
        ("compare", ("torch_compile",)),
    ):
        for other in others:
            if one in chosen and other in chosen:
                raise click.UsageError(f"--{other.replace('_', '-')} has no effect with --{one}")


def _synthetic(
    size: tuple[int, int],
    pix_fmt: str,
    frames: int,
    options: dict[str, Any],
    *,
    compare: bool,
    as_json: bool,
) -> None:
    """Measure one engine; with `compare` every installed one, of which some may refuse."""
    from paragon_stream.bench import bench
    from paragon_stream.runtimes import installed_engines
    from paragon_stream.upscaler import UpscalerOptions

    found: list[dict[str, Any]] = []
    failure: ParagonError | None = None
    measured = False
    for engine in installed_engines() if compare else (options["engine"],):
        try:
            result = bench(
                UpscalerOptions(**given(**{**options, "engine": engine})),
                width=size[0],
                height=size[1],
                pixel_format_name=pix_fmt,
                frames=frames,
            )
        except EngineError as error:
            if not compare:
                raise
            failure = error
            found.append({"engine": engine, "refused": str(error)})
            if not as_json:
                click.echo(f"{engine}: {error}")
            continue
        if not as_json:
            if not measured:
                click.echo(
                    f"{result.variant} x{result.scale} ({result.weights}): {result.source} → {result.target}"
                )
            click.echo(
                f"{result.engine}, {result.precision}, {result.device}; "
                f"compiled in {result.compile_seconds:.2f} s"
            )
            click.echo(
                f"{result.fps:.2f} fps over {result.frames} frames; "
                f"one frame alone: {result.latency_ms:.1f} ms; "
                f"{result.cpu_ms_per_frame:.1f} ms of CPU time per frame"
            )
        found.append(asdict(result))
        measured = True
    if as_json:
        click.echo(json.dumps(found if compare else found[0], indent=2))
    if failure is not None and not measured:
        raise failure


def _stills(folder: Path, as_json: bool, options: dict[str, Any]) -> None:
    from paragon_stream.bench.stills import bench_stills
    from paragon_stream.upscaler import UpscalerOptions

    result = bench_stills(UpscalerOptions(**given(**options)), folder)
    if as_json:
        click.echo(json.dumps(asdict(result), indent=2))
        return
    click.echo(
        f"{result.variant} x{result.scale} ({result.weights}), {result.pictures} pictures of "
        f"{result.megapixels:.2f} megapixels on average"
    )
    click.echo(f"{result.engine}, {result.precision}, {result.device}")
    click.echo(
        f"{result.latency_mean_ms:.1f} ms on average, {result.latency_ms:.1f} ms median, "
        f"{result.latency_p95_ms:.1f} ms at 95 %; PSNR-Y {result.psnr_y:.2f} dB, SSIM-Y {result.ssim_y:.4f}"
    )


def _matrix(
    sizes: list[tuple[int, int]],
    stills: Path | None,
    pix_fmt: str,
    frames: int,
    plot: Path | None,
    as_json: bool,
    options: dict[str, Any],
) -> None:
    from paragon_stream.bench.matrix import MatrixRow, as_markdown, as_svg, bench_matrix
    from paragon_stream.upscaler import UpscalerOptions
    from paragon_stream.wholefile import whole_file

    if options["engine"] is not None or options["precision"] is not None:
        raise click.UsageError("--matrix measures every engine and precision: omit --engine and --precision")

    def report(row: MatrixRow) -> None:
        figure = row.refused or f"{row.fps:.1f} fps"
        click.echo(f"{row.variant}, {row.engine}, {row.precision}: {figure}", err=True)

    variant = options["variant"]
    rows = bench_matrix(
        UpscalerOptions(**given(**options)),
        variants=[variant] if variant else ["realtime", "stream"],
        sizes=sizes,
        stills=stills,
        frames=frames,
        pixel_format_name=pix_fmt,
        on_row=report,
    )
    click.echo(json.dumps([asdict(row) for row in rows], indent=2) if as_json else as_markdown(rows))
    if plot is not None:
        with whole_file(plot) as file:
            file.write(as_svg(rows).encode())
