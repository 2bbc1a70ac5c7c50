"""A plot of a training's log, as SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 210
"""Size of one panel, in pixels."""
LEFT, RIGHT, TOP, BOTTOM = 64, 110, 26, 30
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b")
DECADES_LINEAR = 1.0
"""A panel with positive values that span more powers of ten than this gets a logarithmic scale."""

type Table = Mapping[str, Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class _Panel:
    """Curves of one kind: a title, and the columns of the log that belong to it by their beginning."""

    title: str
    columns: tuple[str, ...]

    def of(self, table: Table) -> dict[str, Sequence[float]]:
        return {name: values for name, values in table.items() if name.startswith(self.columns)}


PANELS = (
    _Panel(title="loss", columns=("loss",)),
    _Panel(title="PSNR-Y on held-out pictures, dB", columns=("psnr",)),
    _Panel(title="gain over bicubic, dB: mean, and by strength (0 is clean)", columns=("gain",)),
    _Panel(title="fine detail beside the truth's, dB", columns=("detail",)),
    _Panel(title="norm of the gradient", columns=("gradient",)),
    _Panel(title="discriminator", columns=("discriminator", "balance")),
)


def draw(rows: Sequence[Mapping[str, str]]) -> str:
    """The log's rows (text by column, "step" among them) as SVG: curves over the steps, in PANELS."""
    names = dict.fromkeys(name for row in rows for name in row)
    table = {name: [_number(row.get(name)) for row in rows] for name in names}
    steps = table.pop("step")
    drawn = [(panel.title, curves) for panel in PANELS if (curves := panel.of(table))]
    panels = "".join(
        f'<g transform="translate(0 {index * HEIGHT})">{_panel(title, steps, curves)}</g>'
        for index, (title, curves) in enumerate(drawn)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT * len(drawn)}" '
        f'font-family="sans-serif" font-size="11"><title>Training to step {steps[-1]:.0f}</title>'
        f'<rect width="100%" height="100%" fill="white"/>{panels}</svg>\n'
    )


def _number(text: str | None) -> float:
    """The values of a column; NaN for rows without one."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _panel(title: str, steps: Sequence[float], curves: Mapping[str, Sequence[float]]) -> str:
    values = [v for curve in curves.values() for v in curve if math.isfinite(v)] or [0.0]
    logarithmic = min(values) > 0 and math.log10(max(values) / min(values)) > DECADES_LINEAR
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - steps[0]) / max(steps[-1] - steps[0], 1)

    def y(value: float) -> float:
        share = math.log(value / low) / math.log(high / low) if logarithmic else (value - low) / (high - low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    parts = [f'<text x="{LEFT}" y="16" font-weight="bold">{html.escape(title)}</text>']
    for tick in _decades(low, high) if logarithmic else _ticks(low, high):
        parts.append(
            f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for tick in _ticks(steps[0], steps[-1]):
        parts.append(f'<text x="{x(tick):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{tick:g}</text>')
    for index, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[index % len(COLOURS)]
        points = [(x(s), y(v)) for s, v in zip(steps, curve, strict=True) if math.isfinite(v)]
        line = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        last = curve[-1]
        note = f"{name} {last:.4g}" if math.isfinite(last) else name
        place = f'x="{WIDTH - RIGHT + 6}" y="{TOP + 10 + 14 * index}"'
        parts.append(f'<text {place} fill="{colour}">{html.escape(note)}</text>')
    return "".join(parts)


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers (1, 2 or 5 times a power of ten apart) in low … high."""
    rough = (high - low) / count or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    first = math.ceil(low / step)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """The powers of ten in low … high, and 2 and 5 times these if there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) < 5 else (1,)
    return [m * 10.0**p for p in powers for m in factors if low <= m * 10.0**p <= high]
