"""The tables of the documents on this machine: every variant by every engine and precision, on synthetic
frames or on a folder of pictures. torch is measured with and without torch.compile.

Each row is measured in a separate process, so its peak of memory does not include earlier rows.
"""

from __future__ import annotations

import html
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from paragon_stream.checkpoint import list_shipped, load_weights, measured_quality
from paragon_stream.checkpoint.shipped import find_shipped
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.option import options_of
from paragon_stream.runtimes import installed_engines

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
COMPILED = "torch compiled"
_BAR, _LABEL, _ROW = 320, 330, 20


@dataclass(frozen=True, kw_only=True)
class MatrixRow:
    """One network with one engine in one precision. `refused` is the reason if there are no figures.

    `engine` is a value of `--engine`, or "torch compiled". For synthetic frames, `quality` is the published
    quality of the shipped weights in fp32; for pictures, it is measured with this engine and precision.
    """

    variant: str
    scale: int
    engine: str
    precision: str
    size: str
    mean_ms: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    fps: float = 0.0
    cpu_ms: float = 0.0
    peak_bytes: int = 0
    vram_bytes: int | None = None
    device: str = ""
    quality: dict[str, float] = field(default_factory=dict)
    refused: str = ""


def bench_matrix(
    options: UpscalerOptions,
    *,
    variants: Sequence[str],
    sizes: Sequence[tuple[int, int]] = (),
    stills: Path | None = None,
    frames: int = 100,
    pixel_format_name: str = "yuv420p",
    on_row: Callable[[MatrixRow], None] = lambda row: None,
) -> list[MatrixRow]:
    """A row for each variant, installed engine and precision, and each of `sizes` or the pictures in the
    folder `stills`; `options` say all else."""
    sources = [["--stills", str(stills)]] if stills else []
    for width, height in sizes:
        sources.append(
            ["--size", f"{width}x{height}", "--frames", str(frames), "--pix-fmt", pixel_format_name]
        )
    backends = [*installed_engines()]
    if "torch" in backends:
        backends.insert(backends.index("torch") + 1, COMPILED)
    rows = []
    for variant, source, backend, precision in product(variants, sources, backends, PRECISIONS):
        row = _row(options, variant, backend, precision, source)
        rows.append(row)
        on_row(row)
    return rows


def _row(
    options: UpscalerOptions, variant: str, engine: str, precision: str, source: Sequence[str]
) -> MatrixRow:
    name, _, compiled = engine.partition(" ")
    arguments = ["bench", "--json", "--variant", variant, "--engine", name, "--precision", precision, *source]
    if name == "torch":
        arguments += ["--torch-compile", "on" if compiled else "off"]
    for option in options_of(UpscalerOptions).values():
        value = getattr(options, option.name)
        if option.name not in ("variant", "engine", "precision") and value != option.default:
            arguments += [f"--{option.name.replace('_', '-')}", str(value)]
    row = MatrixRow(
        variant=variant, scale=options.scale or 2, engine=engine, precision=precision, size=source[1]
    )
    done = subprocess.run(
        [sys.executable, "-m", "paragon_stream", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        refused = lines[-1].removeprefix("paragon-stream: ") if lines else f"exit code {done.returncode}"
        return replace(row, refused=refused)
    found = json.loads(done.stdout)
    # The default set depends on the pixels' format, so it is named by the measurement.
    name = found["weights"] if options.weights is None else str(options.weights)
    quality = _quality(name, variant, found["scale"])
    if "psnr_y" in found:
        row = replace(
            row, size=f"{Path(source[1]).name}: {found['pictures']} of {found['megapixels']:.2f} MP"
        )
        quality = {"PSNR-Y": found["psnr_y"], "SSIM-Y": found["ssim_y"]}
    return replace(
        row,
        scale=found["scale"],
        precision=found["precision"],
        mean_ms=found["latency_mean_ms"],
        p50_ms=found["latency_ms"],
        p95_ms=found["latency_p95_ms"],
        fps=found["fps"],
        cpu_ms=found["cpu_ms_per_frame"],
        peak_bytes=found["peak_rss_bytes"],
        vram_bytes=found["peak_vram_bytes"],
        device=found["device"],
        quality=quality,
    )


def _quality(name: str, variant: str, scale: int) -> dict[str, float]:
    """The measured quality of the shipped set `name` in fp32; empty if there is none."""
    if variant not in {each.variant for each in list_shipped()}:
        return {}
    shipped = find_shipped(name, variant=variant, scale=scale)
    return measured_quality(shipped, load_weights(shipped.path)) if shipped else {}


def as_markdown(rows: Sequence[MatrixRow]) -> str:
    """A table, and below it the reasons of engines that did not run."""
    on_gpu = any(row.vram_bytes is not None for row in rows)
    vram = " VRAM GB |" if on_gpu else ""
    lines = [
        "| network | source | engine | precision | mean, p50, p95 ms | fps | CPU ms | peak GB |"
        f"{vram} quality |",
        f"|---|---|---|---|---|---|---|---|{'---|' if on_gpu else ''}---|",
    ]
    refused = []
    for row in rows:
        if row.refused:
            refused.append(f"- {row.variant}, {row.engine}, {row.precision}: {row.refused}")
            continue
        times = f"{row.mean_ms:.1f}, {row.p50_ms:.1f}, {row.p95_ms:.1f}"
        quality = ", ".join(
            f"{name} {value:.{4 if name.startswith('SSIM') else 2}f}" for name, value in row.quality.items()
        )
        vram = "" if row.vram_bytes is None else f"{row.vram_bytes / 1e9:.2f}"
        lines.append(
            f"| {row.variant} ×{row.scale} | {row.size} | {row.engine} | {row.precision} | {times} "
            f"| {row.fps:.1f} | {row.cpu_ms:.0f} | {row.peak_bytes / 1e9:.2f} "
            f"{f'| {vram or "–"} ' if on_gpu else ''}| {quality or '–'} |"
        )
    devices = sorted({row.device for row in rows if row.device})
    return "\n".join([*lines, "", f"On {'; '.join(devices) or 'nothing'}.", *refused, ""])


def as_svg(rows: Sequence[MatrixRow]) -> str:
    """Frames a second as bars."""
    shown = [row for row in rows if not row.refused]
    most = max((row.fps for row in shown), default=1.0)
    bars = []
    for number, row in enumerate(shown):
        label = html.escape(f"{row.variant} ×{row.scale}, {row.size}, {row.engine}, {row.precision}")
        top, length = _ROW * number + 6, _BAR * row.fps / most
        bars.append(
            f'<text x="{_LABEL - 8}" y="{top + 12}" text-anchor="end">{label}</text>'
            f'<rect x="{_LABEL}" y="{top}" width="{length:.1f}" height="14" fill="#1f77b4"/>'
            f'<text x="{_LABEL + length + 6:.1f}" y="{top + 12}">{row.fps:.1f} fps</text>'
        )
    width, height = _LABEL + _BAR + 90, _ROW * len(shown) + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12">{"".join(bars)}</svg>\n'
    )
