"""Quality of a sequence of frames against the original's, frame by frame, for clips of any length."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import FormatError
from paragon_stream.media.measure.vmaf import MODELS, Vmaf, vmaf_available
from paragon_stream.train.measure.metrics import IDENTICAL, shave, ssim_terms

BORDER = 8
"""Pixels left out on every side, by all measures but VMAF's."""
SMALLEST = 2 * BORDER + 11
"""Least side of a frame: one window of SSIM remains."""


def video_measures(*, chroma: bool = True) -> tuple[str, ...]:
    """The measures of a VideoMeter with this build of PyAV, for frames with and without chroma."""
    planes = ("psnr_y", "psnr_u", "psnr_v") if chroma else ("psnr_y",)
    return (*planes, "ssim_y", "psnr_t", *(MODELS if vmaf_available() else ()))


class VideoMeter:
    """Scores of one method's planes.

    psnr_y   PSNR from the mean squared error of all frames; psnr_u and psnr_v those of chroma's planes
    ssim_y   mean SSIM (Gaussian window of sigma 1.5)
    psnr_t   temporal consistency: PSNR of the differences of neighbouring frames, result's against
             original's. These differences are ITU-T P.910's (the picture of its "temporal information").
             A static error cancels out, a flickering one counts twice: uncorrelated errors give
             psnr_y - 3 dB, and higher values mean more stable errors.
    vmaf, vmaf_neg   see `paragon_stream.media.measure.vmaf`
    """

    def __init__(self) -> None:
        self._errors: list[float] = []
        self._chroma: list[tuple[float, ...]] = []
        self._changes: list[float] = []
        self._ssim: list[float] = []
        self._last: NDArray[np.float64] | None = None
        self._vmaf = Vmaf() if vmaf_available() else None

    def add(self, results: Sequence[NDArray[np.generic]], truths: Sequence[NDArray[np.generic]]) -> None:
        """Add the next frame of both: only luma, or Y, U and V, on the scale of 8-bit codes, rounded or
        not. Raises FormatError for frames that are too small."""
        result, truth = results[0], truths[0]
        if min(truth.shape) < SMALLEST:
            size = f"{truth.shape[1]}x{truth.shape[0]}"
            raise FormatError(
                f"frames of {size} are not measured: at least {SMALLEST} pixels a side are needed"
            )
        inner, true_inner = (np.asarray(shave(luma, BORDER), np.float64) for luma in (result, truth))
        pairs = zip(results[1:], truths[1:], strict=True)
        self._chroma.append(tuple(_squared(a, b, BORDER * a.shape[0] // result.shape[0]) for a, b in pairs))
        error = inner - true_inner
        self._errors.append(float(np.mean(error**2)))
        if self._last is not None:
            self._changes.append(float(np.mean((error - self._last) ** 2)))
        self._last = error
        self._ssim.append(ssim_terms(inner, true_inner)[0])
        if self._vmaf is not None:
            self._vmaf.add(_codes(result), _codes(truth))

    @property
    def last_error(self) -> float:
        """Mean squared error of the latest frame."""
        return self._errors[-1]

    def scores(self) -> dict[str, float]:
        """The scores by the names of `video_measures`; psnr_t of a single frame is its psnr_y."""
        chroma = zip(("psnr_u", "psnr_v"), zip(*self._chroma, strict=True), strict=False)
        found = {
            "psnr_y": _psnr(self._errors),
            **{name: _psnr(errors) for name, errors in chroma},
            "ssim_y": float(np.mean(self._ssim)),
            "psnr_t": _psnr(self._changes or self._errors),
        }
        return found | (self._vmaf.means() if self._vmaf is not None else {})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._vmaf is not None:
            self._vmaf.__exit__(kind, error, trace)


def _squared(a: NDArray[np.generic], b: NDArray[np.generic], border: int) -> float:
    inner, true_inner = (np.asarray(shave(plane, border), np.float64) for plane in (a, b))
    return float(np.mean((inner - true_inner) ** 2))


def _psnr(errors: Sequence[float]) -> float:
    mean = float(np.mean(errors))
    return IDENTICAL if mean == 0 else min(IDENTICAL, float(10 * np.log10(255**2 / mean)))


def _codes(luma: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.clip(np.rint(np.asarray(luma, np.float32)), 0, 255).astype(np.uint8)
