"""What `auto` takes, with and without a GPU, and that it says why."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from device_material import make_job
from network_reference import random_spec, random_weights

from paragon_stream.device import DeviceInfo
from paragon_stream.errors import EngineError, UsageError
from paragon_stream.framejob import FrameJob, build_job
from paragon_stream.runtimes import Precision, SessionOptions, installed_engines, registry, runtime

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


def choose(job: FrameJob, *, fails: bool = False, **options: Any) -> str:
    automatic = registry.AutomaticRuntime(Recorder("cuda", fails), Recorder("openvino"))
    return str(automatic.compile(job, SessionOptions(**options)))


def test_without_a_gpu_the_cpu_and_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(registry, "find_gpus", lambda: ([], "there is no NVIDIA driver on this machine"))
    with caplog.at_level(logging.INFO, "paragon_stream"):
        assert runtime("auto").name == "openvino"
    assert "no GPU is used: there is no NVIDIA driver on this machine" in caplog.text
    assert not {"cuda", "tensorrt", "tensorrt-rtx"} & set(installed_engines())


@pytest.mark.usefixtures("with_gpu")
def test_with_a_gpu_it_is_used() -> None:
    assert isinstance(runtime("auto"), registry.AutomaticRuntime)
    assert "cuda" in installed_engines()
    assert choose(make_job()) == choose(make_job(), device="cuda:1") == "cuda"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "cpu"}, "the device cpu is asked for"),
        ({"precision": Precision.FP32}, "does not compute in fp32"),
    ],
)
def test_what_is_asked_for_comes_first(
    options: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "paragon_stream"):
        assert choose(make_job(), **options) == "openvino"
    assert words in caplog.text


def test_networks_without_kernels_go_to_the_cpu_loudly(caplog: pytest.LogCaptureFixture) -> None:
    small = make_job()
    job = build_job(random_weights(random_spec("stream", scale=3)), small.source)
    if not registry_refuses(job):
        pytest.skip("there are kernels for this network")
    with caplog.at_level(logging.WARNING, "paragon_stream"):
        assert choose(job) == "openvino"
    assert "on the CPU, although there is a GPU" in caplog.text


def registry_refuses(job: FrameJob) -> str:
    from paragon_stream.runtimes.cuda import refusal

    return refusal(job)


def test_a_gpu_that_fails_is_not_replaced_by_a_cpu() -> None:
    with pytest.raises(EngineError, match="fell off the bus"):
        choose(make_job(), fails=True)


def test_what_is_not_installed_comes_with_the_command() -> None:
    if registry._is_installed("tensorrt"):
        pytest.skip("tensorrt is installed")
    with pytest.raises(
        UsageError, match=r"needs the package tensorrt; install it with: .* -m pip install tensorrt"
    ):
        runtime("tensorrt")
