"""What training minimises: weighted sums of terms, each a function of (result, truth), N×3×H×W around [0,
1]."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.errors import UsageError
from paragon_stream.train.measure.metrics import MS_SSIM_WEIGHTS

LUMA = (0.299, 0.587, 0.114)
"""BT.601's, which PSNR-Y is measured with."""


def difference(result: Tensor, truth: Tensor, chroma: float) -> Tensor:
    """result - truth as (Y, Cb, Cr), luma as in PSNR-Y's matrix and chroma weighted by `chroma`.

    Small networks gain luma by giving up chroma, which 4:2:0 video hardly carries; `chroma` = 1 keeps RGB.
    """
    error = result - truth
    if chroma == 1:
        return error
    kr, kg, kb = LUMA
    rows = [
        [kr, kg, kb],
        [-chroma * kr / 1.772, -chroma * kg / 1.772, chroma * 0.5],
        [chroma * 0.5, -chroma * kg / 1.402, -chroma * kb / 1.402],
    ]
    matrix = torch.tensor(rows, dtype=error.dtype, device=error.device).view(3, 3, 1, 1)
    return functional.conv2d(error, matrix)


def per_sample(values: Tensor) -> Tensor:
    return values.flatten(1).mean(1)


def l1(result: Tensor, truth: Tensor, chroma: float) -> Tensor:
    return per_sample(difference(result, truth, chroma).abs())


def l2(result: Tensor, truth: Tensor, chroma: float) -> Tensor:
    return per_sample(difference(result, truth, chroma).square())


def charbonnier(result: Tensor, truth: Tensor, chroma: float) -> Tensor:
    """√(error² + ε²), ε a quarter of a code value: L1, smooth at zero."""
    return per_sample((difference(result, truth, chroma).square() + 1e-6).sqrt())


PSNR_CEILING = 47.0
"""dB beyond which a better patch counts for ever less: flat ones would decide everything else."""


def psnr(result: Tensor, truth: Tensor, chroma: float) -> Tensor:
    """Logarithm of the squared error, PSNR itself up to sign and scale: easy and hard patches count alike."""
    return torch.log(l2(result, truth, chroma) + 10 ** (-PSNR_CEILING / 10))


def colour(result: Tensor, truth: Tensor, chroma: float) -> Tensor:
    """Consistency of local mean colours (8×8)."""
    return per_sample((functional.avg_pool2d(result, 8) - functional.avg_pool2d(truth, 8)).abs())


def total_variation(result: Tensor, truth: Tensor, chroma: float) -> Tensor:
    """Variation that the truth does not have."""

    def variation(x: Tensor) -> Tensor:
        vertical = (x[..., 1:, :] - x[..., :-1, :]).abs()
        horizontal = (x[..., 1:] - x[..., :-1]).abs()
        return per_sample(vertical) + per_sample(horizontal)

    return functional.relu(variation(result) - variation(truth))


def focal_frequency(result: Tensor, truth: Tensor, chroma: float) -> Tensor:
    """Squared distance of spectra, each frequency weighted by how wrong it is (Jiang et al. 2021)."""
    distance = torch.fft.fft2(result - truth, norm="ortho").abs().square()
    weight = distance.detach().sqrt()
    weight = weight / weight.amax((-2, -1), keepdim=True).clamp_min(1e-8)
    return per_sample(weight * distance)


def ms_ssim(result: Tensor, truth: Tensor, chroma: float) -> Tensor:
    """1 - multi-scale SSIM of luma, with as many scales as the patch has room for."""
    luma = torch.tensor(LUMA, dtype=result.dtype, device=result.device).view(1, 3, 1, 1)
    a, b = functional.conv2d(result, luma), functional.conv2d(truth, luma)
    taps = torch.exp(-((torch.arange(11, device=a.device, dtype=a.dtype) - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(taps, taps)[None, None] / taps.sum() ** 2
    scales = max(1, min(len(MS_SSIM_WEIGHTS), (min(a.shape[-2:]) // 11).bit_length()))
    weights = torch.tensor(MS_SSIM_WEIGHTS[:scales], device=a.device)
    weights = weights / weights.sum()
    value = a.new_ones(a.shape[0])
    for level in range(scales):
        mean_a, mean_b = functional.conv2d(a, window), functional.conv2d(b, window)
        variance_a = functional.conv2d(a * a, window) - mean_a**2
        variance_b = functional.conv2d(b * b, window) - mean_b**2
        covariance = functional.conv2d(a * b, window) - mean_a * mean_b
        structure = (2 * covariance + 0.03**2) / (variance_a + variance_b + 0.03**2)
        if level == scales - 1:
            structure = structure * (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
        value = value * per_sample(structure).clamp_min(1e-4) ** weights[level]
        a, b = functional.avg_pool2d(a, 2), functional.avg_pool2d(b, 2)
    return 1 - value


TERMS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "l1": l1,
    "l2": l2,
    "charbonnier": charbonnier,
    "psnr": psnr,
    "ms_ssim": ms_ssim,
    "focal_frequency": focal_frequency,
    "colour": colour,
    "tv": total_variation,
}


class Loss(nn.Module):
    """Σ weight · term, the mean over the batch. `chroma` is the weight of chroma errors in the pixel terms.

    Raises UsageError for an unknown term.
    """

    def __init__(self, terms: Mapping[str, float], *, chroma: float = 1.0) -> None:
        super().__init__()
        unknown = set(terms) - set(TERMS)
        if unknown:
            raise UsageError(f"no loss is called {min(unknown)}; there are {', '.join(TERMS)}")
        self.terms = dict(terms)
        self.chroma = chroma

    def forward(self, result: Tensor, truth: Tensor) -> Tensor:
        total = result.new_zeros(())
        for name, weight in self.terms.items():
            total = total + weight * TERMS[name](result, truth, self.chroma).mean()
        return total
