"""Training of all other networks, in their published form.

They start from the framework's initialisation, as in upstream, and are saved unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from paragon_stream.checkpoint import Weights
from paragon_stream.checkpoint.published import published_network
from paragon_stream.checkpoint.spec import NetworkSpec
from paragon_stream.errors import UsageError
from paragon_stream.models.build import build
from paragon_stream.models.dual import USUAL_GAIN, DualNet
from paragon_stream.models.shifted_attention import choose_attention
from paragon_stream.train.start import check_attention

GAINS = ("detail_gain", "global_detail_gain")


class PlainNet(nn.Module):
    """N×3×H×W RGB in [0, 1] to N×3×sH×sW; strengths are ignored."""

    def __init__(
        self, spec: NetworkSpec, *, use_checkpointing: bool = False, detail_gain: float = 0.0
    ) -> None:
        """`detail_gain` is the initial value; 0 for the generation's default."""
        super().__init__()
        self.spec = spec
        self.variant = spec.variant
        self.scale = spec.scale
        self.radius = spec.margin
        self.inner = build(spec, use_checkpointing=use_checkpointing)
        if detail_gain:
            self._begin_with(detail_gain)

    def _begin_with(self, gain: float) -> None:
        for name, parameter in self.inner.named_parameters():
            if name in GAINS:
                nn.init.constant_(parameter, gain)
                return
        if isinstance(self.inner, DualNet):  # v5's is a factor of the last layer's first weights alone
            with torch.no_grad():
                self.inner.conv_out.weight *= gain / USUAL_GAIN
            return
        raise UsageError(f"{self.spec} has no detail_gain")

    def forward(self, x: Tensor, strength: Tensor | None = None) -> Tensor:
        return self.inner(x)

    def with_replicated_border(self, x: Tensor) -> Tensor:
        """The result with replicated borders, as frame jobs compute it."""
        inner: Any = self.inner
        inner.border = "replicate"
        try:
            return inner(x.float())
        finally:
            inner.border = "zero"

    def release_state(self, *, gray: bool = False) -> dict[str, Tensor]:
        """The state dict as upstream has it."""
        state = self.inner.state_dict()
        return {key: value.detach().float().cpu().contiguous() for key, value in state.items()}

    @torch.no_grad()
    def start_from(self, weights: Weights) -> None:
        """Load all of `weights`; from another scale the tensors of the same shape.

        Raises UsageError if they are of another generation or size, or differ in their layers.
        """
        theirs, ours = weights.spec, self.spec
        sizes = [(each.generation, each.features, each.groups, each.blocks) for each in (theirs, ours)]
        if sizes[0] != sizes[1]:
            raise UsageError(f"{ours} cannot start from {weights.name}, which is {theirs}")
        check_attention(ours, weights)
        there, here = replace(theirs, scale=ours.scale).tensor_shapes(), ours.tensor_shapes()
        for name in (*there, *here):
            if there.get(name) != here.get(name):
                raise UsageError(
                    f"{ours} cannot start from {weights.name}: the tensor {name} is "
                    + ("missing there" if name not in there else "not one of this network's")
                    + "; set the same [network.options], and take weights that are not fused"
                )
        state = self.inner.state_dict()
        for name, value in weights.tensors.items():
            if name in state and state[name].shape == value.shape:
                state[name].copy_(torch.tensor(value))


def plain_network(
    generation: str, variant: str, scale: int, alpha: float, options: Mapping[str, Any]
) -> PlainNet:
    """The network that upstream registers under this name. `options`: those of `published_network`, and
    `use_checkpointing`, `detail_gain` and `attention_mode`. Raises UsageError."""
    given = dict(options)
    own = {name: given.pop(name) for name in ("use_checkpointing", "detail_gain") if name in given}
    net = PlainNet(published_network(generation, variant, scale, alpha=alpha, **given), **own)
    choose_attention(net, given.get("attention_mode", "sdpa"))
    return net
