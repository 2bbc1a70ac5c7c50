"""Over-parameterised layers that are collapsed at every step.

A dense layer's weight, as an out × (in · k²) matrix, is learned as the product of two larger ones: a k×k
convolution into `width` channels and a 1×1 convolution back. The product is computed at every step, so the
forward pass has the cost of the layer; only gradients and the optimiser use the larger matrices. The product
is saved. Bhardwaj et al. 2021, "Collapsible Linear Blocks for Super-Efficient Super Resolution",
arXiv:2103.09404. docs/training.md has its effect here.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class Expansion(nn.Module):
    """weight = narrow · wide, for a layer's weight of `shape`; begins as the weight that it replaces.

    `wide` is width × (in · k²) with orthogonal columns, so that narrow = weight · wideᵀ is exact.
    """

    def __init__(self, shape: torch.Size, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        columns = shape[1:].numel()
        gaussian = torch.randn(max(width, columns), columns, generator=generator)
        self.basis = torch.linalg.qr(gaussian)[0]

    def forward(self, narrow: Tensor, wide: Tensor) -> Tensor:
        return (narrow @ wide).view(self.shape)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        basis = self.basis.to(weight)
        return weight.reshape(self.shape[0], -1) @ basis.T, basis


def expand(network: nn.Module, width: int, generator: torch.Generator) -> None:
    """Expand every trainable dense convolution of `network` to matrices of `width`, in place.

    `width` counts channels between the two layers; a layer with more inputs than that gets as many as it
    has inputs.
    """
    for layer in list(network.modules()):
        if isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.weight.requires_grad:
            parametrize.register_parametrization(
                layer, "weight", Expansion(layer.weight.shape, width, generator), unsafe=True
            )


def collapsed[T: nn.Module](network: T) -> T:
    """A copy of `network` whose expanded layers are ordinary ones again."""
    plain = copy.deepcopy(network)
    for layer in plain.modules():
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return plain
