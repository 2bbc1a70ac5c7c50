"""Recipes: small TOML files with all settings of a training. Unknown keys are errors.

Every table is one frozen dataclass below; its fields are the keys, with their defaults. `check` raises
UsageError for values that make no sense.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paragon_stream.checkpoint.config import read_yaml
from paragon_stream.checkpoint.published import published_network
from paragon_stream.checkpoint.spec import NetworkSpec
from paragon_stream.errors import InputError, UsageError, reason
from paragon_stream.train.data.degradations import ClipDegradation, StillDegradation
from paragon_stream.train.data.resample import KERNELS
from paragon_stream.train.limits import (
    check_above_zero,
    check_choice,
    check_numbers,
    check_ranges,
    check_shares,
)
from paragon_stream.train.redux import SUFFIXES, read_redux
from paragon_stream.train.redux_network import network_table
from paragon_stream.train.tables import from_table


@dataclass(frozen=True, kw_only=True)
class NetworkRecipe:
    """The network. `conditioned` networks take the strength of compression; `alpha` is the base path's weight
    of the half-band filter. With `filters_chroma` a filter enlarges chroma (`framejob.taps.chroma_enlarged`)
    and only luma is learned; the saved file has this fact. With `expand` dense layers are learned as products
    of matrices of that width (`train.expansion`); the saved network is the same.

    Other generations, and `pro`, are trained in their published form (`train.plain`); `options` are those of
    the generation's networks (`hr_blocks`, `use_attention`, `window_size` …), `use_checkpointing`,
    `detail_gain` and `attention_mode`: sdpa, flex (`models.shifted_attention`), or none for a network without
    attention, as `export_safe` makes it.

    A key `config` names a traiNNer-redux file (relative to the recipe), whose `network_g` sets generation,
    variant, scale, alpha and options; the recipe may only repeat them.
    """

    variant: str
    scale: int = 2
    alpha: float = 0.0
    generation: str = "p2head"
    options: Mapping[str, Any] = field(default_factory=dict)
    conditioned: bool = False
    filters_chroma: bool = False
    expand: int = 0

    @property
    def is_free(self) -> bool:
        """Whether it is trained in the form of `train.network`."""
        return self.generation == "p2head" and self.variant in ("realtime", "stream", "photo")

    @property
    def spec(self) -> NetworkSpec:
        """The network. Raises UsageError for names and options that do not exist."""
        own = ("use_checkpointing",) if self.is_free else ("use_checkpointing", "detail_gain")
        options = {name: value for name, value in self.options.items() if name not in own}
        return published_network(self.generation, self.variant, self.scale, alpha=self.alpha, **options)

    def check(self) -> None:
        check_choice("scale", self.scale, (2, 3, 4, 8))
        for name in ("generation", "variant", "scale", "alpha"):
            if name in self.options:
                raise UsageError(f"[network.options] {name} belongs to the table [network]")
        self.spec  # noqa: B018  (raises for unknown names and options)
        check_numbers("network", self, "expand")
        for name, chosen in (("conditioned", self.conditioned), ("expand", self.expand)):
            if chosen and not self.is_free:
                raise UsageError(f"[network] {name} is for realtime, stream and photo of p2head")


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """The training data: a `folder` of good pictures (relative to the recipe; empty if `--data` names it),
    and a number of `drawings` (`train.data.drawings`). From each picture, `stills` degraded pictures and
    `clips` degraded clips are made. A step has `batch` patches of `patch`² LR pixels; the fraction
    `clip_share` comes from clips, the fraction `patterns` is drawn (`train.data.patterns`). The outer
    `context` LR pixels of a patch are computed, but do not count in the loss. The fraction `soft` of the
    patches from stills is made from a picture that was softened by a Gaussian with a sigma (HR pixels) from
    `soften`, because sources are often soft and should stay soft."""

    folder: str = ""
    stills: int = 1
    clips: int = 0
    clip_share: float = 0.0
    window: int = 384
    patch: int = 36
    batch: int = 16
    context: int = 4
    strength_jitter: float = 0.02
    patterns: float = 0.0
    drawings: int = 0
    soft: float = 0.0
    soften: tuple[float, float] = (0.6, 2.5)

    def check(self) -> None:
        check_numbers("data", self, "batch", "window", least=1)
        check_numbers("data", self, "context", "drawings", "stills", "clips", "strength_jitter")
        if self.patch % 2 or self.patch <= 2 * self.context:
            raise UsageError(f"patch must be even and larger than twice the context, not {self.patch}")
        if self.stills < 1 and self.clips < 1:
            raise UsageError("[data] needs stills or clips")
        check_shares("data", self, "patterns", "soft")
        check_ranges("data", self, "soften", above=True)
        if not 0 <= self.clip_share <= 1 or (self.clip_share > 0) != (self.clips > 0):
            raise UsageError("[data] clip_share must be in 0…1, and above 0 exactly if there are clips")


@dataclass(frozen=True, kw_only=True)
class OptimiserRecipe:
    """`name` soap or adamw; `schedule` cosine, onecycle or multistep (÷2 at 50, 75, 90 and 95 % of the
    steps)."""

    name: str = "soap"
    lr: float = 8e-3
    betas: tuple[float, float] = (0.9, 0.99)
    schedule: str = "cosine"
    warmup: int = 200
    clip: float = 1.0
    ema: float = 0.999

    def check(self) -> None:
        check_choice("name", self.name, ("soap", "adamw"))
        check_choice("schedule", self.schedule, ("cosine", "onecycle", "multistep"))
        check_above_zero("optimiser", self, "lr", "clip")
        check_numbers("optimiser", self, "warmup")
        for name, values in (("betas", self.betas), ("ema", [self.ema])):
            if not all(0 <= value < 1 for value in values):
                raise UsageError(f"[optimiser] {name} must be from 0 to below 1, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class AdversarialRecipe:
    """Relativistic loss with R1, weight ramped up from 0 between steps `start` and `start + ramp`; off at
    weight 0.

    `lr` is the discriminator's highest rate, which follows the optimiser's schedule; 0: a third of the
    optimiser's. It trains from step `start` / 2 on. `r1` is the weight of R1 and R2, taken
    every `r1_every` steps. `features` and `widths` are the MUNet discriminator's.
    """

    weight: float = 0.0
    start: int = 1000
    ramp: int = 2000
    lr: float = 0.0
    r1: float = 1e-5
    r1_every: int = 4
    features: int = 32
    widths: tuple[int, ...] = (1, 2, 2)

    def check(self) -> None:
        check_numbers("adversarial", self, "r1_every", "features", least=1)
        check_numbers("adversarial", self, "weight", "start", "ramp", "lr", "r1")
        if not self.widths or min(self.widths) < 1:
            raise UsageError(f"[adversarial] widths must be numbers from 1 on, not {list(self.widths)}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training. `name` is the set's; `init` a checkpoint (relative to the recipe) whose body is
    started from instead of unit variance, whatever its scale; `trunk` the weights (likewise) of a
    ConvNeXt or VGG whose features the losses `features` and `dists` compare; `teacher` a trained
    network of the same scale (likewise): the losses compare with its pictures at the weight
    `teacher_share`, with the truth at the rest (`train.teacher`); `keep` says which weights are kept:
    those of the best "psnr" of luma, or "psnr_planes" of luma and chroma (6 : 1 : 1), or the "last",
    for losses that PSNR says nothing about."""

    name: str
    network: NetworkRecipe
    data: DataRecipe
    steps: int
    loss: Mapping[str, float] = field(default_factory=lambda: {"l1": 1.0})
    chroma: float = 1.0
    still: StillDegradation = field(default_factory=StillDegradation)
    clip: ClipDegradation = field(default_factory=ClipDegradation)
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)
    adversarial: AdversarialRecipe = field(default_factory=AdversarialRecipe)
    seed: int = 0
    init: str = ""
    trunk: str = ""
    teacher: str = ""
    teacher_share: float = 0.5
    keep: str = "psnr"
    evaluate_every: int = 1000
    precision: str = "fp32"
    compile: bool = False
    data_licences: str = "not stated"

    def check(self) -> None:
        check_choice("precision", self.precision, ("fp32", "bf16"))
        check_choice("keep", self.keep, ("psnr", "psnr_planes", "last"))
        check_numbers("", self, "steps", "evaluate_every", least=1)
        check_numbers("", self, "chroma", "seed")
        if self.seed >= 2**63:
            raise UsageError(f"seed must be below 2^63, not {self.seed}")
        self.network.check()
        self.data.check()
        self.optimiser.check()
        self.adversarial.check()
        self._check_losses()
        if not 0 < self.teacher_share <= 1:
            raise UsageError(f"teacher_share must be above 0 and at most 1, not {self.teacher_share:g}")
        self.still.check()
        self.clip.check()
        least = self.data.patch * self.network.scale
        if self.data.clips and self.data.window < least:
            raise UsageError(f"[data] window = {self.data.window} has no room for a patch: it needs {least}")
        for table, kernels in (("still", self.still.kernels), ("clip", self.clip.kernels)):
            for kernel in kernels:
                if kernel not in KERNELS:
                    raise UsageError(
                        f"[{table}] no kernel is called {kernel}; there are {', '.join(KERNELS)}"
                    )
            if not kernels:
                raise UsageError(f"[{table}] kernels must name at least one kernel")
        window = self.network.spec.window or 1
        if self.network.is_free and self.data.patch % window:
            raise UsageError(
                f"patch must be a multiple of photo's windows of {window}, not {self.data.patch}"
            )
        if self.network.filters_chroma and self.keep == "psnr_planes":
            raise UsageError(
                'with filters_chroma, chroma cannot select a checkpoint: use keep = "psnr" or "last"'
            )

    def _check_losses(self) -> None:
        from paragon_stream.train.losses import TERMS
        from paragon_stream.train.perceptual import TRUNK_TERMS

        for term, weight in self.loss.items():
            if term not in TERMS and term not in TRUNK_TERMS:
                raise UsageError(f"[loss] unknown term {term}; known: {', '.join((*TERMS, *TRUNK_TERMS))}")
            if not 0 <= weight < math.inf:
                raise UsageError(f"the weight of the loss {term} must be a number from 0 on, not {weight:g}")
        if not any(self.loss.values()):
            raise UsageError("[loss] needs a term with a weight above 0")
        compared = [term for term in self.loss if term in TRUNK_TERMS]
        if compared and not self.trunk:
            raise UsageError(
                f"[loss] {compared[0]} compares the features of a trained network: "
                "trunk = FILE names the weights of a ConvNeXt or a VGG"
            )
        if self.trunk and not compared:
            raise UsageError(
                f"trunk is for the losses {' and '.join(TRUNK_TERMS)}: name one, or leave it out"
            )


def read_recipe(path: Path) -> tuple[Recipe, str]:
    """The recipe in a file, and the file's text (which goes into the weights' metadata), with the facts of a
    `config` as a comment at its end.

    Raises InputError if the file cannot be read, UsageError for TOML errors, unknown keys, wrong types
    and values.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {path} cannot be read: {reason(error)}") from error
    try:
        table = read_redux(path) if path.suffix in SUFFIXES else tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"recipe {path} is not valid TOML: {error}") from error
    try:
        text += _take_config(table, path.parent)
        recipe = from_table(Recipe, table)
        recipe.check()
    except UsageError as error:
        raise UsageError(f"recipe {path}: {error}") from error
    return recipe, text


def _take_config(table: dict[str, Any], folder: Path) -> str:
    """Replace `config` in [network] by the facts in that file; the facts as a comment, "" without one."""
    network = table.get("network")
    if not isinstance(network, dict) or not isinstance(network.get("config"), str):
        return ""
    name = network.pop("config")
    content = read_yaml(folder / name)
    try:
        if not isinstance(content, dict):
            raise UsageError("it has no section network_g")
        section, scale = content.get("network_g"), content.get("scale")
        if scale is None and not (isinstance(section, dict) and "scale" in section):
            scale = network.get("scale", 2)
        given = network_table(section, scale)
    except UsageError as error:
        raise UsageError(f"configuration {name}: {error}") from error
    facts = f"\n# {name}: " + ", ".join(f"{key} = {value!r}" for key, value in given.items()) + "\n"
    _merge(network, given, name, "[network]")
    return facts


def _merge(table: dict[str, Any], given: Mapping[str, Any], source: str, where: str) -> None:
    """Add the values of `source`. Raises UsageError if the table has other values."""
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(table.get(key), dict):
            _merge(table[key], value, source, f"[network.{key}]")
        elif table.setdefault(key, value) != value:
            raise UsageError(f"{where} {key} = {table[key]!r}, but {source} says {value!r}")
