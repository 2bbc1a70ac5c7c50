"""Losses on the features of a trained network (`train.trunk`) instead of samples.

`features` is the distance of features whose vectors have unit length (LPIPS, Zhang et al. 2018, but for its
learned weights). `dists` compares means (texture) and covariances (structure) of each feature (DISTS, Ding
et al. 2020, with equal weights instead of learned ones); the picture itself is the first map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from paragon_stream.errors import UsageError
from paragon_stream.train.trunk import Trunk

SMALLEST = 1e-6
"""Smallest variance, and smallest length of a vector."""


def features(result: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """Mean over the maps, pixels and samples of the squared distance of unit vectors, per sample: [N]."""
    total = result[0].new_zeros(len(result[0]))
    for a, b in zip(result[1:], truth[1:], strict=True):
        total = total + (_unit(a) - _unit(b)).square().sum(1).mean((1, 2))
    return total / (len(result) - 1)


def dists(result: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """1 - mean over features of half texture's and half structure's similarity, per sample: [N]."""
    total = result[0].new_zeros(len(result[0]))
    for a, b in zip(result, truth, strict=True):
        mean_a, mean_b = a.mean((2, 3)), b.mean((2, 3))
        variance_a, variance_b = a.var((2, 3), correction=0), b.var((2, 3), correction=0)
        covariance = (a * b).mean((2, 3)) - mean_a * mean_b
        texture = (2 * mean_a * mean_b + SMALLEST) / (mean_a**2 + mean_b**2 + SMALLEST)
        structure = (2 * covariance + SMALLEST) / (variance_a + variance_b + SMALLEST)
        total = total + 1 - 0.5 * (texture + structure).mean(1)
    return total / len(result)


TRUNK_TERMS: dict[str, Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]] = {
    "features": features,
    "dists": dists,
}
"""Functions of the picture and its maps, of the result and of the truth."""


class Comparison:
    """The maps of a result and its truth, made once for all terms."""

    def __init__(self, trunk: Trunk, result: Tensor, truth: Tensor) -> None:
        """Raises UsageError where the trunk fails, for example because patches are too small."""
        try:
            self._result = [result, *trunk(result)]
            with torch.no_grad():
                self._truth = [truth, *trunk(truth)]
        except RuntimeError as error:
            sides = "×".join(map(str, result.shape[-2:]))
            if "size" not in str(error):  # out of memory, for example
                raise
            raise UsageError(
                f"patches of {sides} pixels are too small for the trunk: raise [data] patch"
            ) from error

    def term(self, name: str) -> Tensor:
        return TRUNK_TERMS[name](self._result, self._truth).mean()


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True) + SMALLEST).sqrt()
