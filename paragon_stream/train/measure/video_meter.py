"""Quality of a sequence of frames against the original's, frame by frame, so that clips of any length fit."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from paragon_stream.media.measure.vmaf import MODELS, Vmaf, vmaf_available
from paragon_stream.train.measure.metrics import shave, ssim_terms

BORDER = 8
"""Pixels left out on every side, by all measures but VMAF's."""
IDENTICAL = 100.0
"""dB that count for no error at all, as in x264's log."""


def video_measures() -> tuple[str, ...]:
    """What a VideoMeter measures with this build of PyAV."""
    return ("psnr_y", "ssim_y", "psnr_t", *(MODELS if vmaf_available() else ()))


class VideoMeter:
    """Scores of one method's luma planes.

    psnr_y   PSNR from the mean squared error of all frames
    ssim_y   mean SSIM (Gaussian window of sigma 1.5)
    psnr_t   temporal consistency: PSNR of the differences of neighbouring frames, result's against
             original's. These differences are ITU-T P.910's (the picture of its "temporal information").
             An error that stays where it is cancels out, one that flickers counts twice: errors without any
             relation from frame to frame give psnr_y - 3 dB, and what is above that is steadiness.
    vmaf, vmaf_neg   see `paragon_stream.media.measure.vmaf`
    """

    def __init__(self) -> None:
        self._errors: list[float] = []
        self._changes: list[float] = []
        self._ssim: list[float] = []
        self._last: NDArray[np.float64] | None = None
        self._vmaf = Vmaf() if vmaf_available() else None

    def add(self, result: NDArray[np.generic], truth: NDArray[np.generic]) -> None:
        """The next frame: H×W luma of both, on the scale of 8-bit codes, rounded or not."""
        inner, true_inner = (np.asarray(shave(luma, BORDER), np.float64) for luma in (result, truth))
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
        """By the names of `video_measures`; psnr_t of a single frame is psnr_y."""
        found = {
            "psnr_y": _psnr(self._errors),
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


def _psnr(errors: list[float]) -> float:
    mean = float(np.mean(errors))
    return IDENTICAL if mean == 0 else min(IDENTICAL, float(10 * np.log10(255**2 / mean)))


def _codes(luma: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.clip(np.rint(np.asarray(luma, np.float32)), 0, 255).astype(np.uint8)
