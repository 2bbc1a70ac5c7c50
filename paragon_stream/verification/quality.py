"""The quality of sampled pieces, compared with a Lanczos enlargement with the same encoder.

The output and the enlargement are both shrunk to the source's size by bicubic interpolation, and their luma
is compared with the source's. A network that invents detail, or an encoder with too few bits, has a lower
PSNR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from paragon_stream.frame import FrameFormat
from paragon_stream.geometry import Axis, Placement
from paragon_stream.media.encode.encoder_job import EncoderJob
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.measure.enlarge import lanczos
from paragon_stream.media.measure.roundtrip import DECODERS, Encoding, round_trip
from paragon_stream.verification.cells import components

_ALLOWED = 2.0
"""dB that the output may always be below the enlargement."""
_CLOSE = 40.0
"""dB (PSNR) that the output may always differ by more than the enlargement does: the artefacts that weights
remove from a strongly compressed source. They are up to 42 dB (H.264 at CRF 35, Stream)."""
_PIECES, _LENGTH = 3, 5
"""Number of pieces, and of frames in each."""


@dataclass
class _Piece:
    sources: list[tuple[Plane, ...]] = field(default_factory=list)
    outputs: list[NDArray[np.generic]] = field(default_factory=list)


class QualitySample:
    """Keeps a few pieces of a clip, and compares them when the clip has ended."""

    def __init__(
        self, source: FrameFormat, target: FrameFormat, placement: Placement, job: EncoderJob, frames: int
    ) -> None:
        """`frames` is the approximate number of frames."""
        self._source, self._target, self._placement, self._job = source, target, placement, job
        last = max(0, frames - _LENGTH)
        self._begins = sorted({last * (n + 1) // (_PIECES + 1) for n in range(_PIECES)})
        self._pieces = [_Piece() for _ in self._begins]
        self._frames = 0

    @property
    def refusal(self) -> str:
        """Why the quality cannot be compared; "" if it can."""
        if self._job.encoder.name not in DECODERS:
            return f"{self._job.encoder.name} is not encoded again for comparison"
        if self._target.pixel_format.has_alpha:
            return "pictures with transparency are not encoded again for comparison"
        if self._source.pixel_format.name != self._target.pixel_format.name:
            return "the output has another pixel format than the source"
        whole = all(
            axis.begin == 0 and axis.bars == (0, 0)
            for axis in (self._placement.rows, self._placement.columns)
        )
        return "" if whole else "the picture is cropped or has bars"

    def add(self, source: Sequence[Plane], output: Sequence[Plane]) -> None:
        """Add a source frame and its output frame, as planes."""
        for begin, piece in zip(self._begins, self._pieces, strict=True):
            if begin <= self._frames < begin + _LENGTH:
                piece.sources.append(tuple(plane.copy() for plane in source))
                piece.outputs.append(components(output, self._target)[0].copy())
        self._frames += 1

    def result(self) -> tuple[float, float] | None:
        """PSNR (dB) of the output's and of the enlargement's luma to the source; None if there is no
        frame."""
        if self.refusal or not any(piece.sources for piece in self._pieces):
            return None
        shrink = _Shrink(self._source, self._target, self._placement)
        ours: list[float] = []
        theirs: list[float] = []
        settings = {key: str(value) for key, value in self._job.settings.items()}
        encoding = Encoding(
            encoder=self._job.encoder.name, options=settings, pixel_format=self._target.pixel_format.name
        )
        for piece in self._pieces:
            if not piece.sources:
                continue
            enlarged = [lanczos(planes, self._source, self._target) for planes in piece.sources]
            decoded = round_trip(enlarged, encoding, Fraction(self._job.rate))
            for source, output, frame in zip(piece.sources, piece.outputs, decoded, strict=True):
                luma = components(source, self._source)[0].astype(np.float32)
                ours.append(_error(luma, shrink(output)))
                theirs.append(_error(luma, shrink(components(frame.planes, self._target)[0])))
        peak = self._source.pixel_format.peak
        return _psnr(ours, peak), _psnr(theirs, peak)


class _Shrink:
    """Shrinks the target's luma to the source's size."""

    def __init__(self, source: FrameFormat, target: FrameFormat, placement: Placement) -> None:
        self._rows = _weights(placement.rows, source.height, target.height)
        self._columns = np.ascontiguousarray(_weights(placement.columns, source.width, target.width).T)

    def __call__(self, luma: NDArray[np.generic]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = self._rows @ (luma.astype(np.float32) @ self._columns)
        return result


def _weights(axis: Axis, before: int, after: int) -> NDArray[np.float32]:
    """Cubic convolution (Keys, 1981, a = -1/2), widened by the factor: before × after, rows sum to 1."""
    factor = float(axis.factor)
    centres = axis.offset + (np.arange(before) + 0.5 - float(axis.begin)) * factor - 0.5
    x = np.abs(np.arange(after)[None, :] - centres[:, None]) / factor
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    result: NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return result


def _error(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.mean((a - b) ** 2))


def clearly_worse(ours: float, theirs: float) -> bool:
    """True if the output is much farther from the source than the enlargement is.

    `ours` and `theirs` are the PSNR (dB) of the output and of the enlargement to the source.
    """
    more = 10 ** (-ours / 10) - 10 ** (-theirs / 10)
    return ours < theirs - _ALLOWED and more > 10 ** (-_CLOSE / 10)


def _psnr(errors: Sequence[float], peak: int) -> float:
    return float(10 * np.log10(peak**2 / max(1e-9, float(np.mean(errors)))))
