"""A form of the CPU kernels for another kind of processor: cross-compiled and run under qemu-user.

The structures of a frame are written to a file with every array that they point at, and the places of the
pointers; `programs/run_form.h` puts them into memory again, computes the frame and writes its planes.
"""

from __future__ import annotations

import bisect
import ctypes
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from places import PROGRAMS

from paragon_stream.framejob import FrameJob, allocate_planes
from paragon_stream.framejob.native.emit import NativeProgram, emit_native
from paragon_stream.framejob.native.weights import Packing
from paragon_stream.native import build
from paragon_stream.native.forms import Form
from paragon_stream.runtimes.native.frame import NativeFrame, views


class ForeignForm:
    """`form`, compiled for Linux on its kind of processor. Skips the test without compiler or emulator."""

    def __init__(self, form: Form, folder: Path) -> None:
        compiler = shutil.which(f"{form.machine}-linux-gnu-g++")
        emulator = shutil.which(f"qemu-{form.machine}") or shutil.which(f"qemu-{form.machine}-static")
        if compiler is None or emulator is None:
            pytest.skip(f"needs g++-{form.machine}-linux-gnu and qemu-user")
        self._form, self._folder = form, folder
        program = folder / "run_form"
        subprocess.run(
            [
                *(compiler, "-static", *build.COMPILER_OPTIONS, *form.options, *form.definitions),
                *(f"-I{build.SOURCES}", PROGRAMS / "run_form.cpp", "-o", program),
            ],
            check=True,
            timeout=240,
        )
        self._command = [emulator, str(program)]
        facts = subprocess.run(self._command, check=True, capture_output=True, text=True).stdout
        self.lanes, self._block = map(int, facts.split())

    def compute(
        self, job: FrameJob, planes: Sequence[NDArray[Any]], strength: float
    ) -> tuple[NDArray[Any], ...]:
        """The result of one frame."""
        image, outputs = job_image(self._form, self._block, job, planes, strength)
        came, went = self._folder / "job", self._folder / "planes"
        came.write_bytes(image)
        subprocess.run([*self._command, came, went], check=True, timeout=240)
        return next(planes_from(went.read_bytes(), [outputs]))


def planes_from(
    content: bytes, frames: Sequence[Sequence[NDArray[Any]]]
) -> Iterator[tuple[NDArray[Any], ...]]:
    """Fills the planes of all `frames` from `content`, in sequence."""
    start = 0
    for planes in frames:
        for plane in planes:
            part = np.frombuffer(content, plane.dtype, plane.size, start)
            plane[...] = part.reshape(plane.shape)
            start += plane.nbytes
        yield tuple(planes)
    assert start == len(content)


def job_image(
    form: Form, block: int, job: FrameJob, planes: Sequence[NDArray[Any]], strength: float
) -> tuple[bytes, list[NDArray[Any]]]:
    """A frame and its program as a file, with the places of all pointers; and planes for the result."""
    program = emit_native(job, Packing.of(form, block))
    outputs = allocate_planes(job.target)
    components = [plane.component for plane in program.outputs]
    frame = NativeFrame(program, planes, views(outputs, job.target, components), strength)
    return _image(program, frame, job.spec.variant == "stream", outputs), list(outputs)


def _image(
    program: NativeProgram, frame: NativeFrame, stream: bool, outputs: Sequence[NDArray[Any]]
) -> bytes:
    objects = [program.program, *program.kept, frame.frame, *_flat(frame._kept), *outputs]
    regions = {_address(each): each for each in objects}
    addresses = sorted(regions)
    number = {address: index for index, address in enumerate(addresses)}
    parts = [struct.pack("<Q", len(addresses))]
    pointers: list[tuple[int, int, int, int]] = []
    for address in addresses:
        content = _content(regions[address])
        parts.append(struct.pack("<2Q", len(content), address % 64) + content)
        if isinstance(regions[address], np.ndarray):
            continue
        for offset in range(0, len(content) - 7, 8):
            (value,) = struct.unpack_from("<Q", content, offset)
            at = bisect.bisect_right(addresses, value) - 1
            if at >= 0 and value < addresses[at] + len(_content(regions[addresses[at]])):
                pointers.append((number[address], offset, at, value - addresses[at]))
    parts.append(struct.pack("<Q", len(pointers)))
    parts += [struct.pack("<4Q", *each) for each in pointers]
    roots = [number[_address(program.program)], number[_address(frame.frame)], int(stream), len(outputs)]
    parts.append(struct.pack("<4Q", *roots))
    parts += [struct.pack("<Q", number[_address(plane)]) for plane in outputs]
    return b"".join(parts)


def _flat(kept: Any) -> list[Any]:
    return [inner for each in kept for inner in (each if isinstance(each, (tuple, list)) else [each])]


def _address(each: Any) -> int:
    return int(each.ctypes.data) if isinstance(each, np.ndarray) else ctypes.addressof(each)


def _content(each: Any) -> bytes:
    if isinstance(each, np.ndarray):
        assert each.flags.c_contiguous
        return each.tobytes()
    return ctypes.string_at(ctypes.addressof(each), ctypes.sizeof(each))
