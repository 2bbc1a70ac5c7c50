"""The training loop: steps, evaluation, checkpoints, and resuming to the identical state.

A step depends only on the state (weights, optimiser, moving average, generators) and the step number, which
determines the batch. So a killed training resumes from its last state with identical results.
"""

from __future__ import annotations

import ctypes
import logging
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from paragon_stream.checkpoint import Weights, facts_of, save_weights
from paragon_stream.errors import CheckpointError, OutputError, ParagonError, UsageError, reason
from paragon_stream.models.checkpointing import set_checkpointing
from paragon_stream.train.adversarial import Adversary
from paragon_stream.train.data.batches import Batch, Batches, oriented, upright
from paragon_stream.train.depthwise import speed_up
from paragon_stream.train.expansion import collapsed, expand
from paragon_stream.train.log import Log
from paragon_stream.train.losses import Loss, with_chroma_of
from paragon_stream.train.network import TrainableNet
from paragon_stream.train.optimisers import MovingAverage, learning_rate, make_optimiser, set_learning_rate
from paragon_stream.train.plain import PlainNet, plain_network
from paragon_stream.train.processes import ALONE, Team
from paragon_stream.train.recipe import Recipe
from paragon_stream.train.start import start_from, unit_variance_start
from paragon_stream.train.teacher import Teacher
from paragon_stream.train.trunk import Trunk
from paragon_stream.train.validation import Validation
from paragon_stream.wholefile import whole_file

logger = logging.getLogger(__name__)

STATE_FILE = "state.pt"
BEST_FILE = "best.safetensors"
GPU_BATCH_THREADS = 4
"""A step is shorter there than it takes to prepare its batch."""


class DivergedError(ParagonError):
    """The loss is NaN or infinite; the last good checkpoint stays."""


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """The report of a training after each evaluation."""

    step: int
    steps: int
    loss: float
    scores: Mapping[str, float]
    best: float


type Report = Callable[[TrainingProgress], None]


class Training:
    """One run of a recipe in `folder`, which holds its state, log and best weights."""

    def __init__(
        self,
        recipe: Recipe,
        text: str,
        batches: Batches,
        validation: Validation,
        folder: Path,
        device: str,
        init: Weights | None = None,
        *,
        trunk: Trunk | None = None,
        teacher: Teacher | None = None,
        team: Team = ALONE,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.text, self.folder, self.team = recipe, text, folder, team
        self.log = Log(folder)
        self.batches, self.validation = batches, validation
        self.device = torch.device(device)
        self.net = self._new_network()
        generator = torch.Generator().manual_seed(recipe.seed)
        if isinstance(self.net, PlainNet):
            if init is not None:
                self.net.start_from(init)
        elif init is None:
            unit_variance_start(self.net, batches(0).lr, generator)
        else:
            start_from(self.net, init, batches(0).lr, generator)
        if recipe.network.expand:
            expand(self.net, recipe.network.expand, generator)
        self.net.to(self.device).to(memory_format=torch.channels_last)
        if self.device.type == "cpu" and isinstance(self.net, TrainableNet):
            speed_up(self.net)
        self.average = MovingAverage(self.net, recipe.optimiser.ema)
        self.optimiser = make_optimiser(self.net, recipe.optimiser)
        self.luma_alone = recipe.network.filters_chroma
        chroma = 1.0 if self.luma_alone else recipe.chroma
        self.loss = Loss(recipe.loss, chroma=chroma, trunk=trunk).to(self.device)
        self.teacher = None if teacher is None else teacher.to(self.device)
        third = recipe.optimiser.lr / 3
        game = recipe.adversarial
        self.adversary = Adversary(game, self.device, lr=third, team=team) if game.weight else None
        shared = team.wrapped(self.net, self.device, leaves_out=isinstance(self.net, PlainNet))
        self.forward = torch.compile(shared) if recipe.compile else shared
        self.step = 0
        self.best = -math.inf
        self.sums: dict[str, tuple[float, int]] = {}

    def run(self, report: Report = lambda progress: None) -> float:
        """Train to the end; the best validation PSNR-Y.

        Raises DivergedError if the loss is NaN or infinite, OutputError if nothing can be written.
        """
        self.resume()
        self.team.meet()  # all have read the state before it is replaced
        steps, every = self.recipe.steps, self.recipe.evaluate_every
        for batch in self.batches.stream(self.step, steps, threads=self.batch_threads):
            self.advance(batch)
            if self.step % every == 0 or self.step == steps:
                if self.team.leads:
                    self.evaluate(report)
                self.sums = {}
        self.team.meet()
        return self.best

    @property
    def batch_threads(self) -> int:
        """Threads that prepare batches: on CPUs the network needs the others."""
        return 1 if self.device.type == "cpu" else GPU_BATCH_THREADS

    def advance(self, batch: Batch) -> None:
        """One step on one batch."""
        recipe, batch = self.recipe, self.team.part(batch)
        rate = learning_rate(self.step, recipe.steps, recipe.optimiser)
        set_learning_rate(self.optimiser, rate)
        if self.adversary is not None:
            self.adversary.follow(rate / recipe.optimiser.lr)
        low = oriented(batch.lr.to(self.device), batch.turn).contiguous(memory_format=torch.channels_last)
        truth = batch.hr.to(self.device)
        strength = batch.strength.to(self.device)
        halved = batch.halved.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            result = upright(self.forward(low, strength), batch.turn).float()
            taught = None if self.teacher is None else upright(self.teacher(low, strength), batch.turn)
        cut = recipe.data.context * recipe.network.scale
        cut += cut % 2  # keeps the siting of 4:2:0 chroma
        inner = (..., slice(cut, -cut or None), slice(cut, -cut or None))
        result, truth = result[inner], truth[inner]
        if self.luma_alone:
            result = with_chroma_of(result, truth)
        loss = self.loss(result, truth, halved)
        if taught is not None:
            taught = with_chroma_of(taught[inner], truth) if self.luma_alone else taught[inner]
            loss = torch.lerp(loss, self.loss(result, taught, halved), recipe.teacher_share)
        total = loss
        if self.adversary is not None:
            total = total + self.adversary.generator_loss(result, truth, self.step)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        # Kernels that are tracked, and statistics, are means over the batch.
        self.team.average(each for each in self.net.buffers() if each.is_floating_point())
        parameters = [p for p in self.net.parameters() if p.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(parameters, recipe.optimiser.clip)
        value = self.team.mean(loss)
        if not (math.isfinite(value) and math.isfinite(float(norm))):
            kept = self.folder / STATE_FILE
            where = f"; the last good state is {kept}" if kept.exists() else ""
            raise DivergedError(
                f"the loss is {value}, its gradient {float(norm)}, at step {self.step}{where}"
            )
        self.optimiser.step()
        if self.adversary is not None:
            self._count(self.adversary.discriminator_step(result.detach(), truth, self.step))
        self._count({"loss": value, "gradient": float(norm)})
        self.average.update(self.net, self.step)
        self.step += 1

    def _count(self, values: Mapping[str, float]) -> None:
        """Add to the means of the next row of the log; the discriminator's begin later than the others."""
        for name, value in values.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = total + value, count + 1

    def evaluate(self, report: Report) -> None:
        """Score the averaged weights, keep them if they are the best so far, log, and save the state."""
        shadow = self.averaged()
        scores = self.validation(shadow)
        if self.luma_alone:
            for of_chroma in ("psnr_planes", "gain_420", "gain_rgb"):
                scores.pop(of_chroma, None)
        means = {name: total / count for name, (total, count) in self.sums.items()}
        score = scores["psnr" if self.recipe.keep == "last" else self.recipe.keep]
        if score > self.best or self.recipe.keep == "last":
            self.best = score
            self.save_best(shadow)
        self.log.add({"step": self.step, **means, **scores})
        self.save_state()
        progress = TrainingProgress(
            step=self.step, steps=self.recipe.steps, loss=means["loss"], scores=scores, best=self.best
        )
        report(progress)

    def _new_network(self) -> TrainableNet | PlainNet:
        network = self.recipe.network
        if not network.is_free:
            return plain_network(
                network.generation, network.variant, network.scale, network.alpha, network.options
            )
        net = TrainableNet(
            network.variant,
            network.scale,
            conditioned=network.conditioned,
            alpha=network.alpha,
            window=network.spec.window,
        )
        set_checkpointing(net, bool(network.options.get("use_checkpointing", False)))
        return net

    def averaged(self) -> TrainableNet | PlainNet:
        """A copy of the network with the averaged weights, in its plain form, in eval mode."""
        shadow = self._new_network()
        if self.recipe.network.expand:
            expand(shadow, self.recipe.network.expand, torch.Generator())
        shadow.load_state_dict(self.average.state)
        expands = self.recipe.network.expand and isinstance(shadow, TrainableNet)
        plain = collapsed(shadow) if expands else shadow
        return plain.to(self.device).to(memory_format=torch.channels_last).eval()

    def save_best(self, network: TrainableNet | PlainNet) -> None:
        """The weights in upstream's form, with full metadata."""
        recipe = self.recipe
        metadata = {
            **facts_of(network.spec),
            "variant": recipe.network.variant,
            "upsampler_alpha": str(recipe.network.alpha),
            "name": recipe.name,
            "recipe": self.text,
            "data_licences": recipe.data_licences,
            "step": str(self.step),
            "validation_psnr_y": f"{self.best:.3f}",
        }
        if recipe.network.filters_chroma:
            metadata["filters_chroma"] = "true"
        tensors = {key: value.numpy() for key, value in network.release_state(gray=self.luma_alone).items()}
        save_weights(self.folder / BEST_FILE, tensors, metadata)

    def state(self) -> dict[str, Any]:
        """The complete state of the training, from which it continues."""
        return {
            "recipe": self.text,
            "step": self.step,
            "best": self.best,
            "network": self.net.state_dict(),
            "average": self.average.state,
            "optimiser": self.optimiser.state_dict(),
            "generator": torch.get_rng_state(),
            "adversary": self.adversary.state_dict() if self.adversary else None,
        }

    def save_state(self) -> None:
        """Write the state; the old one stays until the new one is complete."""
        write_state(self.state(), self.folder / STATE_FILE)

    def resume(self) -> None:
        """Resume from the folder's state, if there is one.

        Raises UsageError if it belongs to another recipe, CheckpointError if it is damaged.
        """
        path = self.folder / STATE_FILE
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:  # torch raises many types of errors for a damaged file
            raise CheckpointError(f"state {path} cannot be read: {reason(error)}") from error
        if not isinstance(state, dict) or not self.state().keys() <= state.keys():
            raise CheckpointError(
                f"{path} is not the state of a training; choose another folder or delete it"
            )
        if state["recipe"] != self.text:
            raise UsageError(f"{path} belongs to another recipe; choose another folder or delete it")
        self.net.load_state_dict(state["network"])
        self.average.state = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["generator"].cpu())
        if self.adversary is not None:
            self.adversary.load_state_dict(state["adversary"])
        self.step, self.best = state["step"], state["best"]
        if self.team.leads:
            self.log.cut(self.step)
        logger.info("resumed at step %d", self.step)


def write_state(state: Mapping[str, Any], path: Path) -> None:
    """`torch.save` under the final name only when complete. Raises OutputError."""
    with whole_file(path) as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:  # torch's error for a full disk
            raise OutputError(f"{path} cannot be written: {reason(error)}") from error


def keep_freed_memory() -> None:
    """Make glibc keep large freed blocks instead of returning them to the kernel.

    Every step allocates the same tensors again; without this half of the CPU time is spent on clearing pages.
    """
    if sys.platform == "linux":
        trim, mmap = -1, -3
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(mmap, 1 << 30)
            libc.mallopt(trim, (1 << 31) - 1)
