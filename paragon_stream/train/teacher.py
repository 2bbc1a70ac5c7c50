"""Distillation: a trained network whose pictures a smaller one learns beside the truth.

The truth has detail that no network can restore from the LR picture; a larger network's picture of the same
patch has only what can be restored, so it is a target with less noise.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from paragon_stream.checkpoint import load_weights
from paragon_stream.checkpoint.spec import STRENGTH_TENSOR
from paragon_stream.errors import UsageError
from paragon_stream.models.load import as_module
from paragon_stream.train.network import conditioned


class Teacher(nn.Module):
    """A fixed network: N×3×H×W RGB around [0, 1] and N strengths to N×3×sH×sW, without gradients.

    Like the network in training it pads with zeros, so the outer LR pixels of a patch (`context` in the
    recipe) are wrong. Weights that are not conditioned on strength ignore the strengths.
    """

    def __init__(self, path: str | Path, scale: int) -> None:
        """Raises UsageError for another scale, CheckpointError for a file that holds no network."""
        super().__init__()
        weights = load_weights(path)
        if weights.spec.scale != scale:
            raise UsageError(
                f"the teacher {weights.name} is for ×{weights.spec.scale}, but the network is for ×{scale}"
            )
        self.net: nn.Module = as_module(weights).requires_grad_(False)
        slope = weights.tensors.get(STRENGTH_TENSOR)
        if slope is not None:
            self.register_buffer("slope", torch.tensor(slope))
            self.net.get_submodule("conv_in").register_forward_hook(self._condition)
        self._strength: Tensor | None = None

    def _condition(self, layer: nn.Module, inputs: tuple[Tensor], features: Tensor) -> Tensor:
        """The first features for the strengths of this batch."""
        assert self._strength is not None
        return conditioned(features, self._strength, self.get_buffer("slope"))

    @torch.no_grad()
    def forward(self, x: Tensor, strength: Tensor) -> Tensor:
        self._strength = strength
        picture: Tensor = self.net(x)
        return picture.float()
