"""Compilers that are older than the kernels' newest instruction sets, or than GCC 12."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

import numpy as np
import pytest
from native_material import make_job, noise

from paragon_stream.framejob import allocate_planes
from paragon_stream.native import abi, build
from paragon_stream.native.library import Kernels, kernels, missing
from paragon_stream.runtimes import Flavour
from paragon_stream.runtimes.native.session import NativeSession


def computed(chosen: Kernels) -> list[np.ndarray]:
    job = make_job("realtime", 2, "yuv420p", (97, 61))
    outputs = allocate_planes(job.target)
    session = NativeSession(job, chosen, 1, Flavour.LATENCY)
    session.run(noise(job), outputs, 0.5).wait()
    session.close()
    return list(outputs)


def test_forms_that_a_compiler_does_not_support_are_left_out(tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    if not (real := build.compiler()):
        pytest.skip("no C++ compiler")
    old = tmp_path / "old"
    old.write_text(f'#!/bin/sh\ncase "$*" in *-mavx512*|*-mamx*) exit 1;; esac\nexec {" ".join(real)} "$@"\n')
    old.chmod(0o755)
    library = ctypes.CDLL(str(build.build(tmp_path / "kernels.so", [str(old)])))
    first = kernels()[0].form.name
    assert hasattr(library, f"paragon_form_{first}")
    assert not hasattr(library, "paragon_form_avx512") and not hasattr(library, "paragon_form_amx_bf16")


def test_a_compiler_that_supports_nothing_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no licence >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(build.BuildFailed, match="no licence"):
        build.build(tmp_path / "kernels.so", [str(broken)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["g++-11", "clang++"])
def test_every_compiler_makes_the_same_kernels(name: str, tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    library = ctypes.CDLL(str(build.build(tmp_path / "kernels.so", [name])))
    for own in kernels():
        if not hasattr(library, f"paragon_form_{own.form.name}"):
            continue
        entry = abi.Form.in_dll(library, f"paragon_form_{own.form.name}")
        other = Kernels(form=own.form, entry=entry, is_fast=own.is_fast)
        for one, two in zip(computed(own), computed(other), strict=True):
            assert np.abs(one.astype(int) - two.astype(int)).max() <= 1
