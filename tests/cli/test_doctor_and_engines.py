"""`doctor` on a machine with nothing, and `engine` without a GPU."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner

from paragon_stream import engine_cache
from paragon_stream.cli import doctor as doctor_command
from paragon_stream.cli import engine as engine_command
from paragon_stream.cli.main import run
from paragon_stream.device import DeviceInfo
from paragon_stream.doctor import examination as doctor
from paragon_stream.doctor import self_test
from paragon_stream.runtimes import installed_engines
from paragon_stream.runtimes.disk_cache import DiskCache
from paragon_stream.runtimes.gpu import tensorrt_builder

OLD = DeviceInfo(
    name="GTX 1080", ordinal=0, compute_capability=(6, 1), memory=8 << 30, multiprocessors=20, driver="12.8"
)
NEW = DeviceInfo(
    name="RTX 4090", ordinal=1, compute_capability=(8, 9), memory=24 << 30, multiprocessors=128, driver="12.8"
)


def test_says_what_is_here() -> None:
    answer = CliRunner().invoke(doctor_command.command, ["--quick"])
    assert answer.exit_code == 0, answer.output
    for topic in (
        "processor",
        "memory",
        "disk",
        "GPU",
        "tensorrt-rtx",
        "FFmpeg",
        "NVENC",
        "OpenVINO",
        "VapourSynth",
        "mpv",
    ):
        assert topic in answer.output
    assert re.search(r"Engines that can run here: (native, )?openvino", answer.output)


def test_a_machine_with_nothing_gets_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    monkeypatch.setattr(doctor, "find_gpus", lambda: ([], "the package cuda-bindings is not installed"))
    monkeypatch.setattr(doctor.shutil, "which", lambda name, path=None: None)
    found = {finding.topic: finding for finding in doctor.examine()}
    for topic in ("GPU", "engine cuda", "tensorrt", "tensorrt-rtx", "ONNX Runtime", "torch", "VapourSynth"):
        assert not found[topic].ok and "-m pip install" in found[topic].remedy, topic
    assert found["FFmpeg"].ok and not found["mpv"].ok and found["mpv"].remedy


def test_a_damaged_machine_is_examined_to_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every part may fail; the others are examined, and the command works."""

    def broken(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("the driver\nis damaged")

    for name in ("find_gpus", "find_adapters", "versions", "missing", "check_engine", "rate"):
        monkeypatch.setattr(doctor, name, broken)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    (tmp_path / "vspipe").write_bytes(b"")
    (tmp_path / "vspipe").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "")
    found = [*doctor.examine(), *doctor.measure()]
    failed = {each.topic for each in found if each.what.startswith("cannot be examined: ")}
    engines = {f"test {name}" for name in installed_engines()}
    assert failed == {"disk", "GPU", "WebGPU", "FFmpeg", "CPU kernels", *engines} | {
        f"speed {name}" for name in doctor._SPEEDS
    }
    assert all("\n" not in each.what for each in found)
    (vspipe,) = (each for each in found if each.topic == "vspipe")
    assert (vspipe.ok, vspipe.remedy) == (False, f"add {tmp_path} to PATH")
    assert {"OpenVINO", "torch", "mpv"} <= {each.topic for each in found}


def test_gpus_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_gpus", lambda: ([OLD, NEW], ""))
    old, new = (finding for finding in doctor.examine() if finding.topic == "GPU")
    assert not old.ok and "too old" in old.what
    assert new.ok and "cuda:1: RTX 4090 (sm_89, 24 GiB)" in new.what
    (driver,) = (finding for finding in doctor.examine() if finding.topic == "driver")
    assert not driver.ok and "580" in driver.remedy
    third = replace(NEW, ordinal=2)
    monkeypatch.setattr(doctor, "find_gpus", lambda: ([OLD, NEW, third], ""))
    (several,) = (finding for finding in doctor.examine() if finding.topic == "GPUs")
    assert "--device cuda:all" in several.what
    decoders = [finding.what[:7] for finding in doctor.examine() if finding.topic == "NVDEC"]
    assert decoders == ["cuda:0:", "cuda:1:", "cuda:2:"]
    monkeypatch.setattr(doctor, "find_gpus", lambda: ([replace(NEW, driver="13.1")], ""))
    (driver,) = (finding for finding in doctor.examine() if finding.topic == "driver")
    assert driver.ok and not driver.remedy


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_engine_that_fails_its_test_is_an_error(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scripts that set machines up rely on the exit code."""
    wrong = self_test.EngineTest(engine="openvino", error="up to 90 codes off")
    monkeypatch.setattr(doctor, "check_engine", lambda engine: replace(wrong, engine=engine))
    monkeypatch.setattr(doctor, "installed_engines", lambda: ("openvino",))
    monkeypatch.setattr(doctor, "examine", lambda: iter(()))
    monkeypatch.setattr(doctor, "_SPEEDS", {})
    assert run(["doctor", *options]) == 1
    printed = capsys.readouterr()
    assert "90 codes off" in printed.out and "the test of openvino failed" in printed.err
    assert run(["doctor", "--quick", *options]) == 0


def test_findings_as_json() -> None:
    answer = CliRunner().invoke(doctor_command.command, ["--json", "--quick"])
    topics = [finding["topic"] for finding in json.loads(answer.output)]
    assert "driver" in topics or "GPU" in topics


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskCache:
    made = DiskCache(tmp_path / "engines", ".engine")
    monkeypatch.setattr(engine_cache, "_caches", lambda: (made,))
    monkeypatch.setattr(engine_cache, "ENGINES", made)
    monkeypatch.setattr(tensorrt_builder, "ENGINES", made)
    return made


def test_engines_are_listed_and_removed(cache: DiskCache) -> None:
    cache.put({"library": "tensorrt_rtx 1.7", "job": "64x48 → 128x96", "gpu": "sm_89"}, bytes(5000))
    listed = CliRunner().invoke(engine_command.command, ["list"])
    assert "tensorrt_rtx 1.7, 64x48 → 128x96, sm_89" in listed.output and "1 entries" in listed.output
    assert "1 entries removed" in CliRunner().invoke(engine_command.command, ["clear"]).output
    assert "0 entries" in CliRunner().invoke(engine_command.command, ["list"]).output


def test_only_tensorrt_is_built_beforehand(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["engine", "build", "--engine", "openvino", "--size", "64x48"]) == 2
    assert "choose tensorrt or tensorrt-rtx" in capsys.readouterr().err


@pytest.mark.tensorrt
@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="needs the package tensorrt-rtx, which builds engines without a GPU",
)
def test_building_for_another_machine(cache: DiskCache) -> None:
    arguments = ["build", "--size", "64x48", "--sm", "89", "--pix-fmt", "yuv420p10le"]
    first = CliRunner().invoke(engine_command.command, arguments)
    assert first.exit_code == 0, first.output
    assert "sm_89: built in" in first.output and "Building engine" in first.output
    assert "exists already" in CliRunner().invoke(engine_command.command, arguments).output
    (entry,) = cache.entries()
    assert entry.facts["gpu"] == "sm_89" and "yuv420p10le" in entry.facts["job"]
    many = ["build", "--sizes", "64x48", "96x64", "128x96", "--sm", "89"]
    third = CliRunner().invoke(engine_command.command, many)
    assert third.exit_code == 0 and "64x48 96x64 128x96: yuv420p" in third.output, third.output
    decoded = ["build", "--size", "64x48", "--sm", "89", "--pix-fmt", "nv12", "--out-pix-fmt", "yuv420p"]
    for extra, answer in (
        ([], "built in"),
        (["--matrix", "bt601", "--range", "limited", "--chroma", "left"], "exists already"),
        (["--matrix", "bt709"], "built in"),
        (["--range", "full"], "built in"),
        (["--chroma", "topleft"], "built in"),
    ):
        assert answer in CliRunner().invoke(engine_command.command, [*decoded, *extra]).output, extra
    inside = CliRunner().invoke(engine_command.command, ["build", "--size", "80x50", "--sm", "89"])
    assert "exists already" in inside.output


def test_one_size_or_many(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["engine", "build"]) == 2
    assert "either --size or --sizes" in capsys.readouterr().err


def test_every_engine_is_tested_and_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_SPEEDS", {"tiny": (64, 48)})
    monkeypatch.setattr(doctor, "_SECONDS", 0.1)
    found = list(doctor.measure())
    assert [each.what for each in found if not each.ok] == []
    assert {each.topic for each in found} == {*(f"test {name}" for name in installed_engines()), "speed tiny"}
    assert "64x48 → 128x96" in found[-1].what


def test_the_stored_samples_are_those_of_this_version() -> None:
    """Made by `reference()`; other engines and machines round some the other way."""
    stored, made = json.loads(self_test.REFERENCE.read_text()), self_test.reference()
    for variant in self_test.VARIANTS:
        for before, now in zip(stored[variant], made[variant], strict=True):
            assert max(abs(a - b) for a, b in zip(before, now, strict=True)) <= 1


def test_a_wrong_engine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that writes nothing, and one that cannot be loaded."""
    assert "codes off" in self_test.check_engine("null").error
    assert "there is no engine" in self_test.check_engine("nonsense").error
    monkeypatch.setattr(doctor, "installed_engines", lambda: ("null",))
    monkeypatch.setattr(doctor, "_SPEEDS", {})
    (finding,) = doctor.measure()
    assert not finding.ok and finding.remedy
