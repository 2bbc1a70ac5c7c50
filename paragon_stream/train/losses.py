"""The losses: weighted sums of terms, each a function of (result, truth), N×3×H×W around [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.errors import UsageError
from paragon_stream.train.measure.metrics import MS_SSIM_WEIGHTS
from paragon_stream.train.perceptual import TRUNK_TERMS, Comparison
from paragon_stream.train.trunk import Trunk

LUMA = (0.299, 0.587, 0.114)
"""Luma weights of BT.601, which PSNR-Y uses."""


@dataclass(frozen=True, kw_only=True)
class Chroma:
    """The weight of chroma errors: `weight` is relative to luma. `halved` marks the samples (of N) of 4:2:0
    video; there only the part of an error on the frame's own, smaller grid counts."""

    weight: float = 1.0
    halved: Tensor | None = None


def planes_error(result: Tensor, truth: Tensor, halved: Tensor | None) -> Tensor:
    """result - truth as N×3 planes (Y, Cb, Cr), luma as in PSNR-Y's matrix.

    Chroma of `halved` samples goes through the frame job's filter to the grid of 4:2:0 (left-sited; even
    sides) and is repeated, so that means over all three planes are means over their samples.
    """
    kr, kg, kb = LUMA
    rows = [
        [kr, kg, kb],
        [-kr / 1.772, -kg / 1.772, 0.5],
        [0.5, -kg / 1.402, -kb / 1.402],
    ]
    matrix = torch.tensor(rows, dtype=result.dtype, device=result.device).view(3, 3, 1, 1)
    error = functional.conv2d(result - truth, matrix)
    if halved is None or not halved.any():
        return error
    luma, chroma = error[:, :1], error[:, 1:]
    taps = torch.tensor([[0.125, 0.25, 0.125]] * 2, dtype=error.dtype, device=error.device)
    kept = functional.conv2d(
        functional.pad(chroma, [1, 0, 0, 0], mode="replicate"), taps.expand(2, 1, 2, 3), stride=2, groups=2
    )
    small = functional.interpolate(kept, scale_factor=2.0, mode="nearest")
    return torch.cat([luma, torch.where(halved.view(-1, 1, 1, 1), small, chroma)], 1)


def difference(result: Tensor, truth: Tensor, chroma: Chroma) -> Tensor:
    """result - truth as (Y, Cb, Cr), with weighted chroma; as RGB for weight 1.

    Small networks gain luma quality at the expense of chroma, which matters little in 4:2:0 video.
    """
    if chroma.weight == 1:
        return result - truth
    error = planes_error(result, truth, chroma.halved)
    return torch.cat([error[:, :1], chroma.weight * error[:, 1:]], 1)


def per_sample(values: Tensor) -> Tensor:
    return values.flatten(1).mean(1)


def l1(result: Tensor, truth: Tensor, chroma: Chroma) -> Tensor:
    return per_sample(difference(result, truth, chroma).abs())


def l2(result: Tensor, truth: Tensor, chroma: Chroma) -> Tensor:
    return per_sample(difference(result, truth, chroma).square())


def charbonnier(result: Tensor, truth: Tensor, chroma: Chroma) -> Tensor:
    """√(error² + ε²), ε a quarter of a code value: L1, smooth at zero."""
    return per_sample((difference(result, truth, chroma).square() + 1e-6).sqrt())


PSNR_CEILING = 47.0
"""PSNR, dB, above which a patch counts less and less: flat patches would otherwise dominate."""


def psnr(result: Tensor, truth: Tensor, chroma: Chroma) -> Tensor:
    """Logarithm of the squared error (PSNR up to sign and scale): easy and hard patches count equally."""
    return torch.log(l2(result, truth, chroma) + 10 ** (-PSNR_CEILING / 10))


CHROMA_CEILING = 53.0
"""The same for planes of chroma, which vary less: rounding to 8 bits has 58.9 dB."""


def psnr_planes(result: Tensor, truth: Tensor, chroma: Chroma) -> Tensor:
    """`psnr` for each plane separately: 1 dB of Cb or Cr counts `chroma.weight` times as much as 1 dB of
    luma.

    One logarithm of all planes would ignore chroma, whose errors are a tenth of luma's.
    """
    squares = planes_error(result, truth, chroma.halved).square().mean((2, 3))
    ceilings = torch.tensor([PSNR_CEILING, CHROMA_CEILING, CHROMA_CEILING], device=squares.device)
    weights = torch.tensor([1.0, chroma.weight, chroma.weight], device=squares.device)
    return (torch.log(squares + 10 ** (-ceilings / 10)) * weights).sum(1)


def colour(result: Tensor, truth: Tensor, chroma: Chroma) -> Tensor:
    """Consistency of local mean colours (8×8)."""
    return per_sample((functional.avg_pool2d(result, 8) - functional.avg_pool2d(truth, 8)).abs())


def total_variation(result: Tensor, truth: Tensor, chroma: Chroma) -> Tensor:
    """Total variation in excess of the truth's."""

    def variation(x: Tensor) -> Tensor:
        vertical = (x[..., 1:, :] - x[..., :-1, :]).abs()
        horizontal = (x[..., 1:] - x[..., :-1]).abs()
        return per_sample(vertical) + per_sample(horizontal)

    return functional.relu(variation(result) - variation(truth))


def focal_frequency(result: Tensor, truth: Tensor, chroma: Chroma) -> Tensor:
    """Squared distance of spectra, each frequency weighted by how wrong it is (Jiang et al. 2021)."""
    distance = torch.fft.fft2(result - truth, norm="ortho").abs().square()
    weight = distance.detach().sqrt()
    weight = weight / weight.amax((-2, -1), keepdim=True).clamp_min(1e-8)
    return per_sample(weight * distance)


def ms_ssim(result: Tensor, truth: Tensor, chroma: Chroma) -> Tensor:
    """1 - multi-scale SSIM of luma, with as many scales as fit the patch."""
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


TERMS: dict[str, Callable[[Tensor, Tensor, Chroma], Tensor]] = {
    "l1": l1,
    "l2": l2,
    "charbonnier": charbonnier,
    "psnr": psnr,
    "psnr_planes": psnr_planes,
    "ms_ssim": ms_ssim,
    "focal_frequency": focal_frequency,
    "colour": colour,
    "tv": total_variation,
}


def with_chroma_of(result: Tensor, truth: Tensor) -> Tensor:
    """`truth` moved along the gray axis to the luma of `result`: the result's luma without a chroma error."""
    weights = torch.tensor(LUMA, dtype=result.dtype, device=result.device).view(1, 3, 1, 1)
    return truth + ((result - truth) * weights).sum(1, keepdim=True)


class Loss(nn.Module):
    """Σ weight · term, the mean over the batch. `chroma` is the weight of chroma errors in the pixel terms;
    `halved` as in `Chroma`. The terms of `train.perceptual` compare features of `trunk`.

    Raises UsageError for an unknown term, and for one that needs a trunk where there is none.
    """

    def __init__(
        self, terms: Mapping[str, float], *, chroma: float = 1.0, trunk: Trunk | None = None
    ) -> None:
        super().__init__()
        unknown = set(terms) - set(TERMS) - set(TRUNK_TERMS)
        if unknown:
            known = ", ".join((*TERMS, *TRUNK_TERMS))
            raise UsageError(f"no loss is called {min(unknown)}; there are {known}")
        self.terms = dict(terms)
        self.chroma = chroma
        compared = set(terms) & set(TRUNK_TERMS)
        if compared and trunk is None:
            raise UsageError(f"the loss {min(compared)} needs a trunk: trunk = FILE names a ConvNeXt or VGG")
        self.trunk = trunk if compared else None

    def forward(self, result: Tensor, truth: Tensor, halved: Tensor | None = None) -> Tensor:
        chroma = Chroma(weight=self.chroma, halved=halved)
        total = result.new_zeros(())
        comparison = Comparison(self.trunk, result, truth) if self.trunk is not None else None
        for name, weight in self.terms.items():
            if comparison is not None and name in TRUNK_TERMS:
                total = total + weight * comparison.term(name)
            else:
                total = total + weight * TERMS[name](result, truth, chroma).mean()
        return total
