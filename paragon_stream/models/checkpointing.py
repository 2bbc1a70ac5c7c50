"""Gradient checkpointing: the backward pass computes the groups of a body again instead of storing them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from paragon_stream.models.mixers import TrackedMixer


def run_groups(body: nn.Sequential, x: Tensor, use_checkpointing: bool) -> Tensor:
    """`body(x)`; with `use_checkpointing`, while gradients are computed, only the groups' inputs are kept.

    The values are the same, and so are running averages: the second computation does not update them.
    """
    if not (use_checkpointing and body.training and torch.is_grad_enabled()):
        return body(x)
    for group in body:

        def contexts(
            module: nn.Module = group,
        ) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), _without_updates(module)

        x = checkpoint(group, x, use_reentrant=False, context_fn=contexts)
    return x


@contextmanager
def _without_updates(module: nn.Module) -> Iterator[None]:
    """Inside the block running averages do not change."""
    tracked = [each for each in module.modules() if isinstance(each, TrackedMixer)]
    norms = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]
    for each in tracked:
        each.tracks = False
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for each in tracked:
            each.tracks = True
        for norm in norms:
            norm.track_running_stats = True
