"""CudaDevice through the real cuda-bindings, on a libcuda without a GPU; and on a GPU where there is one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from places import REPOSITORY


@pytest.mark.parametrize("body", ["facts", "sessions", "team", "errors"])
def test_on_the_stub(on_stub, body: str) -> None:
    on_stub("cuda_on_stub.py", body)


def test_without_a_driver_it_says_so() -> None:
    pytest.importorskip("cuda.bindings", reason="needs the package cuda-bindings")
    code = "from paragon_stream.device.cuda import CudaDevice; CudaDevice()"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, timeout=60
    )
    if answer.returncode == 0:
        pytest.skip("this machine has a GPU")
    assert "EngineError: there is no NVIDIA driver on this machine" in answer.stderr
