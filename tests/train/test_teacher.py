"""Distillation: the teacher's pictures are those of its weights, and the loss compares with them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from training_material import write_pictures  # noqa: E402

import paragon_stream.models as models  # noqa: E402
from paragon_stream.checkpoint import load_weights  # noqa: E402
from paragon_stream.checkpoint.shipped import find_shipped  # noqa: E402
from paragon_stream.errors import CheckpointError, UsageError  # noqa: E402
from paragon_stream.train.recipe import read_recipe  # noqa: E402
from paragon_stream.train.run import train  # noqa: E402
from paragon_stream.train.teacher import Teacher  # noqa: E402

HEAD = 'name = "x"\nsteps = 1\nevaluate_every = 1\nloss = { l1 = 1.0 }\n'
TABLES = """
[network]
variant = "VARIANT"
[data]
folder = "pictures"
patch = 32
batch = 2
context = 8
[optimiser]
lr = 1e-6
"""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def shipped(scale: int, name: str) -> Path:
    found = find_shipped(name, variant="realtime", scale=scale)
    assert found is not None
    return found.path


def recipe(folder: Path, *lines: str, variant: str = "realtime") -> Path:
    path = folder / "recipe.toml"
    path.write_text(HEAD + "\n".join(lines) + TABLES.replace("VARIANT", variant))
    return path


def first_loss(folder: Path, name: str, *lines: str) -> float:
    train(recipe(folder, *lines), output=folder / name)
    with (folder / name / "log.csv").open() as file:
        return float(next(csv.DictReader(file))["loss"])


def test_a_conditioned_teacher_computes_each_sample_at_its_own_strength() -> None:
    path = shipped(2, "video")
    pictures = torch.rand(2, 3, 24, 20, generator=torch.Generator().manual_seed(3))
    result = Teacher(path, 2)(pictures, torch.tensor([0.0, 0.7]))
    for number, strength in enumerate((0.0, 0.7)):
        expected = models.load(path, strength=strength)(pictures[number : number + 1])
        torch.testing.assert_close(result[number : number + 1], expected, atol=2e-6, rtol=0)
    assert not torch.equal(models.load(path)(pictures[1:]), result[1:])


def test_the_loss_is_shared_between_the_truth_and_the_teacher(tmp_path: Path) -> None:
    """A network that starts as its own teacher has no distance from it, but for their padding: the network in
    training centres its input before it pads with zeros."""
    write_pictures(tmp_path / "pictures", 25)
    train(recipe(tmp_path), output=tmp_path / "a")
    start = 'init = "a/best.safetensors"'
    taught = 'teacher = "a/best.safetensors"'
    of_truth = first_loss(tmp_path, "truth", start)
    assert of_truth > 1e-3
    assert first_loss(tmp_path, "half", start, taught) == pytest.approx(of_truth / 2, rel=1e-3)
    assert first_loss(tmp_path, "whole", start, taught, "teacher_share = 1.0") < of_truth / 1000


def test_a_teacher_of_another_scale_or_none_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 25)
    other = shipped(3, "fidelity")
    with pytest.raises(UsageError, match="is for ×3, but the network is for ×2"):
        train(recipe(tmp_path, f'teacher = "{other.as_posix()}"'), output=tmp_path / "out")
    with pytest.raises(CheckpointError, match="absent"):
        train(recipe(tmp_path, 'teacher = "absent.safetensors"'), output=tmp_path / "out")


@pytest.mark.parametrize("share", ["0.0", "1.5", "-0.1"])
def test_a_share_of_nothing_or_of_more_than_all_is_refused(tmp_path: Path, share: str) -> None:
    with pytest.raises(UsageError, match="teacher_share must be above 0 and at most 1"):
        read_recipe(recipe(tmp_path, f"teacher_share = {share}"))


@pytest.mark.parametrize(("variant", "limit"), [("realtime", None), ("stream", "16")])
def test_only_networks_that_multiply_features_state_a_limit_of_products(
    tmp_path: Path, variant: str, limit: str | None
) -> None:
    write_pictures(tmp_path / "pictures", 25)
    best = train(recipe(tmp_path, variant=variant), output=tmp_path / "out")
    assert load_weights(best).metadata.get("product_limit") == limit
