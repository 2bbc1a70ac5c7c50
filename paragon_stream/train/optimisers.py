"""The optimiser of a recipe, its learning rate at every step, and the moving average of the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from paragon_stream.train.recipe import OptimiserRecipe
from paragon_stream.train.soap import SOAP


def make_optimiser(network: nn.Module, recipe: OptimiserRecipe) -> torch.optim.Optimizer:
    """The optimiser of the trainable parameters; the base path's taps are frozen."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    if recipe.name == "soap":
        return SOAP(parameters, lr=recipe.lr, betas=recipe.betas)
    return torch.optim.AdamW(parameters, lr=recipe.lr, betas=recipe.betas, weight_decay=0.0)


def learning_rate(step: int, steps: int, recipe: OptimiserRecipe) -> float:
    """The learning rate of `step` (from 0): linear warm-up, then the schedule."""
    warm = min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else 1.0
    share = min(1.0, step / steps)
    if recipe.schedule == "cosine":
        factor = 0.5 * (1 + math.cos(math.pi * share))
    elif recipe.schedule == "onecycle":
        # Rises to the peak over the first 30 %, then falls to zero by a cosine.
        rise = 0.3
        factor = share / rise if share < rise else 0.5 * (1 + math.cos(math.pi * (share - rise) / (1 - rise)))
        factor = max(factor, 0.04 if share < rise else 0.0)
    else:
        factor = 0.5 ** sum(share >= milestone for milestone in (0.5, 0.75, 0.9, 0.95))
    return recipe.lr * warm * factor


def set_learning_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = value


class MovingAverage:
    """Exponential moving average of a network's state; it is short at first, so that the initial weights
    fade."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {key: value.detach().clone() for key, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        current: dict[str, Tensor] = network.state_dict()
        moving = [key for key, value in current.items() if value.is_floating_point()]
        for key in current.keys() - moving:  # flags and counters
            self.state[key].copy_(current[key])
        torch._foreach_lerp_([self.state[k] for k in moving], [current[k] for k in moving], 1 - decay)
