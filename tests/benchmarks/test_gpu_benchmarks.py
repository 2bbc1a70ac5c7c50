"""benchmarks/gpu without a GPU: a failure costs its own row only, and results are kept at each step."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from device_material import make_job
from fake_device import FakeDevice, FakeKernel
from places import REPOSITORY

pytest.importorskip("cuda.bindings", reason="needs the package cuda-bindings")

FOLDER = REPOSITORY / "benchmarks" / "gpu"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/gpu/engine.py, which writes its results into `tmp_path`."""
    spec = importlib.util.spec_from_file_location("gpu_engine_benchmark", FOLDER / "engine.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys.modules["common"], "RESULTS", tmp_path)
    return module


def test_a_contestant_that_fails_loses_no_results(engine: ModuleType) -> None:
    left = [4]

    def refuses() -> object:
        raise RuntimeError("torch._inductor.exc.InductorError\nno Triton on this machine")

    def breaks(frames: int) -> float:
        left[0] -= 1
        if not left[0]:
            raise RuntimeError("an illegal memory access")
        return 1.0

    found = engine.summary(
        {"good": lambda: lambda frames: frames * 0.002, "refuses": refuses, "breaks": lambda: breaks}, 5, 10
    )
    assert found["good"] == {"us": 2000.0, "fps": 500, "rounds_us": [2000.0] * 5}
    assert found["refuses"] == {"failed": "no Triton on this machine"}
    assert found["breaks"] == {"failed": "an illegal memory access"}


def test_results_are_on_disk_after_each_step(engine: ModuleType, tmp_path: Path) -> None:
    results = engine.Results({"gpu": "a GPU"})
    results.add("realtime", "right", "yuv420p x2", [{"db": 60.0, "largest": 1, "right": True}])
    written = json.loads((tmp_path / "gpu_engine.json").read_text())
    assert written["realtime"]["right"]["yuv420p x2"][0]["right"] and results.all_right
    results.add("realtime", "1080p", "frame", {"us": 400.0})
    results.add("realtime", "1080p", engine.TORCH, {"failed": "no Triton"})
    written = json.loads((tmp_path / "gpu_engine.json").read_text())
    assert written["realtime"]["1080p"]["frame"] == {"us": 400.0} and not results.all_right


def test_a_format_that_fails_is_reported_and_the_others_go_on(
    engine: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "check", lambda *_: 1 / 0)
    assert engine.checked("realtime", "yuv420p", 2, "cuda") == {"failed": "division by zero"}


def test_kernels_run_alone_on_what_a_whole_frame_left(
    engine: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unwritten memory holds any numbers: NaN and denormals take other paths. Graphs are timed too."""
    launched: list[str] = []

    def kernel(name: str) -> FakeKernel:
        return FakeKernel(lambda *_: launched.append(name), seconds=0.001, name=name)

    monkeypatch.setattr(engine, "cubin", lambda program, sm: SimpleNamespace(code=b""))
    device = FakeDevice({name: kernel(name) for name in ("body", "head")}, copy_seconds=0.0)
    contestants = engine.kernel_contestants(device, make_job())
    assert list(contestants) == [engine.GRAPH, engine.LAUNCHES, "body", "head"]
    expected = {
        engine.GRAPH: (["body", "head"] * 4, 0.006),
        engine.LAUNCHES: (["body", "head"] * 4, 0.006),
        "body": (["body", "head", *["body"] * 3], 0.003),
        "head": (["body", "head", *["head"] * 3], 0.003),
    }
    for name, (launches, seconds) in expected.items():
        launched.clear()
        assert contestants[name]()(3) == pytest.approx(seconds)
        assert launched == launches, name
    assert device.calls.count("launch_graph") == 3 and not device.misuse
