"""`train`: from a recipe file to trained weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from paragon_stream.checkpoint import load_weights
from paragon_stream.device.discovery import ordinals
from paragon_stream.errors import InputError, OutputError, UsageError, reason
from paragon_stream.train.data.batches import Batches
from paragon_stream.train.data.images import drawings, list_sources
from paragon_stream.train.data.shards import Shard, ShardPlan, shards
from paragon_stream.train.loop import BEST_FILE, Report, Training, keep_freed_memory
from paragon_stream.train.processes import ALONE, Team, run_together
from paragon_stream.train.recipe import Recipe, read_recipe
from paragon_stream.train.teacher import Teacher
from paragon_stream.train.trunk import load_trunk
from paragon_stream.train.validation import Validation

logger = logging.getLogger(__name__)

type Preparation = Callable[[str, int, int], None]
"""Called with the name of the data in preparation, the number of finished items, and the total number."""


@dataclass(frozen=True, kw_only=True)
class TrainingFiles:
    """The files of a training."""

    recipe: Path
    """The recipe; `init`, `trunk` and `teacher` are relative to its folder."""
    pictures: Path
    """Folder of good pictures."""
    cache: Path
    """Folder of degraded pictures."""
    folder: Path
    """Folder of the run: its state, its log, the best weights."""


def train(
    recipe_path: str | Path,
    *,
    data: str | Path | None = None,
    output: str | Path | None = None,
    device: str = "cpu",
    processes: int = 1,
    threads: int | None = None,
    cache: str | Path | None = None,
    report: Report = lambda progress: None,
    preparing: Preparation = lambda what, done, total: None,
) -> Path:
    """Train as a recipe describes. Returns the path of the best weights (safetensors in upstream's form, with
    metadata).

    `data` is the folder of good pictures, instead of the recipe's. `output` is the run's folder (default:
    `runs/<recipe's stem>` below the working directory); it holds `state.pt` (resumed from if it is
    there), `log.csv` with its plot, and `best.safetensors`. Degraded pictures are made once and kept
    below `cache` (default: `shards` beside the output).

    `device` is "cpu", "cuda:N", or several GPUs ("cuda:0,cuda:1", "cuda:all"), which share each batch. With
    `processes` above 1, so many on the CPU do; a program that asks for that needs the usual
    `if __name__ == "__main__":`. The weights are those of one process, up to rounding.

    Raises UsageError, InputError and CheckpointError for bad recipes, data, `init`, `trunk` and `teacher`,
    OutputError if nothing can be written, EngineError if another process fails, and DivergedError if the loss
    stops being a number.
    """
    recipe_path = Path(recipe_path)
    recipe, _ = read_recipe(recipe_path)
    devices = training_devices(device, processes)
    if recipe.data.batch % len(devices):
        raise UsageError(f"a batch of {recipe.data.batch} cannot be shared by {len(devices)} processes")
    folder = Path(output) if output is not None else Path("runs") / recipe_path.stem
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {reason(error)}") from error
    if data is None and not recipe.data.folder:
        raise UsageError(f"{recipe_path} names no folder of pictures to train on: give it with --data")
    files = TrainingFiles(
        recipe=recipe_path,
        pictures=(recipe_path.parent / recipe.data.folder).resolve() if data is None else Path(data),
        folder=folder,
        cache=Path(cache) if cache is not None else folder.parent / "shards",
    )
    each = threads if threads is None else max(1, threads // len(devices))
    if len(devices) == 1:
        _train(ALONE, devices[0], files, each, report, preparing)
        return folder / BEST_FILE
    for split in ("train", "val"):  # before the others start, which find them made
        prepare(recipe, files.pictures, split, files.cache, preparing, threads=threads)

    def lead(team: Team) -> None:
        _train(team, devices[0], files, each, report, preparing)

    run_together(devices, lead, _train, (files, each))
    return folder / BEST_FILE


def _train(
    team: Team,
    device: str,
    files: TrainingFiles,
    threads: int | None,
    report: Report = lambda progress: None,
    preparing: Preparation = lambda what, done, total: None,
) -> None:
    """The part of one process, with `threads` threads of its own."""
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    training = begin(files, device, preparing, team=team, threads=threads)
    best = training.run(report)
    if team.leads:
        logger.info("best validation PSNR-Y: %.3f dB", best)


def begin(
    files: TrainingFiles,
    device: str,
    preparing: Preparation = lambda what, done, total: None,
    *,
    team: Team = ALONE,
    threads: int | None = None,
) -> Training:
    """A training before its first step, its data made (by `threads` threads; None: one per core) and loaded.
    Raises what `train` raises for the recipe, data, `init`, `trunk` and `teacher`."""
    recipe, text = read_recipe(files.recipe)
    training_set, validation_set = (
        prepare(recipe, files.pictures, split, files.cache, preparing, threads=threads)
        for split in ("train", "val")
    )
    batches = Batches(
        training_set,
        recipe.data,
        scale=recipe.network.scale,
        kernels=recipe.still.kernels,
        seed=recipe.seed,
    )
    validation = Validation(
        validation_set if team.leads else [],
        recipe.network.scale,
        luma_alone=recipe.network.filters_chroma,
    )
    beside = files.recipe.parent
    init = load_weights((beside / recipe.init).resolve()) if recipe.init else None
    trunk = load_trunk((beside / recipe.trunk).resolve()) if recipe.trunk else None
    teacher = Teacher((beside / recipe.teacher).resolve(), recipe.network.scale) if recipe.teacher else None
    return Training(
        recipe, text, batches, validation, files.folder, device, init, trunk=trunk, teacher=teacher, team=team
    )


def prepare(
    recipe: Recipe,
    pictures: Path,
    split: str,
    cache: Path,
    preparing: Preparation,
    *,
    threads: int | None = None,
) -> list[Shard]:
    """The shards of a split, made where they are missing. Unusable pictures, and pictures to train on that
    are smaller than a patch, are logged and left out; InputError if none is left."""
    data = recipe.data
    plan = ShardPlan(
        scale=recipe.network.scale,
        stills=data.stills,
        clips=data.clips,
        window=data.window,
        still=recipe.still,
        clip=recipe.clip,
    )
    sources = list_sources(pictures, split) + drawings(data.drawings, split)
    made = shards(sources, plan, cache, threads=threads or os.cpu_count() or 1, progress=preparing)
    found = list(made) if split == "val" else _of_a_patch(made, data.patch)
    logger.info("%s: %d pictures of %d", split, len(found), len(sources))
    return found


def _of_a_patch(made: Iterable[Shard], patch: int) -> list[Shard]:
    """The shards that have room for a patch (LR pixels); the others are logged. InputError if all are."""
    found = []
    for shard in made:
        if (side := shard.least_side) is not None and side < patch:
            logger.warning("left out: %s gives only %d LR pixels; the patch is %d", shard.name, side, patch)
        else:
            found.append(shard)
    if not found:
        raise InputError(f"no picture to train on has room for a patch of {patch} LR pixels")
    return found


def training_devices(device: str, processes: int = 1) -> list[str]:
    """The devices of the processes that train, the first of them this one's. Raises UsageError."""
    if processes < 1:
        raise UsageError(f"processes must be at least 1, not {processes}")
    if device == "cpu":
        return ["cpu"] * processes
    if device.split(":")[0] != "cuda":
        raise UsageError(f"device {device!r} is neither cpu nor cuda")
    if processes != 1:
        raise UsageError("--processes is for the CPU; name the GPUs: --device cuda:0,cuda:1")
    if not torch.cuda.is_available():
        raise UsageError("no CUDA device is available; train with --device cpu")
    return [f"cuda:{number}" for number in ordinals(device)]
