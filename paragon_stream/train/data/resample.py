"""Resampling of whole pictures with numpy: what degradations shrink with, and what results are compared to.

Rows and columns are resampled one after the other by banded matrices, so any kernel, any factor, antialiasing
and edge rule is one function. `bicubic` with antialiasing is what MATLAB's `imresize` computes: kernel a
= -0.5, stretched by the factor when shrinking, weights normalised, edges mirrored; the literature's
convention.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

type Picture = NDArray[np.float32]

MAGIC_BLUR = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def _cubic(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel, a = -1/2."""
    t = np.abs(t)
    near = 1.5 * t**3 - 2.5 * t**2 + 1
    far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return np.where(t <= 1, near, np.where(t <= 2, far, 0.0))


def _lanczos3(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0.0)


def _box(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where((t >= -0.5) & (t < 0.5), 1.0, 0.0)


def _magic2021(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Magic Kernel Sharp 2021's plain kernel: the quadratic B-spline ("magic kernel")."""
    t = np.abs(t)
    return np.where(t <= 0.5, 0.75 - t**2, np.where(t <= 1.5, 0.5 * (t - 1.5) ** 2, 0.0))


KERNELS: dict[str, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], float]] = {
    "bicubic": (_cubic, 4.0),
    "lanczos": (_lanczos3, 6.0),
    "area": (_box, 1.0),
    "magic": (_magic2021, 3.0),
}
"""Kernel and width of its support, in source pixels at factor 1."""


@lru_cache(maxsize=64)
def _matrix(size: int, target: int, kernel: str) -> NDArray[np.float32]:
    """(target, size) matrix that resamples one axis."""
    function, width = KERNELS[kernel]
    factor = target / size
    stretch = min(factor, 1.0)
    width /= stretch
    centres = (np.arange(target) + 0.5) / factor - 0.5
    left = np.floor(centres - width / 2).astype(np.int64)
    taps = left[:, None] + np.arange(int(np.ceil(width)) + 2)
    weights = function((centres[:, None] - taps) * stretch)
    weights /= weights.sum(1, keepdims=True)
    mirrored = np.concatenate([np.arange(size), np.arange(size)[::-1]])[taps % (2 * size)]
    matrix = np.zeros((target, size))
    np.add.at(matrix, (np.arange(target)[:, None], mirrored), weights)
    return matrix.astype(np.float32)


def resize(picture: Picture, height: int, width: int, kernel: str = "bicubic") -> Picture:
    """Resample an H×W or H×W×C picture to height × width; shrinking is antialiased. Any value range."""
    tall = np.tensordot(_matrix(picture.shape[0], height, kernel), picture, (1, 0))
    wide = np.tensordot(_matrix(picture.shape[1], width, kernel), tall, (1, 1))
    return np.ascontiguousarray(wide.swapaxes(0, 1)).astype(np.float32, copy=False)


def shrink(picture: Picture, scale: int, kernel: str = "bicubic") -> Picture:
    """A picture `scale` times smaller; its sides must be multiples of `scale`."""
    return resize(picture, picture.shape[0] // scale, picture.shape[1] // scale, kernel)


def enlarge(picture: Picture, scale: int, kernel: str = "bicubic") -> Picture:
    """A picture `scale` times larger."""
    return resize(picture, picture.shape[0] * scale, picture.shape[1] * scale, kernel)


def to_codes(picture: Picture) -> NDArray[np.uint8]:
    """Round values on the 0…255 scale to 8 bits; half away from zero, as MATLAB does."""
    return np.clip(np.floor(picture + np.float32(0.5)), 0, 255).astype(np.uint8)
