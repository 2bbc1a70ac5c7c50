"""What a device session runs: a frame job compiled for one device, and the device's side of a frame."""

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
    """Address of one 32-bit word, 0 before the frame; the program defines what it means afterwards."""


class DeviceProgram(Protocol):
    """A frame job compiled for one device, with everything that it needs there beside the frames."""

    engine: str
    precision: Precision
    input_pitches: tuple[int, ...]
    """Bytes from row to row of each input plane in device memory."""
    output_pitches: tuple[int, ...]
    slack: int
    """Bytes beyond a plane's end that may be touched without meaning."""

    def enqueue(self, frame: DeviceFrame, stream: Stream) -> None:
        """Queue what computes `frame.outputs`. May be captured into a graph; allocates nothing."""
        ...

    def is_healthy(self, status: int) -> bool:
        """Whether a frame that left `status` in its word was computed without NaN and infinity."""
        ...

    def close(self) -> None:
        """Let go of everything but what was given to `Hold`, which is given back afterwards."""
        ...


def tight_pitches(format: FrameFormat) -> tuple[int, ...]:
    """For libraries that know no gaps between rows: bytes from row to row of each plane."""
    sample = format.pixel_format.bytes_per_sample
    return tuple(math.prod(shape[1:]) * sample for shape in format.plane_shapes)


def guard_is_finite(status: int) -> bool:
    """Whether a status word that holds a graph's guard, an fp32, belongs to a healthy frame."""
    (guard,) = struct.unpack("<f", struct.pack("<I", status))
    return math.isfinite(guard)


class Hold(Protocol):
    """The owner that gives a resource back in the end, whatever happens."""

    def __call__[R: Resource](self, resource: R, /) -> R: ...


class Load(Protocol):
    """How a program comes to be, inside `device.current()`."""

    def __call__(self, device: Device, hold: Hold, /) -> DeviceProgram:
        """Raises EngineError."""
        ...
