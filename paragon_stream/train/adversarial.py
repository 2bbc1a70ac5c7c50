"""The relativistic adversarial loss with R1 and R2 (R3GAN, Huang et al. 2024), with the MUNet discriminator.

The losses use differences of paired logits, pixel by pixel: real minus fake. R1 and R2 penalise the
discriminator's gradient at real and at fake pictures; with both the training converges without further
measures. They cost more than everything else (a second derivative), so they can be computed every few steps
with a larger weight (lazy regularisation, Karras et al. 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from paragon_stream.checkpoint.lines.discriminator import munet
from paragon_stream.models.munet import MUNet
from paragon_stream.train.optimisers import set_learning_rate
from paragon_stream.train.processes import ALONE, Team
from paragon_stream.train.recipe import AdversarialRecipe

CLIP = 1.0
"""Largest norm of the discriminator's gradient. The first second derivatives are very large, and one such
step in Adam's second moment would slow down hundreds of steps."""


class Adversary:
    """The discriminator, its optimiser, and the weight's ramp."""

    def __init__(
        self, recipe: AdversarialRecipe, device: torch.device, *, lr: float = 2e-4, team: Team = ALONE
    ) -> None:
        """`lr` is the discriminator's highest rate if the recipe states none."""
        self.recipe, self._team = recipe, team
        self.net = (
            MUNet(munet(recipe.features, recipe.widths)).to(device).to(memory_format=torch.channels_last)
        )
        self.rate = recipe.lr or lr
        self.learning = [p for p in self.net.parameters() if p.requires_grad]  # not the fixed taps
        self.optimiser = torch.optim.AdamW(
            self.learning,
            lr=self.rate,
            betas=(0.0, 0.99),
            weight_decay=0.0,
        )

    def follow(self, share: float) -> None:
        """Set the discriminator's rate to this share of its highest rate, as the network's schedule does."""
        set_learning_rate(self.optimiser, share * self.rate)

    def weight(self, step: int) -> float:
        """0 until `start`, then linearly up to the full weight over `ramp` steps."""
        since = step - self.recipe.start
        return self.recipe.weight * min(max(since / max(self.recipe.ramp, 1), 0.0), 1.0)

    def generator_loss(self, fake: Tensor, real: Tensor, step: int) -> Tensor:
        """Weighted; zero before the ramp begins."""
        weight = self.weight(step)
        if weight == 0:
            return fake.new_zeros(())
        # This also adds to the discriminator's gradients, which are cleared before its own step.
        return weight * functional.softplus(self.net(real) - self.net(fake)).mean()

    def discriminator_step(self, fake: Tensor, real: Tensor, step: int) -> Mapping[str, float]:
        """One update; returns the loss and the balance (fraction of correctly classified pixels) for the
        log."""
        if step < self.recipe.start // 2:  # it trains for start / 2 steps before its loss counts
            return {}
        real, fake = real.detach().requires_grad_(), fake.detach().requires_grad_()
        on_real, on_fake = self.net(real), self.net(fake)
        difference = on_real - on_fake
        loss = functional.softplus(-difference).mean()
        total = loss
        if self.recipe.r1 and step % self.recipe.r1_every == 0:
            (g_real,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
            (g_fake,) = torch.autograd.grad(on_fake.sum(), fake, create_graph=True)
            penalty = g_real.square().sum((1, 2, 3)).mean() + g_fake.square().sum((1, 2, 3)).mean()
            pixels = real.shape[-1] * real.shape[-2]
            total = loss + 0.5 * self.recipe.r1 * self.recipe.r1_every * penalty / pixels
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        # torch's wrapper would do this, but it does not support second derivatives.
        self._team.average([p.grad for p in self.learning if p.grad is not None])
        torch.nn.utils.clip_grad_norm_(self.learning, CLIP)
        self.optimiser.step()
        return {
            "discriminator": self._team.mean(loss),
            "balance": self._team.mean((difference > 0).float().mean()),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.net.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
