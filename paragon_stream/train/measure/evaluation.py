"""The result of an evaluation: scores by method and measure, and crops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint import Weights
from paragon_stream.errors import UsageError
from paragon_stream.frame import ColorSpec, FrameFormat
from paragon_stream.geometry import enlarged
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.runtimes import Session
from paragon_stream.train.data.resample import KERNELS
from paragon_stream.upscaler import Upscaler

type Codes = NDArray[np.uint8]

FILTERS = ("bicubic", "lanczos", "magic")
"""Filters that every result is compared with, on the same input; kernels of `train.data.resample`."""
DEGRADATIONS = tuple(KERNELS)
"""Kernels that make the low-resolution pictures."""
CROP = 96
"""Side of the report's crops, in HR pixels."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One picture, or one clip at one level of compression.

    `scores` are by method (`model`, FILTERS …), then by measure. `crops` show the same area of the original
    and of every method, as RGB or gray, where the methods differ most. `strength` is that of conditioned
    weights, the mean over a clip's frames.
    """

    name: str
    level: str
    scores: Mapping[str, Mapping[str, float]]
    crops: Mapping[str, Codes]
    strength: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """`weights` names the measured weights; `sha256`, `engine` and `precision` are "" for a comparison of
    files."""

    weights: str
    measures: tuple[str, ...]
    rows: tuple[Measured, ...]
    scale: int = 1
    sha256: str = ""
    engine: str = ""
    precision: str = ""

    @property
    def levels(self) -> tuple[str, ...]:
        """The degradation of pictures, or the encodings of clips."""
        return tuple(dict.fromkeys(row.level for row in self.rows))

    def means(self, level: str | None = None) -> dict[str, dict[str, float]]:
        """Method → measure → mean over the pictures or clips (of one level)."""
        rows = self._at(level)
        return {
            method: {
                measure: float(np.mean([row.scores[method][measure] for row in rows]))
                for measure in self.measures
            }
            for method in rows[0].scores
        }

    def strength(self, level: str) -> float:
        return float(np.mean([row.strength for row in self._at(level)]))

    def _at(self, level: str | None) -> list[Measured]:
        return [row for row in self.rows if level in (None, row.level)]


def evaluation_of(
    weights: Weights, session: Session, *, measures: tuple[str, ...], rows: Sequence[Measured]
) -> Evaluation:
    """The result of measuring `weights`, computed by `session`."""
    return Evaluation(
        weights=f"{weights.spec.variant} {weights.name}",
        measures=measures,
        rows=tuple(rows),
        scale=weights.spec.scale,
        sha256=weights.sha256,
        engine=session.engine,
        precision=str(session.precision),
    )


def check_degradation(name: str) -> None:
    """Raises UsageError unless `name` is one of DEGRADATIONS."""
    if name not in DEGRADATIONS:
        raise UsageError(f"no degradation is called {name}; choose from {', '.join(DEGRADATIONS)}")


def open_upscaler(
    weights: Weights,
    size: tuple[int, int],
    *,
    format: str,
    color: ColorSpec | None = None,
    engine: str,
    precision: str,
) -> Upscaler:
    """The frame job that measures `weights` on pictures of `size` (width, height)."""
    source = FrameFormat.of(format, *size, color)
    network = weights, enlarged(source, weights.spec.scale)
    return Upscaler.for_format(source, UpscalerOptions(engine=engine, precision=precision), network=network)


def most_different(a: NDArray[np.generic], b: NDArray[np.generic]) -> tuple[int, int]:
    """Top left corner of the CROP² window in which two H×W or H×W×C pictures differ most."""
    difference = np.abs(a.astype(np.float32) - b.astype(np.float32))
    if difference.ndim == 3:
        difference = difference.sum(-1)
    sums = np.pad(difference.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    height, width = (min(CROP, side) for side in difference.shape)
    window = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    y, x = np.unravel_index(int(window.argmax()), window.shape)
    return int(y), int(x)
