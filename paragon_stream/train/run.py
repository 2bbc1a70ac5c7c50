"""`train`: from a recipe file to trained weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import torch

from paragon_stream.checkpoint import load_weights
from paragon_stream.errors import OutputError, UsageError
from paragon_stream.train.data.batches import Batches
from paragon_stream.train.data.images import drawings, list_sources
from paragon_stream.train.data.shards import Shard, ShardPlan, shards
from paragon_stream.train.loop import BEST_FILE, Report, Training, keep_freed_memory
from paragon_stream.train.recipe import Recipe, read_recipe
from paragon_stream.train.validation import Validation

logger = logging.getLogger(__name__)

type Preparation = Callable[[str, int, int], None]
"""Called with what is being prepared, how many are done, and how many there are."""


def train(
    recipe_path: str | Path,
    *,
    data: str | Path | None = None,
    output: str | Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
    cache: str | Path | None = None,
    report: Report = lambda progress: None,
    preparing: Preparation = lambda what, done, total: None,
) -> Path:
    """Train what a recipe says; the path of the best weights (safetensors in upstream's form, with metadata).

    `data` is the folder of good pictures, instead of the recipe's. `output` is the run's folder (default:
    `runs/<recipe's stem>` below the working directory); it holds `state.pt` (resumed from if it is
    there), `log.csv` with its plot, and `best.safetensors`. Degraded pictures are made once and kept
    below `cache` (default: `shards` beside the output).

    Raises UsageError, InputError and CheckpointError for bad recipes, data and `init`, OutputError if
    nothing can be written, and DivergedError if the loss stops being a number.
    """
    recipe_path = Path(recipe_path)
    recipe, text = read_recipe(recipe_path)
    check_device(device)
    folder = Path(output) if output is not None else Path("runs") / recipe_path.stem
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror or error}") from error
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    if data is None and not recipe.data.folder:
        raise UsageError(f"{recipe_path} names no pictures to train on: give their folder with --data")
    pictures = (recipe_path.parent / recipe.data.folder).resolve() if data is None else Path(data)
    store = Path(cache) if cache is not None else folder.parent / "shards"
    training = begin(recipe, text, recipe_path.parent, pictures, store, folder, device, preparing)
    best = training.run(report)
    logger.info("best validation PSNR-Y: %.3f dB", best)
    return folder / BEST_FILE


def begin(
    recipe: Recipe,
    text: str,
    beside: Path,
    pictures: Path,
    cache: Path,
    folder: Path,
    device: str,
    preparing: Preparation = lambda what, done, total: None,
) -> Training:
    """A training before its first step, its data made and loaded. `text` is the recipe's, `beside` the folder
    that its paths are relative to. Raises what `train` raises for data and `init`."""
    training_set, validation_set = (
        prepare(recipe, pictures, split, cache, preparing) for split in ("train", "val")
    )
    batches = Batches(
        training_set,
        scale=recipe.network.scale,
        patch=recipe.data.patch,
        batch=recipe.data.batch,
        clip_share=recipe.data.clip_share,
        strength_jitter=recipe.data.strength_jitter,
        patterns=recipe.data.patterns,
        seed=recipe.seed,
    )
    validation = Validation(validation_set, recipe.network.scale)
    init = load_weights((beside / recipe.init).resolve()) if recipe.init else None
    return Training(recipe, text, batches, validation, folder, device, init)


def prepare(recipe: Recipe, pictures: Path, split: str, cache: Path, preparing: Preparation) -> list[Shard]:
    """The shards of a split, made where they are missing; unusable pictures are logged and left out."""
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
    made = list(shards(sources, plan, cache, threads=os.cpu_count() or 1, progress=preparing))
    logger.info("%s: %d pictures of %d", split, len(made), len(sources))
    return made


def check_device(device: str) -> None:
    """Raises UsageError if there is no such device."""
    kind = device.split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise UsageError(f"device {device!r} is neither cpu nor cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available; train with --device cpu")
