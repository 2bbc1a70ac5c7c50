"""benchmarks/gpu/first_run.py without a card: what stops it, what it keeps, what it goes on with."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from places import REPOSITORY

from paragon_stream.device.discovery import find_gpus

FOLDER = REPOSITORY / "benchmarks" / "gpu"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def first_run() -> ModuleType:
    return loaded("first_run")


def step(module: ModuleType, name: str, code: str, **options: Any) -> Any:
    return module.Step(name=name, what=f"what {name} is", command=[sys.executable, "-c", code], **options)


def recorded(folder: Path) -> dict[str, str]:
    steps = json.loads((folder / "steps.json").read_text(encoding="utf-8"))
    return {name: each["status"] for name, each in steps.items()}


def test_every_step_is_kept_and_only_what_failed_is_run_again(
    first_run: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "marker"
    steps = [
        step(first_run, "good", "print('well')"),
        step(first_run, "bad", f"import pathlib, sys; sys.exit(not pathlib.Path({str(marker)!r}).exists())"),
        step(first_run, "slow", "import time; print('begun', flush=True); time.sleep(60)", seconds=1),
        step(first_run, "absent", "", needs="no-such-program"),
    ]
    run = first_run.Run(tmp_path / "out", tmp_path / "copy", 10)
    assert run.all_of(steps) == 1
    expected = {"good": "ok", "bad": "exit status 1", "slow": "not done after 1 s", "absent": "skipped"}
    assert recorded(tmp_path / "out") == recorded(tmp_path / "copy") == expected
    assert "begun" in (tmp_path / "copy" / "slow.log").read_text()
    assert "| bad | what bad is | exit status 1 |" in (tmp_path / "copy" / "table.md").read_text()
    marker.touch()
    capsys.readouterr()
    again = first_run.Run(tmp_path / "out", None, 10)
    assert again.all_of(steps[:2]) == 1, "the slow one has not succeeded yet"
    assert "good: done before" in capsys.readouterr().out
    assert recorded(tmp_path / "out")["bad"] == "ok"


def test_it_stops_when_the_time_is_over(first_run: ModuleType, tmp_path: Path) -> None:
    run = first_run.Run(tmp_path, None, minutes=0.1)
    assert run.all_of([step(first_run, "good", "print(1)")]) == 2
    assert not run.steps


def test_the_packages_of_the_archive_come_after_what_is_installed(
    first_run: ModuleType, tmp_path: Path
) -> None:
    for name in ("site/brought.py", "checkout/README.md"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("WHERE = 'packed'\n")
    with tarfile.open(tmp_path / "gpu.tar.xz", "w:xz") as packed:
        for name in ("site", "checkout"):
            packed.add(tmp_path / name, name)
    run = first_run.Run(tmp_path / "out", None, 10)
    run.unpack(tmp_path / "gpu.tar.xz")
    assert run.all_of([step(first_run, "import", "import brought, numpy; print(brought.WHERE)")]) == 0
    assert run.steps["import"]["last"] == "packed"
    assert not (tmp_path / "out" / "packed" / "checkout").exists()


def test_what_is_packed_is_what_a_first_run_takes(
    first_run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack, archive = loaded("pack"), tmp_path / "gpu.tar.xz"
    monkeypatch.setattr(pack, "PACKAGES", ("iniconfig", "pytest-timeout"))
    monkeypatch.setattr(sys, "argv", ["pack", str(archive), "--no-checkout"])
    assert pack.main() == 0
    run = first_run.Run(tmp_path / "out", None, 10)
    run.unpack(archive)
    site = tmp_path / "out" / "packed" / "site"
    assert (site / "iniconfig" / "__init__.py").is_file()
    assert (site / "pytest_timeout.py").is_file() and not (site / "pytest_timeout.py").is_symlink()
    assert list(site.glob("iniconfig-*.dist-info/METADATA"))


@pytest.mark.parametrize(
    ("inside", "packed"),
    [
        ("openvino/libs/libopenvino_intel_cpu_plugin.so", True),
        ("openvino/libs/libopenvino.so.2641", True),
        ("openvino/libs/libopenvino_onnx_frontend.so.2641", True),
        ("openvino/libs/libtbb.so.12", True),
        ("openvino/frontend/onnx/__init__.py", True),
        ("openvino/libs/libopenvino_intel_gpu_plugin.so", False),
        ("openvino/libs/libopenvino_tensorflow_lite_frontend.so.2641", False),
        ("openvino/libs/libopenvino_c.so.2641", False),
        ("openvino/include/openvino/openvino.hpp", False),
        ("av.libs/libavcodec-1a2b.so.62", True),
        ("av/video/frame.cpython-312-x86_64-linux-gnu.so", True),
        ("av/video/frame.pyi", False),
    ],
)
def test_what_is_of_no_use_there_stays_here(inside: str, packed: bool) -> None:
    assert (loaded("pack").DROPPED.search(inside) is None) is packed


def test_without_a_gpu_it_ends_where_the_card_is_missing(
    tmp_path: Path, first_run: ModuleType, script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    found, reason = find_gpus()
    if found:
        pytest.skip("this machine has a GPU")
    answer = script("--out", tmp_path)
    assert answer.returncode == first_run.NO_GPU, answer.stdout + answer.stderr
    assert f"no GPU: {reason}" in answer.stdout and "nothing more can be done here" in answer.stdout
    assert recorded(tmp_path)["versions"] == "ok" and "numpy" in (tmp_path / "versions.log").read_text()


@pytest.fixture
def script() -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, FOLDER / "first_run.py", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    return run


def test_every_step_can_be_named(script: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    told = script("--help").stdout
    for name in ("versions", "doctor", "right", "pipeline", "memcheck stream", "torch", "tests"):
        assert name in " ".join(told.split())
    assert script("--only", "nothing").returncode == 2
