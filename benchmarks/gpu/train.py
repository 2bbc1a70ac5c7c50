"""Trains shipped sets further in a few minutes of a GPU.

    python3 benchmarks/gpu/train.py --data PICTURES             # ten minutes for the two sets worth most
    python3 benchmarks/gpu/train.py --data PICTURES SET...      # or for these
    python3 benchmarks/gpu/train.py --packed gpu.tar.xz         # on a bare machine

A SET is a recipe's file, or the name of one of `paragon_stream/train/recipes/<SET>_gpu.toml`. Each takes its
share of the time. Degraded pictures are made on all cores, the speed of a step is measured, and the recipe
is written down with as many steps as fit, so that the learning rate is 0 at the end. Then the set is trained.
The same command again goes on where it stopped. `--out`/SET holds `recipe.toml`, `log.csv`, `state.pt` and
`best.safetensors`; after each evaluation `--copy-to` gets a copy of all but the state. `--device cpu` is for
trying the whole of it. `scripts/pack_for_gpu gpu.tar.xz --pictures PICTURES` makes the archive.

Afterwards `paragon-stream eval` and `benchmarks/quality.py` show whether the new set is better than the
shipped one: only then it replaces the file in `engines/`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paragon_stream.train.loop import TrainingProgress

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPES = REPOSITORY / "paragon_stream" / "train" / "recipes"
SETS = ("stream_x2_video", "stream_x2_fidelity")
EVALUATIONS = 8
"""So many in a training: each costs seconds, and what comes after the last one is lost in a kill."""
WARM, TIMED, TRIAL_SECONDS = 5, 40, 20.0
"""Steps before and within the measurement of the speed, which ends early after so many seconds."""
SPARE = 0.9
"""Share of the time that steps are planned for; evaluations and the start take the rest."""
STATE = "state.pt"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"default: {' '.join(SETS)}")
    parser.add_argument("--data", type=Path, help="the folder of good pictures")
    parser.add_argument("--packed", type=Path, help="the archive of scripts/pack_for_gpu")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "out" / "training")
    parser.add_argument(
        "--copy-to", type=Path, help="a folder that gets the results after each evaluation too"
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    options = parser.parse_args(arguments)
    if options.packed is not None:
        unpack(options.packed, options.out / "packed")
        options.data = options.data or options.out / "packed" / "pictures"
    if options.data is None:
        parser.error("--data names the folder of good pictures")
    sys.path.insert(0, str(REPOSITORY))
    end = time.monotonic() + 60 * options.minutes
    sets = options.sets or SETS
    for index, name in enumerate(sets):
        source = Path(name) if name.endswith(".toml") else RECIPES / f"{name}_gpu.toml"
        if not source.is_file():
            parser.error(f"there is no recipe {source}")
        folder = options.out / source.stem.removesuffix("_gpu")
        copy = options.copy_to / folder.name if options.copy_to else None
        share = (end - time.monotonic()) / (len(sets) - index)
        train_for(source, folder, copy, options.data, options.device, share)
    return 0


def unpack(archive: Path, place: Path) -> None:
    """The packages and pictures of the archive, once; packages that are installed come first."""
    if not (place / "complete").exists():
        print(f"unpacking {archive}", flush=True)
        with tarfile.open(archive) as packed:
            members = [each for each in packed if each.name.split("/")[0] in ("site", "pictures")]
            packed.extractall(place, members=members, filter="data")
        (place / "complete").touch()
    sys.path.append(str(place / "site"))


def train_for(source: Path, folder: Path, copy: Path | None, data: Path, device: str, seconds: float) -> None:
    """Train a recipe in `folder`: from its state with the steps planned before, else with those that fit."""
    from paragon_stream.train.run import train
    from paragon_stream.wholefile import whole_file

    begin = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.toml"
    if not recipe.exists():
        speed = steps_per_second(source, data, folder.parent / "shards", device)
        left = seconds - (time.monotonic() - begin)
        steps = max(EVALUATIONS, int(SPARE * left * speed))
        with whole_file(recipe) as file:
            file.write(planned(source, steps, folder).encode())
        print(f"{folder.name}: {speed:.1f} steps a second, {steps} fit", flush=True)

    def report(progress: TrainingProgress) -> None:
        scores = ", ".join(f"{name} {value:.3f}" for name, value in progress.scores.items())
        print(f"{folder.name}: step {progress.step} of {progress.steps}, {scores}", flush=True)
        if copy is not None:
            shutil.copytree(folder, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns(STATE))

    best = train(
        recipe, data=data, output=folder, device=device, cache=folder.parent / "shards", report=report
    )
    print(f"{folder.name}: {best}", flush=True)


def planned(source: Path, steps: int, folder: Path) -> str:
    """The recipe's text for `folder`, with other numbers of steps, and the files that it names from there."""
    text = source.read_text(encoding="utf-8-sig")
    recipe = tomllib.loads(text)

    def seen_from_there(name: str) -> str:
        place = os.path.relpath((source.parent / name).resolve(), folder.resolve())
        return json.dumps(Path(place).as_posix(), ensure_ascii=False)

    values = {"steps": str(steps), "evaluate_every": str(-(-steps // EVALUATIONS))}
    values |= {key: seen_from_there(recipe[key]) for key in ("init", "trunk") if recipe.get(key)}
    head, table, rest = text.partition("\n[")
    kept = [line for line in head.splitlines() if line.partition("=")[0].strip() not in values]
    if config := recipe.get("network", {}).get("config"):
        line = f"config = {seen_from_there(config)}"
        rest = re.sub(r"^\s*config\s*=.*$", lambda _: line, rest, count=1, flags=re.MULTILINE)
    return "\n".join([*kept, *(f"{key} = {value}" for key, value in values.items())]) + table + rest


def steps_per_second(source: Path, data: Path, cache: Path, device: str) -> float:
    """Measured on a training that is thrown away; makes the degraded pictures first, which takes its time."""
    from paragon_stream.train.run import TrainingFiles, begin

    with tempfile.TemporaryDirectory() as folder:
        files = TrainingFiles(recipe=source, pictures=data, cache=cache, folder=Path(folder))
        training = begin(files, device, preparing)
        batches = training.batches.stream(0, WARM + TIMED, threads=training.batch_threads)
        done, started = 0, time.monotonic()
        for number, batch in enumerate(batches):
            training.advance(batch)  # looks at the loss, so it has ended on a GPU too
            if number < WARM:
                started = time.monotonic()
                continue
            done += 1
            if time.monotonic() - started > TRIAL_SECONDS:
                break
        return done / (time.monotonic() - started)


def preparing(what: str, done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        print(f"{what}: {done} of {total}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
