"""The contract of programs that a device session runs: a frame job compiled for one device."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Protocol

from paragon_stream.device import Device, DevicePlane, Resource, Stream
from paragon_stream.frame import FrameFormat
from paragon_stream.runtimes.base import Precision


@dataclass(frozen=True, kw_only=True)
class DeviceFrame:
    """The device's buffers of one frame in flight."""

    inputs: tuple[DevicePlane, ...]
    outputs: tuple[DevicePlane, ...]
    strength: int
    """Address of one fp32."""
    status: int
    """Address of one 32-bit word, 0 before the frame; the program defines its meaning afterwards."""


class DeviceProgram(Protocol):
    """A frame job compiled for one device, with its constants and scratch memory there."""

    engine: str
    precision: Precision
    input_pitches: tuple[int, ...]
    """Bytes from row to row of each input plane in device memory."""
    output_pitches: tuple[int, ...]
    slack: int
    """Bytes after a plane's end that the program may read or write."""

    def enqueue(self, frame: DeviceFrame, stream: Stream) -> None:
        """Queue the computation of `frame.outputs`. It can be captured into a graph, and allocates
        nothing."""
        ...

    def is_healthy(self, status: int) -> bool:
        """Whether a frame that left `status` in its word was computed without NaN and infinity."""
        ...

    def close(self) -> None:
        """Release everything that was not given to `Hold`, which is released later."""
        ...


def tight_pitches(format: FrameFormat) -> tuple[int, ...]:
    """Pitches without gaps between rows, bytes, for libraries that support no others."""
    sample = format.pixel_format.bytes_per_sample
    return tuple(math.prod(shape[1:]) * sample for shape in format.plane_shapes)


def guard_is_finite(status: int) -> bool:
    """Whether a status word that holds a graph's guard, an fp32, belongs to a healthy frame."""
    (guard,) = struct.unpack("<f", struct.pack("<I", status))
    return math.isfinite(guard)


class Hold(Protocol):
    """Registers a resource, which its owner releases at the end."""

    def __call__[R: Resource](self, resource: R, /) -> R: ...


class Load(Protocol):
    """Loads a program on a device, inside `device.current()`."""

    def __call__(self, device: Device, hold: Hold, /) -> DeviceProgram:
        """Raises EngineError."""
        ...
