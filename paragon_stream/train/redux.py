"""Configurations of traiNNer-redux as recipes.

Every key is mapped, or named in a warning because it has no effect here, or causes an error that names it and
the solution. Keys for automatic steps (flips and rotations, channels-last, held-out pictures) are not needed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paragon_stream.checkpoint.config import read_yaml
from paragon_stream.errors import UsageError
from paragon_stream.train.redux_network import network_table

logger = logging.getLogger(__name__)

SUFFIXES = (".yml", ".yaml")

_LOSSES = {
    "l1loss": "l1",
    "mseloss": "l2",
    "charbonnierloss": "charbonnier",
    "mssimloss": "ms_ssim",
    "msssimloss": "ms_ssim",
    "ffloss": "focal_frequency",
    "focalfrequencyloss": "focal_frequency",
    "tvloss": "tv",
    "colorloss": "colour",
    "consistencyloss": "colour",
}
_COMPARING = (("dists", "dists"), ("perceptual", "features"), ("convnext", "features"))
"""Parts of the names of losses that compare features, and ours."""
_ADVERSARIAL = ("r3ganloss", "ganloss")
_MILESTONES = (0.5, 0.75, 0.9, 0.95)
_FLIPS = ("use_hflip", "use_rot")

_WITHOUT_EFFECT = {
    "": (
        "fast_matmul",
        "use_channels_last",
        "num_gpu",
        "logger",
        "detect_anomaly",
        "deterministic",
        "dist_params",
    ),
    "datasets.train": (
        *("name", "num_worker_per_gpu", "use_shuffle", "prefetch_mode", "dataset_enlarge_ratio"),
        *("io_backend", "pin_memory", "phase"),
    ),
    "path": ("strict_load_g", "strict_load_d", "experiments_root"),
    "val": ("val_enabled", "save_img", "metrics_enabled", "metrics", "tile_size", "tile_overlap", "pbar"),
    "train": ("find_unused_parameters",),
}
"""Keys without an effect on the weights in this project."""


class _Section:
    """A section of the configuration, whose keys are taken one by one. Remaining keys are errors."""

    def __init__(self, content: Any, name: str) -> None:
        if content is None:
            content = {}
        if not isinstance(content, dict):
            raise UsageError(f"{name} is {content!r}, not a section")
        self._left, self.name = dict(content), name

    def take(self, key: str, default: Any = None) -> Any:
        return self._left.pop(key, default)

    def section(self, key: str) -> _Section:
        return _Section(self.take(key), self.path(key))

    def sequence(self, key: str) -> list[Any]:
        """A list; empty where the key is absent or has no value. Raises UsageError."""
        if (value := self.take(key)) is not None and not isinstance(value, list):
            raise UsageError(f"{self.path(key)} = {value!r} is not a list")
        return value or []

    def path(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def number(self, key: str, default: float) -> float:
        value = _number(self.take(key, default))
        if value is None:
            raise UsageError(f"{self.path(key)} is not a number")
        return value

    def count(self, key: str, default: int) -> int:
        """A whole number, also as 1e5. Raises UsageError."""
        if not (value := self.number(key, default)).is_integer():
            raise UsageError(f"{self.path(key)} = {value:g} is not a whole number")
        return int(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false. Raises UsageError."""
        if type(value := self.take(key, default)) is not bool:
            raise UsageError(f"{self.path(key)} = {value!r} is not true or false")
        return value

    def has(self, key: str) -> bool:
        return key in self._left

    def whole(self, key: str) -> int | None:
        """A whole number; None where the key is absent. Raises UsageError."""
        if (value := self.take(key)) is not None and type(value) is not int:
            raise UsageError(f"{self.path(key)} = {value!r} is not a whole number")
        return value

    def only(self, key: str, *allowed: Any, advice: str) -> None:
        """Raise UsageError for the key if its value is not one of `allowed`."""
        if key in self._left and (value := self._left.pop(key)) not in allowed:
            raise UsageError(f"{self.path(key)} = {value!r} has no counterpart here: {advice}")

    def end(self, passed: list[str]) -> None:
        """Raise UsageError for the first key that was not taken; `passed` gets those without effect."""
        for key in list(self._left):
            if key in _WITHOUT_EFFECT.get(self.name, ()):
                passed.append(self.path(key))
                del self._left[key]
        for key, value in self._left.items():
            raise UsageError(f"{self.path(key)} = {value!r} has no counterpart here: leave it out")


def _number(value: Any) -> float | None:
    """The number that YAML has read, which takes 1e-4 for text; None if it is none."""
    try:
        return float(value) if type(value) in (int, float, str) else None
    except (ValueError, OverflowError):
        return None


def read_redux(path: Path) -> dict[str, Any]:
    """The table of a recipe. Raises InputError if the file cannot be read, UsageError for keys that cannot be
    mapped."""
    content = read_yaml(path)
    try:
        return _table(_Section(content, ""))
    except UsageError as error:
        raise UsageError(f"configuration {path}: {error}") from error


def _table(top: _Section) -> dict[str, Any]:
    passed: list[str] = []
    scale, network = top.take("scale"), top.take("network_g")
    if network is None:
        raise UsageError("it has no section network_g")
    table: dict[str, Any] = {
        "name": str(top.take("name", "unnamed")),
        "network": network_table(network, scale),
        "seed": top.count("manual_seed", 0),
        "compile": top.flag("use_compile", False),
    }
    uses_amp, narrow = top.flag("use_amp", False), top.flag("amp_bf16", True)
    if uses_amp and not narrow:
        raise UsageError("amp_bf16 = False has no counterpart here: mixed precision is bf16")
    table["precision"] = "bf16" if uses_amp else "fp32"
    _data(top.section("datasets"), table, passed)
    train = top.section("train")
    discriminator = top.section("network_d")
    _train(train, discriminator, table, passed)
    places = top.section("path")
    if init := places.take("pretrain_network_g"):
        table["init"] = str(init)
    advice = "a run resumes automatically from the state in its folder (--output)"
    places.only("resume_state", None, "~", advice=advice)
    places.only(
        "pretrain_network_d", None, "~", advice="discriminators always start from their initialisation"
    )
    places.end(passed)
    judged = top.section("val")
    if every := judged.whole("val_freq"):
        table["evaluate_every"] = every
    judged.end(passed)
    top.end(passed)
    if passed:
        logger.warning("keys without effect here: %s", ", ".join(passed))
    return table


def _data(datasets: _Section, table: dict[str, Any], passed: list[str]) -> None:
    train = datasets.section("train")
    if datasets.take("val"):
        raise UsageError(
            "datasets.val has no counterpart here: a part of the training pictures is held out (those that "
            "manifest.tsv marks val); leave the section out, and measure with paragon-stream eval"
        )
    datasets.end(passed)
    kind = str(train.take("type", "singleimagedataset")).lower()
    if kind == "realesrgandataset":
        raise UsageError(
            "datasets.train.type realesrgandataset has no counterpart here: set the degradations in a TOML "
            "recipe (docs/training.md)"
        )
    train.only(
        "dataroot_lq",
        None,
        advice="low-resolution pictures are made from dataroot_gt during training; leave it out",
    )
    roots = train.take("dataroot_gt")
    roots = [roots] if isinstance(roots, str) else roots
    if isinstance(roots, list) and len(roots) > 1:
        raise UsageError("datasets.train.dataroot_gt names several folders: put the pictures into one")
    data: dict[str, Any] = {"folder": str(roots[0])} if roots else {}
    network = table["network"]
    if (low := train.whole("lq_size")) is not None:
        data["patch"] = low
    if (large := train.whole("gt_size")) is not None:
        if large % network["scale"]:
            raise UsageError(f"{train.path('gt_size')} = {large} is no multiple of scale {network['scale']}")
        data["patch"] = large // network["scale"]
        if low is not None and low != data["patch"]:
            raise UsageError(
                f"{train.path('lq_size')} = {low} contradicts gt_size = {large}, {data['patch']} before "
                "the enlargement: leave one of them out"
            )
    if (batch := train.whole("batch_size_per_gpu")) is not None:
        data["batch"] = batch
    for name in _FLIPS:
        train.only(name, True, advice="pictures are always flipped and rotated")
    train.only("accum_iter", 1, advice="set batch_size_per_gpu to the product")
    train.end(passed)
    table["data"] = data


def _train(train: _Section, discriminator: _Section, table: dict[str, Any], passed: list[str]) -> None:
    steps = train.count("total_iter", 0)
    if steps < 1:
        raise UsageError("train.total_iter is missing: how many steps to train")
    table["steps"] = steps
    optimiser = train.section("optim_g")
    name = str(optimiser.take("type", "AdamW")).lower()
    if name not in ("adam", "adamw", "soap"):
        raise UsageError(f"train.optim_g.type = {name!r} has no counterpart here: use AdamW, Adam or SOAP")
    settings: dict[str, Any] = {
        "name": "soap" if name == "soap" else "adamw",
        "lr": optimiser.number("lr", 1e-4),
        "ema": train.number("ema_decay", 0.999),
        "warmup": max(0, train.count("warmup_iter", 0)),
        "schedule": _schedule(train, steps),
    }
    if betas := optimiser.sequence("betas"):
        settings["betas"] = [each if (number := _number(each)) is None else number for each in betas]
    optimiser.only("weight_decay", 0, 0.0, advice="there is no weight decay; set it to 0")
    optimiser.end(passed)
    if not train.flag("grad_clip", True):
        settings["clip"] = 1e9
    table["optimiser"] = settings
    table["loss"] = {}
    losses = [(_Section(each, "train.losses"), "") for each in train.sequence("losses")]
    for key in (
        *("pixel_opt", "ff_opt", "tv_opt", "mssim_opt", "color_opt", "consistency_opt"),
        *("perceptual_opt", "dists_opt", "gan_opt"),
    ):
        if given := train.take(key):
            losses.append((_Section(given, train.path(key)), key))
    for content, usual in losses:
        kind = str(content.take("type", usual))
        content.name = f"train loss {kind}"
        _loss(kind.lower(), content, discriminator, train, table, passed)
    if not table["loss"]:
        raise UsageError("train has no loss: add one, for example pixel_opt with the type L1Loss")
    train.only("optim_d", None, advice="there is no gan_opt")
    if discriminator.take("type") is not None and "adversarial" not in table:
        raise UsageError("network_d without train.gan_opt has no counterpart here: leave it out")
    discriminator.end(passed)
    train.end(passed)


def _schedule(train: _Section, steps: int) -> str:
    schedule = train.section("scheduler")
    kind = str(schedule.take("type", "MultiStepLR")).lower()
    if kind == "cosineannealinglr":
        schedule.only("T_max", steps, advice="the cosine ends with the training")
        schedule.only("eta_min", 0, 0.0, advice="the rate falls to 0; leave it out")
        found = "cosine"
    elif kind == "multisteplr":
        given = schedule.sequence("milestones")
        wanted = [round(part * steps) for part in _MILESTONES]
        if given and given != wanted:
            raise UsageError(
                f"train.scheduler.milestones = {given} has no counterpart here: the rate is halved at "
                f"{wanted}, or falls by CosineAnnealingLR"
            )
        schedule.only("gamma", 0.5, advice="the rate is halved")
        found = "multistep"
    else:
        raise UsageError(
            f"train.scheduler.type = {kind!r} has no counterpart here: use MultiStepLR or CosineAnnealingLR"
        )
    schedule.end([])
    return found


def _loss(
    kind: str,
    content: _Section,
    discriminator: _Section,
    train: _Section,
    table: dict[str, Any],
    passed: list[str],
) -> None:
    if kind in _ADVERSARIAL:
        if "adversarial" in table:
            raise UsageError(f"{content.name}: there are two adversarial losses, here there is one")
        table["adversarial"] = _adversarial(content, discriminator, train, passed)
        return
    name = _LOSSES.get(kind) or next((ours for part, ours in _COMPARING if part in kind), None)
    if name is None:
        known = ", ".join((*_LOSSES, "dists", "perceptualloss", "r3ganloss"))
        raise UsageError(f"the loss {kind} has no counterpart here: there are {known}")
    if kind not in _LOSSES:
        _trunk(kind, content, table)
    weight = content.number("loss_weight", 1.0)
    if not 0 <= weight < math.inf:
        raise UsageError(f"the weight of the loss {name} must be a number from 0 on, not {weight:g}")
    # Several of upstream's losses are one term here.
    table["loss"][name] = table["loss"].get(name, 0.0) + weight
    content.only("reduction", "mean", advice="losses are means")
    content.end(passed)


def _trunk(kind: str, content: _Section, table: dict[str, Any]) -> None:
    """The weights that a loss compares features of: upstream downloads them, here the file is named."""
    file = content.take("trunk")
    if not isinstance(file, str):
        raise UsageError(f"the loss {kind} needs the weights of a ConvNeXt or a VGG: add trunk: FILE to it")
    if table.setdefault("trunk", file) != file:
        raise UsageError(f"the losses name two trunks, {table['trunk']} and {file}: here there is one")


def _adversarial(
    content: _Section, discriminator: _Section, train: _Section, passed: list[str]
) -> dict[str, Any]:
    weight = content.number("gan_weight", content.number("loss_weight", 0.03))
    content.only("gan_weight_init", 0, 0.0, advice="the weight begins at 0")
    found: dict[str, Any] = {"weight": weight, "start": 0, "ramp": 0}
    if steps := content.sequence("gan_weight_steps"):
        pair = steps[0] if len(steps) == 1 and isinstance(steps[0], list) else []
        start, *end = map(_number, pair or [None])
        if start is None or not start.is_integer() or end != [weight]:
            raise UsageError(
                f"gan_weight_steps = {steps} has no counterpart here: use one step, to gan_weight"
            )
        found["start"] = int(start)
    content.only("gan_type", "r3gan", "vanilla", advice="the loss is relativistic, with R1 and R2")
    if content.has("r1_weight"):
        found["r1"] = content.number("r1_weight", 0.0)
    content.end(passed)
    kind = str(discriminator.take("type", "munet")).lower()
    if kind != "munet":
        raise UsageError(f"network_d.type = {kind!r} has no counterpart here: use munet")
    discriminator.only("num_in_ch", 3, advice="pictures are RGB")
    found["features"] = discriminator.count("num_feat", 64)
    found["widths"] = _whole_numbers(discriminator.take("ch_mult", [1, 2, 4, 8]))
    optimiser = train.section("optim_d")
    optimiser.only("type", "AdamW", "adamw", "Adam", "adam", advice="use AdamW")
    optimiser.only("weight_decay", 0, 0.0, advice="there is no weight decay; set it to 0")
    optimiser.only("betas", [0.0, 0.99], [0, 0.99], advice="they are 0 and 0.99")
    found["lr"] = optimiser.number("lr", 3e-5)
    optimiser.end(passed)
    return found


def _whole_numbers(values: Sequence[Any] | Mapping[str, Any]) -> list[int]:
    if not isinstance(values, list | tuple) or not all(type(each) is int for each in values):
        raise UsageError(f"network_d.ch_mult = {values!r} is not a list of whole numbers")
    return list(values)
