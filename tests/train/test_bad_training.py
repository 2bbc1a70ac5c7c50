"""Failures around a training: full disks, damaged files, folders that cannot be used."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402
from training_material import drawn_picture, write_pictures  # noqa: E402

import paragon_stream.cli.main as cli  # noqa: E402
from paragon_stream.checkpoint import load_weights  # noqa: E402
from paragon_stream.errors import CheckpointError, InputError, OutputError  # noqa: E402
from paragon_stream.train.data.batches import Batches  # noqa: E402
from paragon_stream.train.data.images import Source, list_sources  # noqa: E402
from paragon_stream.train.data.resample import shrink, to_codes  # noqa: E402
from paragon_stream.train.data.shards import Shard, ShardPlan, read_shard, shards  # noqa: E402
from paragon_stream.train.loop import BEST_FILE, STATE_FILE, Training, TrainingProgress  # noqa: E402
from paragon_stream.train.recipe import DataRecipe, NetworkRecipe, Recipe  # noqa: E402
from paragon_stream.train.run import prepare  # noqa: E402
from paragon_stream.train.validation import Validation  # noqa: E402

RECIPE = Recipe(
    name="test",
    network=NetworkRecipe(variant="realtime"),
    data=DataRecipe(folder="pictures", patch=32, batch=2, context=3),
    steps=6,
    evaluate_every=2,
)


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file can grow beyond `room` bytes: writes fail in the middle, as on a full disk."""
    resource = pytest.importorskip("resource")  # not on Windows
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def training(folder: Path, recipe: Recipe = RECIPE) -> Training:
    picture = drawn_picture(1, 96)
    shard = Shard(hr=picture, rgb=to_codes(shrink(picture.astype(np.float32), 2))[None], frames=())
    folder.mkdir(exist_ok=True)
    batches = Batches([shard], DataRecipe(patch=32, batch=2), scale=2)
    return Training(recipe, "test", batches, Validation([shard], 2), folder, "cpu")


@pytest.mark.parametrize("room", [20_000, 100_000])  # less than the weights, less than the state
def test_a_full_disk_stops_the_training_and_harms_no_checkpoint(tmp_path: Path, room: int) -> None:
    training(tmp_path, replace(RECIPE, steps=2)).run()
    state, best = ((tmp_path / name).read_bytes() for name in (STATE_FILE, BEST_FILE))
    files = {path.name for path in tmp_path.iterdir()} | {"log.svg"}
    run = training(tmp_path)
    run.resume()
    run.best = 0.0  # whatever comes is better, and to be written
    run.resume = lambda: None  # type: ignore[method-assign]
    with full_disk(room), pytest.raises(OutputError, match="cannot be written"):
        run.run()
    assert (tmp_path / STATE_FILE).read_bytes() == state
    if room < len(best):
        assert (tmp_path / BEST_FILE).read_bytes() == best
    load_weights(tmp_path / BEST_FILE)
    assert {path.name for path in tmp_path.iterdir()} <= files
    reached: list[TrainingProgress] = []
    training(tmp_path).run(reached.append)
    assert [progress.step for progress in reached] == [4, 6]


def test_means_in_the_log_are_over_the_steps_that_had_the_figure(tmp_path: Path) -> None:
    run = training(tmp_path)
    run._count({"loss": 1.0})
    run._count({"loss": 2.0, "discriminator": 0.5})
    run.step = 2
    run.evaluate(lambda progress: None)
    (row,) = csv.DictReader((tmp_path / "log.csv").read_text(encoding="utf-8").splitlines())
    assert (float(row["loss"]), float(row["discriminator"])) == (1.5, 0.5)


def test_a_file_that_is_no_state_is_named(tmp_path: Path) -> None:
    run = training(tmp_path)
    torch.save({"step": 3}, tmp_path / STATE_FILE)
    with pytest.raises(CheckpointError, match="is not the state of a training"):
        run.resume()


def test_a_full_disk_leaves_no_half_shard(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 2, size=96)
    sources, plan = list_sources(tmp_path / "pictures", "train"), ShardPlan(scale=2)
    with full_disk(1000), pytest.raises(OutputError, match="cannot be written"):
        list(shards(sources, plan, tmp_path / "cache"))
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    assert len(list(shards(sources, plan, tmp_path / "cache"))) == 2


def test_another_picture_of_the_same_name_has_its_own_shard(tmp_path: Path) -> None:
    """The pictures of many sets are called 0001.png and so on, and all trainings share a cache."""
    found = []
    for number, name in enumerate(("red", "blue")):
        folder = tmp_path / name
        folder.mkdir()
        picture = np.zeros((96, 96, 3), np.uint8)
        picture[..., 2 * number] = 200
        Image.fromarray(picture).save(folder / "0001.png")
        found += shards(
            [Source(name="0001.png", path=folder / "0001.png")], ShardPlan(scale=2), tmp_path / "cache"
        )
    assert [shard.hr[0, 0].tolist() for shard in found] == [[200, 0, 0], [0, 0, 200]]


def test_a_truncated_shard_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 1, size=96)
    list(shards(list_sources(tmp_path / "pictures", "train"), ShardPlan(scale=2), tmp_path / "cache"))
    (path,) = (tmp_path / "cache").rglob("*.npz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="made again"):
        read_shard(path)


def test_pictures_smaller_than_a_patch_are_left_out_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path, 3)
    Image.fromarray(drawn_picture(0, 96)).save(tmp_path / "001.png")
    asked: list[int] = []

    def counted(*arguments: Any, threads: int, **options: Any) -> Iterator[Shard]:
        asked.append(threads)
        return shards(*arguments, threads=threads, **options)

    def prepared(patch: int) -> list[Shard]:
        recipe = replace(RECIPE, data=DataRecipe(patch=patch, batch=2, context=3))
        return prepare(recipe, tmp_path, "train", tmp_path / "cache", lambda *counts: None, threads=1)

    monkeypatch.setattr("paragon_stream.train.run.shards", counted)
    assert [shard.name for shard in prepared(64)] == ["000.png", "002.png"]
    assert "left out: 001.png gives only 48 LR pixels; the patch is 64" in caplog.text
    assert asked == [1], "as many threads as --threads says"
    with pytest.raises(InputError, match="no picture to train on has room for a patch of 128"):
        prepared(128)


def test_of_a_few_pictures_without_a_manifest_one_is_held_out(tmp_path: Path) -> None:
    write_pictures(tmp_path, 3, size=96)
    (tmp_path / "manifest.tsv").unlink()
    split = {name: {source.name for source in list_sources(tmp_path, name)} for name in ("train", "val")}
    assert (len(split["train"]), len(split["val"])) == (2, 1)
    assert not split["train"] & split["val"]
    (tmp_path / next(iter(split["train"]))).unlink()
    (tmp_path / next(iter(split["val"]))).unlink()
    with pytest.raises(InputError, match="split val"):
        list_sources(tmp_path, "val")


def test_a_manifest_that_is_none_is_named(tmp_path: Path) -> None:
    for content in (b"name\tsplit\na.png\ttrain\n", b"\xff\xfe\x00"):
        (tmp_path / "manifest.tsv").write_bytes(content)
        with pytest.raises(InputError, match=r"manifest\.tsv"):
            list_sources(tmp_path, "train")


RECIPE_TEXT = """
name = "x"
steps = 2
[network]
variant = "realtime"
[data]
folder = "pictures"
patch = 32
batch = 2
"""


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (RECIPE_TEXT, 1, "pictures is not a folder"),
        (RECIPE_TEXT.replace("steps", "step"), 2, "unknown key step;"),
        (RECIPE_TEXT.replace("realtime", "por"), 2, "realtime, stream, photo"),
        ("name =", 2, "not valid TOML"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: int, said: str
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text, encoding="utf-8")
    assert cli.run(["train", str(recipe), "--output", str(tmp_path / "run")]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_unreadable_pictures_are_left_out_and_an_output_that_is_a_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    write_pictures(tmp_path / "pictures", 5, size=96)
    (tmp_path / "pictures" / "001.png").write_bytes(b"broken")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE_TEXT, encoding="utf-8")
    (tmp_path / "file").write_bytes(b"")
    assert cli.run(["train", str(recipe), "--output", str(tmp_path / "file" / "run")]) == 1
    assert "cannot be made" in capsys.readouterr().err
    arguments = ["train", str(recipe), "--output", str(tmp_path / "run"), "--threads", "1"]
    assert cli.run(arguments) == 0
    assert "001.png" in caplog.text
    assert "best weights:" in capsys.readouterr().out
