"""The tables of the documents on this machine: every variant by every engine and precision.

Each row is measured by a process of its own: so it has its own peak of memory, and nothing of the row before.
"""

from __future__ import annotations

import html
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from paragon_stream.checkpoint import list_shipped, load_weights, measured_quality
from paragon_stream.checkpoint.shipped import find_shipped
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.runtimes import installed_engines

PRECISIONS = ("fp32", "bf16", "fp16")
_BAR, _LABEL, _ROW = 320, 330, 20


@dataclass(frozen=True, kw_only=True)
class MatrixRow:
    """One network by one engine in one precision; or `refused`, why there are no figures."""

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
    device: str = ""
    quality: dict[str, float] = field(default_factory=dict)
    refused: str = ""


def bench_matrix(
    options: UpscalerOptions,
    *,
    variants: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    frames: int,
    pixel_format_name: str = "yuv420p",
    on_row: Callable[[MatrixRow], None] = lambda row: None,
) -> list[MatrixRow]:
    """A row for each variant, size, installed engine and precision; `options` say all else."""
    rows = []
    for variant in variants:
        for width, height in sizes:
            for engine in installed_engines():
                for precision in PRECISIONS:
                    size = (width, height)
                    row = _row(options, variant, engine, precision, size, frames, pixel_format_name)
                    rows.append(row)
                    on_row(row)
    return rows


def _row(
    options: UpscalerOptions,
    variant: str,
    engine: str,
    precision: str,
    size: tuple[int, int],
    frames: int,
    pixel_format_name: str,
) -> MatrixRow:
    shape = f"{size[0]}x{size[1]}"
    arguments = ["bench", "--json", "--variant", variant, "--engine", engine, "--precision", precision]
    arguments += ["--size", shape, "--frames", str(frames), "--pix-fmt", pixel_format_name]
    for name in ("scale", "weights", "threads", "device"):
        if (value := getattr(options, name)) is not None:
            arguments += [f"--{name}", str(value)]
    scale = options.scale or 2
    done = subprocess.run(
        [sys.executable, "-m", "paragon_stream", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        refused = said[-1].removeprefix("paragon-stream: ") if said else f"exit code {done.returncode}"
        return MatrixRow(
            variant=variant, scale=scale, engine=engine, precision=precision, size=shape, refused=refused
        )
    found = json.loads(done.stdout)
    return MatrixRow(
        variant=variant,
        scale=found["scale"],
        engine=engine,
        precision=found["precision"],
        size=shape,
        mean_ms=found["latency_mean_ms"],
        p50_ms=found["latency_ms"],
        p95_ms=found["latency_p95_ms"],
        fps=found["fps"],
        cpu_ms=found["cpu_ms_per_frame"],
        peak_bytes=found["peak_rss_bytes"],
        device=found["device"],
        quality=_quality(options, variant, found["scale"]),
    )


def _quality(options: UpscalerOptions, variant: str, scale: int) -> dict[str, float]:
    """What was measured with these weights in fp32, where they are shipped."""
    if variant not in {each.variant for each in list_shipped()}:
        return {}
    name = None if options.weights is None else str(options.weights)
    shipped = find_shipped(name, variant=variant, scale=scale)
    return measured_quality(shipped, load_weights(shipped.path)) if shipped else {}


def as_markdown(rows: Sequence[MatrixRow]) -> str:
    """A table, and below it the reasons of engines that did not run."""
    lines = [
        "| network | size | engine | precision | mean, p50, p95 ms | fps | CPU ms | peak GB | quality |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    refused = []
    for row in rows:
        if row.refused:
            refused.append(f"- {row.variant}, {row.engine}, {row.precision}: {row.refused}")
            continue
        times = f"{row.mean_ms:.1f}, {row.p50_ms:.1f}, {row.p95_ms:.1f}"
        quality = ", ".join(f"{name} {value:.2f}" for name, value in row.quality.items())
        lines.append(
            f"| {row.variant} ×{row.scale} | {row.size} | {row.engine} | {row.precision} | {times} "
            f"| {row.fps:.1f} | {row.cpu_ms:.0f} | {row.peak_bytes / 1e9:.2f} | {quality or '–'} |"
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
