"""The results of a sample."""

from __future__ import annotations

from dataclasses import dataclass

from paragon_stream.media.browser import Curves, Footage


@dataclass(frozen=True, kw_only=True)
class Take:
    """One piece in one version. `fps` is the speed of the render, `bytes_out` the size of its video
    stream."""

    footage: Footage
    curves: Curves
    fps: float
    bytes_out: int


@dataclass(frozen=True, kw_only=True)
class Piece:
    """`time` and `seconds` are in the source; `before` is the source, enlarged by a Lanczos filter."""

    time: float
    seconds: float
    before: Footage
    takes: tuple[Take, ...]


@dataclass(frozen=True, kw_only=True)
class Version:
    """The figures of one version. `hours` and `size` (bytes of the video stream) are projected to the whole
    film; None if its length is not known."""

    label: str
    command: str
    target: str
    fps: float
    hours: float | None
    size: float | None
    fidelity: float
    detail: float


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Versions of pieces of a film."""

    source: str
    source_format: str
    device: str
    versions: tuple[Version, ...]
    pieces: tuple[Piece, ...]
    warnings: tuple[str, ...] = ()
