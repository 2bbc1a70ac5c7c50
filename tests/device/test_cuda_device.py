"""CudaDevice through the real cuda-bindings, on a libcuda without a GPU; and on a GPU where there is one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the stub is a Linux library"),
    pytest.mark.skipif(
        not importlib.util.find_spec("cuda") or not importlib.util.find_spec("cuda.bindings"),
        reason="needs the package cuda-bindings",
    ),
]


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("stub")
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wl,-soname,libcuda.so.1", "-o", folder / "libcuda.so.1"]
    subprocess.run([*command, HERE / "libcuda_stub.c", "-ldl"], check=True, timeout=60)
    return folder


@pytest.mark.parametrize("body", ["facts", "sessions", "errors"])
def test_on_the_stub(stub: Path, body: str) -> None:
    answer = subprocess.run(
        [sys.executable, HERE / "cuda_on_stub.py", body],
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(stub),
            "PYTHONPATH": os.pathsep.join(map(str, (HERE, *HERE.parents[:2]))),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.strip().endswith("stub: 0 alive, 0 contexts"), answer.stderr


def test_without_a_driver_it_says_so() -> None:
    code = "from paragon_stream.device.cuda import CudaDevice; CudaDevice()"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE.parents[1], timeout=60
    )
    if answer.returncode == 0:
        pytest.skip("this machine has a GPU")
    assert "EngineError: there is no NVIDIA driver on this machine" in answer.stderr
