"""benchmarks/gpu/first_run.py without a card: what stops it, what it keeps, what it goes on with."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import tarfile
import time
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
    assert {each.name for each in (tmp_path / "copy").iterdir()} == {
        "steps.json", "table.md", "results.tar.gz"
    }  # fmt: skip
    with tarfile.open(tmp_path / "copy" / "results.tar.gz") as copied:
        assert {"good.log", "steps.json", "table.md"} < set(copied.getnames())
        slow = copied.extractfile("slow.log")
        assert slow is not None and b"begun" in slow.read()
    assert "| bad | what bad is | exit status 1 |" in (tmp_path / "copy" / "table.md").read_text()
    marker.touch()
    capsys.readouterr()
    again = first_run.Run(tmp_path / "out", None, 10)
    assert again.all_of(steps[:2]) == 1, "the slow one has not succeeded yet"
    assert "good: done before" in capsys.readouterr().out
    assert recorded(tmp_path / "out")["bad"] == "ok"


def test_results_of_one_name_are_kept_by_step(
    first_run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`right` and `fast` are processes of their own, which write gpu_engine.json anew."""
    results = tmp_path / "results"
    results.mkdir()
    (results / "gpu_kernels.json").write_text("committed")
    monkeypatch.setattr(first_run, "RESULTS", results)
    code = f"import pathlib; pathlib.Path({str(results)!r}, 'gpu_engine.json').write_text('%s')"
    run = first_run.Run(tmp_path / "out", None, 10)
    run.all_of([step(first_run, name, code % name) for name in ("right", "check torch")])
    found = {each.name: each.read_text() for each in (tmp_path / "out").glob("*gpu_*.json")}
    assert found == {"right_gpu_engine.json": "right", "check_torch_gpu_engine.json": "check torch"}


def test_a_damaged_record_and_a_useless_copy_do_not_end_the_run(
    first_run: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "steps.json").write_text('{"good": {"sta')
    (tmp_path / "file").touch()
    run = first_run.Run(tmp_path, tmp_path / "file" / "copy", 10)
    assert run.all_of([step(first_run, name, "print(1)") for name in ("good", "better")]) == 0
    assert recorded(tmp_path) == {"good": "ok", "better": "ok"}
    told = capsys.readouterr().out
    assert "steps.json is damaged" in told and f"the results stay in {tmp_path}" in told


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends the children of a killed process on request")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_killed_run_leaves_no_step_running(tmp_path: Path, how: str) -> None:
    """Its GPU would be shared with the next run."""
    marker = tmp_path / "pid"
    code = (
        f"import os, pathlib, time; pathlib.Path({str(marker)!r}).write_text(f'{{os.getpid()}} '); "
        "time.sleep(60)"
    )
    program = (
        f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import first_run; "
        f"command = [sys.executable, '-c', {code!r}]; "
        "first_run.steps = lambda: [first_run.Step(name='long', what='', command=command)]; "
        f"sys.exit(first_run.main(['--out', {str(tmp_path / 'out')!r}]))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL)
    try:
        assert until(lambda: marker.exists() and marker.read_text().endswith(" "))
        process.send_signal(signal.Signals[how])
        assert process.wait(30) == (143 if how == "SIGTERM" else -signal.SIGKILL)
        assert until(lambda: not is_running(int(marker.read_text())))
    finally:
        process.kill()
        process.wait()


def until(happens: Callable[[], bool]) -> bool:
    """Whether it happens within thirty seconds."""
    end = time.monotonic() + 30
    while not happens() and time.monotonic() < end:
        time.sleep(0.05)
    return happens()


def is_running(pid: int) -> bool:
    """A process that has ended may remain as a zombie, where nothing collects orphans."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_costly_steps_are_behind_the_checks_of_the_kernels(first_run: ModuleType) -> None:
    names = [each.name for each in first_run.steps()]
    assert names.index("racecheck stream") < names.index("pipeline") < names.index("check torch")
    doctor = next(each for each in first_run.steps() if each.name == "doctor")
    assert doctor.command[-1] == "--quick", "else it compiles both networks with torch"


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
