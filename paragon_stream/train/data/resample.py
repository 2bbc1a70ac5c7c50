"""Resampling of whole pictures with numpy, for degradations and for comparisons with results.

Rows and then columns are sums over the taps of every sample, so one function covers all kernels, factors,
antialiasing and edge rules. `bicubic` with antialiasing equals MATLAB's `imresize`: kernel a = -0.5,
stretched by the factor when shrinking, weights normalised, edges mirrored; the literature's convention.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

type Picture = NDArray[np.float32]


type Kernel = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _cubic(b: float, c: float) -> Kernel:
    """Mitchell and Netravali's family of cubic kernels (1988); with b = 0 and c = -a they are Keys'."""

    def kernel(t: NDArray[np.float64]) -> NDArray[np.float64]:
        t = np.abs(t)
        near = (12 - 9 * b - 6 * c) * t**3 + (-18 + 12 * b + 6 * c) * t**2 + (6 - 2 * b)
        far = (-b - 6 * c) * t**3 + (6 * b + 30 * c) * t**2 + (-12 * b - 48 * c) * t + (8 * b + 24 * c)
        return np.where(t <= 1, near, np.where(t <= 2, far, 0.0)) / 6

    return kernel


def _lanczos(lobes: int) -> Kernel:
    return lambda t: np.where(np.abs(t) < lobes, np.sinc(t) * np.sinc(t / lobes), 0.0)


def _box(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where((t >= -0.5) & (t < 0.5), 1.0, 0.0)


def _triangle(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(0.0, 1 - np.abs(t))


def _spline36(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """The interpolating cubic spline through six samples, as Avisynth and zimg have it."""
    t = np.abs(t)
    u, v = t - 1, t - 2
    first = ((13 / 11 * t - 453 / 209) * t - 3 / 209) * t + 1
    second = ((-6 / 11 * u + 270 / 209) * u - 156 / 209) * u
    third = ((1 / 11 * v - 45 / 209) * v + 26 / 209) * v
    return np.where(t <= 1, first, np.where(t <= 2, second, np.where(t <= 3, third, 0.0)))


def _magic2021(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Magic Kernel Sharp 2021's plain kernel: the quadratic B-spline ("magic kernel")."""
    t = np.abs(t)
    return np.where(t <= 0.5, 0.75 - t**2, np.where(t <= 1.5, 0.5 * (t - 1.5) ** 2, 0.0))


KERNELS: dict[str, tuple[Kernel, float]] = {
    "bicubic": (_cubic(0, 0.5), 4.0),
    "bicubic60": (_cubic(0, 0.6), 4.0),
    "bicubic75": (_cubic(0, 0.75), 4.0),
    "mitchell": (_cubic(1 / 3, 1 / 3), 4.0),
    "bilinear": (_triangle, 2.0),
    "area": (_box, 1.0),
    "lanczos2": (_lanczos(2), 4.0),
    "lanczos": (_lanczos(3), 6.0),
    "lanczos4": (_lanczos(4), 8.0),
    "spline36": (_spline36, 6.0),
    "magic": (_magic2021, 3.0),
}
"""Kernel and width of its support, in source pixels at factor 1. bicubic60 is swscale's default (a = -0.6),
bicubic75 OpenCV's (a = -0.75); `lanczos` has three lobes."""


@lru_cache(maxsize=128)
def _taps(size: int, target: int, kernel: str, shift: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The samples that every result of one axis is made of, and their weights; both (taps, target).

    `shift` as in `resize`.
    """
    function, width = KERNELS[kernel]
    factor = target / size
    stretch = min(factor, 1.0)
    width /= stretch
    centres = (np.arange(target) + 0.5) / factor - 0.5 + shift
    left = np.floor(centres - width / 2).astype(np.int64)
    taps = left + np.arange(int(np.ceil(width)) + 2)[:, None]
    weights = function((centres - taps) * stretch)
    weights /= weights.sum(0)
    mirrored = np.concatenate([np.arange(size), np.arange(size)[::-1]])[taps % (2 * size)]
    used = weights.any(1)
    return mirrored[used], weights[used].astype(np.float32)


def _resampled(picture: Picture, axis: int, target: int, kernel: str, shift: float) -> Picture:
    """One axis resampled to `target`. A sum over taps: BLAS would multiply whole matrices, with threads that
    take the processor from the training."""
    samples, weights = _taps(picture.shape[axis], target, kernel, shift)
    shape = [1] * picture.ndim
    shape[axis] = target
    result = weights[0].reshape(shape) * picture.take(samples[0], axis)
    for places, weight in zip(samples[1:], weights[1:], strict=True):
        result += weight.reshape(shape) * picture.take(places, axis)
    return result


def resize(
    picture: Picture,
    height: int,
    width: int,
    kernel: str = "bicubic",
    shift: tuple[float, float] = (0.0, 0.0),
) -> Picture:
    """Resample an H×W or H×W×C picture to height × width; shrinking is antialiased. Any value range.

    `shift` (rows, columns, in samples of `picture`) moves the sampling positions.
    """
    picture = picture.astype(np.float32, copy=False)
    return _resampled(_resampled(picture, 0, height, kernel, shift[0]), 1, width, kernel, shift[1])


def shrink(
    picture: Picture, scale: int, kernel: str = "bicubic", siting: tuple[float, float] = (0.0, 0.0)
) -> Picture:
    """A picture `scale` times smaller; its sides must be multiples of `scale`.

    `siting` (rows, columns; see `siting_shift`) is for planes of subsampled chroma, whose samples do not lie
    in the middle of the luma samples that they belong to.
    """
    shift = (siting[0] * (scale - 1), siting[1] * (scale - 1))
    return resize(picture, picture.shape[0] // scale, picture.shape[1] // scale, kernel, shift)


def enlarge(
    picture: Picture, scale: int, kernel: str = "bicubic", siting: tuple[float, float] = (0.0, 0.0)
) -> Picture:
    """A picture `scale` times larger; `siting` as for `shrink`."""
    shift = (-siting[0] * (scale - 1) / scale, -siting[1] * (scale - 1) / scale)
    return resize(picture, picture.shape[0] * scale, picture.shape[1] * scale, kernel, shift)


def siting_shift(factor: int, position: float) -> float:
    """Distance of a chroma sample from the middle of its luma samples, in chroma samples of one axis.

    For `factor`:1 subsampling; `position` 0 is the first luma sample, 1/2 the middle, 1 the last
    (`ChromaLocation`). A frame's chroma has the same position after scaling, so its plane is not resampled
    about its middle, but (scale - 1) · this beside it.
    """
    return (position * (factor - 1) + 0.5) / factor - 0.5


def to_codes(picture: Picture) -> NDArray[np.uint8]:
    """Round values on the 0…255 scale to 8 bits; half away from zero, as MATLAB does."""
    return np.clip(np.floor(picture + np.float32(0.5)), 0, 255).astype(np.uint8)
