"""The device buffers of a CUDA or WebGPU program of this project: constants, and the planes of each frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paragon_stream.device import Device, DevicePlane
from paragon_stream.framejob.cuda.program import BufferKind
from paragon_stream.runtimes.gpu.program import DeviceFrame, Hold

type Pointers = dict[BufferKind, list[int]]
"""Addresses on the device, by kind and index."""


def own_buffers(
    device: Device, hold: Hold, *, workspaces: Sequence[int], constants: Sequence[bytes]
) -> Pointers:
    """Room for workspaces of those sizes, and the constants on the device. Raises DeviceMemoryError."""
    return {
        BufferKind.WORKSPACE: [hold(device.allocate(size)).handle for size in workspaces],
        BufferKind.CONSTANT: _uploaded(device, hold, constants),
    }


def with_frame(own: Pointers, frame: DeviceFrame) -> Pointers:
    return {
        **own,
        BufferKind.INPUT: [plane.pointer for plane in frame.inputs],
        BufferKind.OUTPUT: [plane.pointer for plane in frame.outputs],
        BufferKind.STRENGTH: [frame.strength],
        BufferKind.STATUS: [frame.status],
    }


def _uploaded(device: Device, hold: Hold, constants: Sequence[bytes]) -> list[int]:
    addresses = []
    stream, done = hold(device.stream("constants")), hold(device.event())
    for content in constants:
        size = len(content)
        host, memory = hold(device.allocate_host(size)), hold(device.allocate(size))
        host.array[:] = np.frombuffer(content, np.uint8)
        plane = DevicePlane(pointer=memory.handle, pitch=size, row_bytes=size, rows=1)
        device.upload(host.array.reshape(1, -1), plane, stream)
        addresses.append(memory.handle)
    device.record(done, stream)
    device.synchronize(done)
    return addresses
