"""CUDA's and NVDEC's libraries without a GPU, and Python processes that run with them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from places import PROGRAMS, PYTHONPATH

type OnStub = Callable[..., str]
"""Runs a script of tests/support/programs in a process of its own; returns its standard error."""


@pytest.fixture(scope="session")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with libcuda.so.1 and libnvcuvid.so.1."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the stubs are Linux libraries")
    if not importlib.util.find_spec("cuda") or not importlib.util.find_spec("cuda.bindings"):
        pytest.skip("needs the package cuda-bindings")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("stub")
    for name, links in (("cuda", ["-ldl"]), ("nvcuvid", [f"-L{folder}", "-l:libcuda.so.1"])):
        library = f"lib{name}.so.1"
        command = [compiler, "-shared", "-fPIC", "-O1", f"-Wl,-soname,{library}", "-o", folder / library]
        subprocess.run([*command, PROGRAMS / f"lib{name}_stub.c", *links], check=True, timeout=60)
    return folder


@pytest.fixture
def on_stub(stub: Path) -> OnStub:
    def run(script: str, *arguments: object) -> str:
        answer = subprocess.run(
            [sys.executable, PROGRAMS / script, *map(str, arguments)],
            env={
                **os.environ,
                "LD_LIBRARY_PATH": str(stub),
                "PYTHONPATH": PYTHONPATH,
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert answer.returncode == 0, answer.stderr
        assert answer.stderr.strip().endswith("stub: 0 alive, 0 contexts"), answer.stderr
        return answer.stderr

    return run
