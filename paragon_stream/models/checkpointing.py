"""Gradient checkpointing: the backward pass computes the blocks of a body again instead of storing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from paragon_stream.models.mixers import TrackedMixer


class Recomputing(nn.Module):
    """A module with parts that are computed again where `set_checkpointing` has been called."""

    checkpoints = False

    def compute(self, part: nn.Module, *given: Tensor) -> Any:
        """`part(*given)`. While gradients are computed, only `given` is kept with `checkpoints`.

        The values are the same, and so are running averages: the second computation does not update them.
        """
        if not (self.checkpoints and self.training and torch.is_grad_enabled()):
            return part(*given)
        return checkpoint(part, *given, use_reentrant=False, context_fn=_contexts(part))


class Blocks(Recomputing, nn.Sequential):
    """Modules one after another, each computed again on its own."""

    def forward(self, x: Tensor) -> Tensor:
        for block in self:
            x = self.compute(block, x)
        return x


def set_checkpointing(net: nn.Module, chosen: bool) -> None:
    """Whether the blocks of `net`, also those at the large size, are computed again in the backward pass."""
    for module in net.modules():
        if isinstance(module, Recomputing):
            module.checkpoints = chosen


def _contexts(
    part: nn.Module,
) -> Callable[[], tuple[AbstractContextManager[None], AbstractContextManager[None]]]:
    return lambda: (nullcontext(), _without_updates(part))


@contextmanager
def _without_updates(module: nn.Module) -> Iterator[None]:
    """Inside the block running averages do not change."""
    tracked = [each for each in module.modules() if isinstance(each, TrackedMixer)]
    norms = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for each in tracked:
        each.tracks = False
    for norm in norms:  # without statistics, a norm would keep other tensors than the first time
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for each in tracked:
            each.tracks = True
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
