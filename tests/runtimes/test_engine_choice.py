"""The engine that `auto` selects, with and without a GPU, and its reason in the log."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from device_material import make_job
from network_reference import random_spec, random_weights

from paragon_stream.device import DeviceInfo
from paragon_stream.errors import EngineError, UsageError
from paragon_stream.framejob import FrameJob, build_job
from paragon_stream.runtimes import Precision, SessionOptions, cuda, installed_engines, registry, runtime
from paragon_stream.runtimes.gpu import nvrtc

GPU = DeviceInfo(
    name="RTX 4090", ordinal=0, compute_capability=(8, 9), memory=24 << 30, multiprocessors=128, driver="13.0"
)


class Recorder:
    """A runtime that only says that it was asked."""

    def __init__(self, name: str, fails: bool = False) -> None:
        self.name, self._fails = name, fails

    def compile(self, job: FrameJob, options: SessionOptions) -> Any:
        if self._fails:
            raise EngineError("the GPU fell off the bus")
        return self.name


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cuda.bindings", reason="needs the package cuda-bindings")
    monkeypatch.setattr(registry, "find_gpus", lambda: ([GPU], ""))
    monkeypatch.setattr(nvrtc, "compiler_version", lambda: "13.0")


def choose(
    job: FrameJob, *, fails: bool = False, has_torch: bool = False, other: str = "", **options: Any
) -> str:
    def find_other(job: FrameJob) -> Recorder | None:
        name = "torch" if has_torch else other
        return Recorder(name) if name else None

    automatic = registry.AutomaticRuntime(Recorder("cuda", fails), Recorder("openvino"), find_other)
    return str(automatic.compile(job, SessionOptions(**options)))


def test_without_a_gpu_the_cpu_and_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(registry, "find_gpus", lambda: ([], "there is no NVIDIA driver on this machine"))
    with caplog.at_level(logging.INFO, "paragon_stream"):
        assert isinstance(runtime("auto"), registry.CpuRuntime)
    assert "no GPU is used: there is no NVIDIA driver on this machine" in caplog.text
    assert not {"cuda", "tensorrt", "tensorrt-rtx"} & set(installed_engines())


@pytest.mark.usefixtures("with_gpu")
def test_with_a_gpu_it_is_used() -> None:
    assert isinstance(runtime("auto"), registry.AutomaticRuntime)
    assert "cuda" in installed_engines()
    assert choose(make_job()) == choose(make_job(), device="cuda:1") == "cuda"


def test_without_the_library_of_nvrtc_another_engine_and_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """cuda-bindings has the module `nvrtc` also where the library that it loads is missing."""
    bindings = pytest.importorskip("cuda.bindings.nvrtc", reason="needs the package cuda-bindings")

    def not_found() -> None:
        raise RuntimeError("libnvrtc.so was not found")

    monkeypatch.setattr(bindings, "nvrtcVersion", not_found)
    monkeypatch.setattr(registry, "find_gpus", lambda: ([GPU], ""))
    monkeypatch.setattr(registry, "may_have_gpu", lambda: False)
    with caplog.at_level(logging.INFO, "paragon_stream"):
        assert isinstance(runtime("auto"), registry.CpuRuntime)
    assert "needs the package nvidia-cuda-nvrtc" in caplog.text
    assert "libnvrtc.so was not found" in caplog.text


@pytest.mark.parametrize("has_torch", [False, True])
def test_the_cpu_where_it_is_asked_for(has_torch: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "paragon_stream"):
        assert choose(make_job(), device="cpu", has_torch=has_torch) == "openvino"
    assert "the device cpu is selected" in caplog.text


def photo_job() -> FrameJob:
    return build_job(random_weights(random_spec("photo")), make_job().source)


@pytest.mark.parametrize(
    ("job", "options", "words"),
    [
        (make_job(), {"precision": Precision.FP32}, "does not compute in fp32"),
        (photo_job(), {}, "computes realtime and stream networks, not photo"),
    ],
)
def test_what_there_are_no_kernels_for_is_torchs_or_the_cpus_loudly(
    job: FrameJob, options: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "paragon_stream"):
        assert choose(job, has_torch=True, **options) == "torch"
    assert words in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    with caplog.at_level(logging.WARNING, "paragon_stream"):
        assert choose(job, **options) == "openvino"
    assert "on the CPU, although there is a GPU" in caplog.text
    assert "torch could: pip install torch" in caplog.text


def test_webgpu_computes_what_cuda_refuses_on_a_gpu_that_is_not_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert choose(make_job(), other="webgpu", precision=Precision.FP32) == "webgpu"
    assert choose(make_job(), other="webgpu", precision=Precision.BF16) == "openvino", "webgpu has no bf16"
    with pytest.raises(EngineError, match="does not compute in fp32, so cuda:1 cannot be used"):
        choose(make_job(), other="webgpu", precision=Precision.FP32, device="cuda:1")
    with pytest.raises(UsageError, match="no GPU called cuda:x"):
        choose(make_job(), other="webgpu", precision=Precision.FP32, device="cuda:x")
    monkeypatch.setattr(registry, "runtime", Recorder)
    assert choose(make_job(), device="gpu:0") == "webgpu"


def test_torch_is_taken_only_where_it_can_use_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    if not registry._is_installed("torch"):
        assert registry.torch_on_gpu() is None
        return
    import torch

    for has_gpu in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has_gpu=has_gpu: has_gpu)
        other = registry.torch_on_gpu()
        assert (other.name if other else "") == ("torch" if has_gpu else "")


def test_a_damaged_torch_is_no_internal_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """torch raises OSError if one of its libraries is missing."""

    def damaged(name: str) -> None:
        raise OSError("libcudnn.so.9: cannot open shared object file")

    monkeypatch.setattr(registry, "_is_installed", lambda package: True)
    monkeypatch.setattr(registry.importlib, "import_module", damaged)
    with pytest.raises(EngineError, match=r"engine torch cannot be loaded: libcudnn\.so\.9"):
        runtime("torch")
    assert registry.torch_on_gpu() is None
    assert "torch is not used: engine torch cannot be loaded: libcudnn.so.9" in caplog.text


@pytest.mark.parametrize(
    ("driver", "compiler", "runs"), [("12.9", "13.0", 0), ("13.0", "13.2", 1), ("13.2", "12.9", 1)]
)
def test_a_driver_older_than_the_compiler(
    driver: str, compiler: str, runs: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Drivers run code of their major version of CUDA, and of older ones."""
    pytest.importorskip("cuda.bindings", reason="needs the package cuda-bindings")
    monkeypatch.setattr(registry, "find_gpus", lambda: ([replace(GPU, driver=driver)], ""))
    monkeypatch.setattr(registry, "may_have_gpu", lambda: False)
    monkeypatch.setattr(nvrtc, "compiler_version", lambda: compiler)
    with caplog.at_level(logging.INFO, "paragon_stream"):
        chosen = runtime("auto")
    assert isinstance(chosen, registry.AutomaticRuntime if runs else registry.CpuRuntime)
    assert ("the driver is for CUDA 12.9, older than the compiler's 13.0" in caplog.text) == (not runs)


def test_the_engine_cuda_names_an_old_driver_only_if_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(code: bytes) -> None:
        raise EngineError("CUDA: device kernel image is invalid (CUDA_ERROR_INVALID_IMAGE)")

    monkeypatch.setattr(cuda, "cubin", lambda *each: SimpleNamespace(code=b""))
    monkeypatch.setattr(nvrtc, "compiler_version", lambda: "13.0")
    load = cuda.loader(make_job())
    for driver, words in (("12.9", "image is invalid.*; the driver is for CUDA 12.9"), ("13.0", r"IMAGE\)$")):
        with pytest.raises(EngineError, match=words):
            load(SimpleNamespace(info=replace(GPU, driver=driver), load=refused), lambda each: each)


@pytest.mark.parametrize("adapters", [0, 1])
def test_a_gpu_that_is_asked_for_and_missing_comes_with_the_reason(
    adapters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [SimpleNamespace(is_hardware=True)] * adapters
    monkeypatch.setattr(registry, "find_gpus", lambda: ([], "there is no NVIDIA driver on this machine"))
    monkeypatch.setattr(registry, "may_have_gpu", lambda: bool(adapters))
    monkeypatch.setattr(registry, "find_adapters", lambda: (found, ""))
    monkeypatch.setattr(registry, "runtime", Recorder)
    automatic = registry._automatic()
    with pytest.raises(EngineError, match=r"the device cuda:1 cannot be used: there is no NVIDIA driver"):
        automatic.compile(make_job(), SessionOptions(device="cuda:1"))
    assert automatic.compile(make_job(), SessionOptions(device="cpu")) in ("native", "openvino")


def test_a_gpu_that_fails_is_not_replaced_by_a_cpu() -> None:
    with pytest.raises(EngineError, match="fell off the bus"):
        choose(make_job(), fails=True)


def test_the_gpu_needs_no_engine_for_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one loaded for it."""
    gpu = Recorder("cuda")
    monkeypatch.setattr(registry, "find_gpus", lambda: ([GPU], ""))
    monkeypatch.setattr(nvrtc, "compiler_version", lambda: "13.0")
    monkeypatch.setattr(registry, "_is_installed", lambda package: package != "openvino")
    monkeypatch.setattr(registry, "runtime", lambda name: {"cuda": gpu}[name])
    assert registry._automatic().compile(make_job(), SessionOptions()) == "cuda"


def test_the_reference_is_the_first_engine_for_cpus_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO is not installed, or refuses the job; then the next one computes it, in fp32."""
    pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    whole = registry._is_installed
    monkeypatch.setattr(registry, "_is_installed", lambda package: package != "openvino" and whole(package))
    session = registry.cpu_reference(make_job())
    assert session.engine != "openvino" and session.precision is Precision.FP32
    session.close()
    monkeypatch.undo()
    engines = {name: Recorder(name, fails=name != "torch") for name in registry._RUNTIMES}
    monkeypatch.setattr(registry, "runtime", lambda name: engines[name])
    assert registry.cpu_reference(make_job()) == "torch"
    engines["torch"] = Recorder("torch", fails=True)
    with pytest.raises(EngineError, match=r"no engine can compute .* openvino: the GPU fell off .*; torch: "):
        registry.cpu_reference(make_job())


def test_what_is_not_installed_comes_with_the_command() -> None:
    if registry._is_installed("tensorrt"):
        pytest.skip("tensorrt is installed")
    with pytest.raises(
        UsageError, match=r"needs the package tensorrt; install it with: .* -m pip install tensorrt"
    ):
        runtime("tensorrt")
