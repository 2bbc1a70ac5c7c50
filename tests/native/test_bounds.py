"""The kernels read and write their planes and nothing beside them, in every form that this processor has.

Every array ends, or begins, at a page that may not be touched.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import emulated_form
import numpy as np
import pytest
from native_material import make_job, noise
from numpy.typing import NDArray
from places import PROGRAMS, PYTHONPATH

from paragon_stream.framejob import FrameJob, allocate_planes
from paragon_stream.native import build
from paragon_stream.native.forms import Form
from paragon_stream.native.library import Kernels, kernels, missing
from paragon_stream.runtimes import Flavour
from paragon_stream.runtimes.native.session import NativeSession

_NONE = 0  # PROT_NONE
FORMATS = ("yuv420p", "yuv422p10le", "rgb24", "p010le", "yuva420p", "gray16le", "yuv410p", "bgra64le")
SIZES = ((1, 1), (2, 3), (17, 9), (61, 33), (97, 61))

needs_kernels = pytest.mark.skipif(bool(missing()), reason=missing() or "the kernels are there")


class Guarded:
    """Arrays between pages that may not be touched."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._held: list[tuple[mmap.mmap, int, int]] = []

    def like(self, array: NDArray, *, at_end: bool) -> NDArray:
        page = mmap.PAGESIZE
        pages = -(-array.nbytes // page)
        memory = mmap.mmap(-1, (pages + 2) * page)
        base = np.frombuffer(memory, np.uint8)
        start = page + (pages * page - array.nbytes if at_end else 0)
        made = base[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        for first in (0, (pages + 1) * page):
            self._protect(base.ctypes.data + first, _NONE)
            self._held.append((memory, base.ctypes.data + first, page))
        made[...] = array
        return made

    def _protect(self, address: int, kind: int) -> None:
        assert self._libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), kind) == 0

    def release(self) -> None:
        for _, address, _ in self._held:
            self._protect(address, mmap.PROT_READ | mmap.PROT_WRITE)


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    if os.name != "posix":
        pytest.skip("needs mprotect")
    made = Guarded()
    yield made
    made.release()


def check(guarded: Guarded, job: FrameJob, each: Kernels, threads: int) -> None:
    planes = noise(job)
    free = allocate_planes(job.target)
    session = NativeSession(job, each, threads, Flavour.LATENCY)
    session.run(planes, free, 0.5).wait()
    for at_end in (True, False):
        inputs = [guarded.like(plane, at_end=at_end) for plane in planes]
        outputs = [guarded.like(np.full_like(plane, 0x5A), at_end=at_end) for plane in free]
        session.run(inputs, outputs, 0.5).wait()
        for got, wanted in zip(outputs, free, strict=True):
            np.testing.assert_array_equal(got, wanted)
        for got, wanted in zip(inputs, planes, strict=True):
            np.testing.assert_array_equal(got, wanted)
    session.close()


@needs_kernels
@pytest.mark.parametrize("pixels", FORMATS)
def test_guard_pages(guarded: Guarded, pixels: str) -> None:
    for each in kernels():
        for number, size in enumerate(SIZES):
            check(guarded, make_job("realtime", 2 + number % 3, pixels, size), each, 1 + number % 2)


@needs_kernels
@pytest.mark.parametrize("pixels", ["yuv420p", "bgra64le", "nv12", "gray"])
def test_guard_pages_of_resized_frames(guarded: Guarded, pixels: str) -> None:
    for each in kernels():
        for number, size in enumerate([(3, 2), (17, 9), (61, 33), (34, 67)]):
            box = size[0] * 3 // 2 + 1, size[1] * 2 + 10
            check(guarded, make_job("realtime", 2, pixels, size, box), each, 1 + number)


@needs_kernels
def test_guard_pages_in_stream(guarded: Guarded) -> None:
    for each in kernels():
        check(guarded, make_job("stream", 2, "yuv420p", (37, 21)), each, 2)


def sanitized(folder: Path, form: Form | None = None) -> str:
    """The output of programs/sanitized.py, with kernels that AddressSanitizer and UndefinedBehaviorSanitizer
    check."""
    command = build.compiler()
    if command is None or sys.platform != "linux" or "ziglang" in command:
        pytest.skip("needs a compiler with sanitizers, on Linux")
    path = folder / "kernels.so"
    # One form for CI is compiled quickly, all forms for many frames.
    flags = [
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        *(["-O0"] if form else ["-O1", "-g"]),
    ]
    build.build(path, command, options=flags, forms=[form] if form else emulated_form.forms())
    runtime = subprocess.check_output([*command, "-print-file-name=libasan.so"], text=True).strip()
    options = {"LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONPATH": PYTHONPATH}
    done = subprocess.run(
        [sys.executable, PROGRAMS / "sanitized.py", path, *([form.name] if form else [])],
        env={**os.environ, **options}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@needs_kernels
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sanitizers(tmp_path: Path) -> None:
    """All forms, those for other processors with emulated instructions, and all formats."""
    assert "frames" in sanitized(tmp_path)


@needs_kernels
def test_sanitizers_on_a_selection(tmp_path: Path) -> None:
    assert "12 frames" in sanitized(tmp_path, kernels()[0].form)


@needs_kernels
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_stays_flat() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sanitized; sanitized.many(20_000)"],
        cwd=PROGRAMS, env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    before, after = map(int, done.stdout.split())
    assert after - before < 8 << 20, f"{(after - before) / 2**20:.1f} MB more"
