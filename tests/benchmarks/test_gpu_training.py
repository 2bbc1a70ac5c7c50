"""benchmarks/gpu/train.py on the CPU: it plans the steps that fit, trains them, and goes on after a stop."""

from __future__ import annotations

import importlib.util
import tarfile
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")

from places import REPOSITORY
from training_material import write_pictures

from paragon_stream.checkpoint import load_weights
from paragon_stream.train.recipe import read_recipe


@pytest.fixture
def gpu_train() -> ModuleType:
    path = REPOSITORY / "benchmarks" / "gpu" / "train.py"
    spec = importlib.util.spec_from_file_location("gpu_train", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RECIPE = """
name = "tried"
steps = 100000
init = "weights/start.safetensors"
[network]
variant = "realtime"
[data]
patch = 16
batch = 2
"""


def test_the_steps_that_fit_are_trained_and_a_second_start_goes_on(
    gpu_train: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_pictures(tmp_path / "pictures", 5, size=128)
    (tmp_path / "weights").mkdir()
    shipped = REPOSITORY / "engines" / "realtime_x2_fidelity.safetensors"
    (tmp_path / "weights" / "start.safetensors").write_bytes(shipped.read_bytes())
    recipe = tmp_path / "tried.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    monkeypatch.setattr(gpu_train, "steps_per_second", lambda *arguments: 4.0)
    arguments = [str(recipe), "--data", str(tmp_path / "pictures"), "--device", "cpu", "--minutes", "0.05"]
    places = ["--out", str(tmp_path / "out"), "--copy-to", str(tmp_path / "copy")]
    assert gpu_train.main([*arguments, *places]) == 0
    made = tmp_path / "out" / "tried"
    plan, _ = read_recipe(made / "recipe.toml")
    assert 8 <= plan.steps <= 10, "9/10 of three seconds, less what passed before"
    assert (made / plan.init).resolve() == tmp_path / "weights" / "start.safetensors"
    assert load_weights(made / "best.safetensors").metadata["name"] == "tried"
    rows = (made / "log.csv").read_text().splitlines()
    assert 1 < len(rows) <= 1 + gpu_train.EVALUATIONS
    assert not (tmp_path / "copy" / "tried" / "state.pt").exists()
    assert (tmp_path / "copy" / "tried" / "best.safetensors").is_file()
    capsys.readouterr()
    assert gpu_train.main([*arguments, *places]) == 0
    assert (made / "log.csv").read_text().splitlines() == rows, "all steps were done before"
    assert "a second" not in capsys.readouterr().out


def test_however_a_recipe_is_spaced_its_files_are_found_from_there(
    gpu_train: ModuleType, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        "name = 'mine'\nsteps=100\ninit='a \"b\".pth'\ntrunk  =  'vgg.pth' # torchvision's\n"
        "[network]\nconfig='net.yml'\n[data]\npatch = 16\n",
        encoding="utf-8",
    )
    text = gpu_train.planned(recipe, 80, tmp_path / "out" / "mine")
    assert tomllib.loads(text) == {
        "name": "mine",
        "steps": 80,
        "evaluate_every": 10,
        "init": '../../a "b".pth',
        "trunk": "../../vgg.pth",
        "network": {"config": "../../net.yml"},
        "data": {"patch": 16},
    }


def test_the_speed_is_measured(
    gpu_train: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "pictures", 5, size=128)
    recipe = tmp_path / "tried.toml"
    recipe.write_text(RECIPE.replace('init = "weights/start.safetensors"\n', ""), encoding="utf-8")
    monkeypatch.setattr(gpu_train, "TIMED", 3)
    speed = gpu_train.steps_per_second(recipe, tmp_path / "pictures", tmp_path / "shards", "cpu")
    assert 0 < speed < 10_000
    assert list((tmp_path / "shards").rglob("*.npz"))


def test_packages_and_pictures_come_out_of_the_archive(
    gpu_train: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("site/brought.py", "pictures/a.png", "checkout/README.md"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("there\n")
    with tarfile.open(tmp_path / "gpu.tar.xz", "w:xz") as packed:
        for name in ("site", "pictures", "checkout"):
            packed.add(tmp_path / name, name)
    monkeypatch.setattr(gpu_train.sys, "path", list(gpu_train.sys.path))
    gpu_train.unpack(tmp_path / "gpu.tar.xz", tmp_path / "packed")
    assert gpu_train.sys.path[-1] == str(tmp_path / "packed" / "site")
    assert (tmp_path / "packed" / "pictures" / "a.png").is_file()
    assert not (tmp_path / "packed" / "checkout").exists()
