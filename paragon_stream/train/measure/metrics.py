"""Picture quality, in the super-resolution literature's convention.

PSNR-Y and SSIM-Y: luma of 8-bit RGB by BT.601 as MATLAB's `rgb2ycbcr` computes it (16…235, not rounded), a
border of `scale` pixels left out. Cb and Cr likewise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

type Picture = NDArray[np.float64]

IDENTICAL = 100.0
"""PSNR of identical planes, dB, as in x264's log."""

_RGB_TO_Y = np.array([65.481, 128.553, 24.966]) / 255
_RGB_TO_CBCR = np.array([[-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255


def luma(rgb: NDArray[np.generic]) -> Picture:
    """H×W luma (16…235) of an H×W×3 picture with values 0…255."""
    return np.asarray(rgb, np.float64) @ _RGB_TO_Y + 16


def psnr(a: NDArray[np.generic], b: NDArray[np.generic], peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB, at most IDENTICAL, so that means over pictures stay finite."""
    error = float(np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2))
    return _decibels(error, peak)


def shave(picture: NDArray[np.generic], border: int) -> NDArray[np.generic]:
    return picture[border:-border, border:-border] if border else picture


def psnr_y(result: NDArray[np.generic], truth: NDArray[np.generic], border: int) -> float:
    """PSNR of luma between H×W×3 pictures with values 0…255."""
    return psnr(luma(shave(result, border)), luma(shave(truth, border)))


def psnr_chroma(result: NDArray[np.generic], truth: NDArray[np.generic], border: int) -> tuple[float, float]:
    """PSNR of Cb and of Cr (at most IDENTICAL dB) between H×W×3 pictures with values 0…255."""
    error = (np.asarray(shave(result, border), np.float64) - shave(truth, border)) @ _RGB_TO_CBCR.T
    blue, red = (float(np.mean(error[..., plane] ** 2)) for plane in range(2))
    return _decibels(blue), _decibels(red)


def _decibels(squared_error: float, peak: float = 255.0) -> float:
    least = peak**2 / 10 ** (IDENTICAL / 10)
    return float(10 * np.log10(peak**2 / max(squared_error, least)))


def _gaussian_valid(picture: Picture, sigma: float = 1.5, size: int = 11) -> Picture:
    taps = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    taps /= taps.sum()
    rows = np.lib.stride_tricks.sliding_window_view(picture, size, 0) @ taps
    return np.asarray(np.lib.stride_tricks.sliding_window_view(rows, size, 1) @ taps)


def ssim_terms(a: Picture, b: Picture, peak: float = 255.0) -> tuple[float, float]:
    """(mean SSIM, mean of its contrast-structure factor): 11×11 Gaussian window of sigma 1.5, valid part."""
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    mean_a, mean_b = _gaussian_valid(a), _gaussian_valid(b)
    var_a = _gaussian_valid(a * a) - mean_a**2
    var_b = _gaussian_valid(b * b) - mean_b**2
    cov = _gaussian_valid(a * b) - mean_a * mean_b
    structure = (2 * cov + c2) / (var_a + var_b + c2)
    light = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return float(np.mean(light * structure)), float(np.mean(structure))


def ssim_y(result: NDArray[np.generic], truth: NDArray[np.generic], border: int) -> float:
    """SSIM of luma between H×W×3 pictures with values 0…255."""
    return ssim_terms(luma(shave(result, border)), luma(shave(truth, border)))[0]


MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def ms_ssim_y(result: NDArray[np.generic], truth: NDArray[np.generic], border: int) -> float:
    """Multi-scale SSIM of luma (Wang, Simoncelli, Bovik 2003); fewer scales for pictures below 176 pixels."""
    a, b = luma(shave(result, border)), luma(shave(truth, border))
    scales = max(1, min(len(MS_SSIM_WEIGHTS), int(np.log2(min(a.shape) / 11)) + 1))
    weights = np.array(MS_SSIM_WEIGHTS[:scales])
    weights /= weights.sum()
    value = 1.0
    for level, weight in enumerate(weights):
        ssim, structure = ssim_terms(a, b)
        value *= max(ssim if level == scales - 1 else structure, 0.0) ** weight
        if level < scales - 1:
            h, w = a.shape[0] // 2 * 2, a.shape[1] // 2 * 2
            a, b = (p[:h, :w].reshape(h // 2, 2, w // 2, 2).mean((1, 3)) for p in (a, b))
    return value


def detail_energy(picture: NDArray[np.generic], border: int) -> float:
    """Energy of luma above half of Nyquist in either direction, which a picture of half the size does not
    have.

    The mean square, as of a periodogram under a Hann window, of the frequencies above ¼ cycle a pixel.
    """
    values = luma(shave(picture, border))
    window = np.hanning(values.shape[0])[:, None] * np.hanning(values.shape[1])[None]
    spectrum = np.abs(np.fft.fft2((values - values.mean()) * window)) ** 2
    fine = np.abs(np.fft.fftfreq(values.shape[0]))[:, None] > 0.25
    fine = fine | (np.abs(np.fft.fftfreq(values.shape[1]))[None] > 0.25)
    return float(spectrum[fine].sum() / (values.size * np.square(window).sum()))


def detail_db(result: NDArray[np.generic], truth: NDArray[np.generic], border: int) -> float:
    """Fine detail of a result relative to the truth, in dB: 0 for equal, negative for less (`detail_energy`).

    PSNR rewards omitting uncertain detail; this measures how much is missing, not whether detail is correct.
    """
    floor = 1e-6  # far below rounding noise: flat pictures have no detail
    energies = [detail_energy(picture, border) + floor for picture in (result, truth)]
    return 10 * float(np.log10(energies[0] / energies[1]))
