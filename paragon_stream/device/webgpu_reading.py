"""Downloads through WebGPU: buffers that the host maps, and the wait for their content.

wgpu 0.32 has a thread that polls until the queue is empty, which holds up other threads' submits. It is
stopped; a thread that waits polls without blocking (`_Polls`). `map_async("READ")` submits a command buffer
of its own; "READ_NOSYNC" does not. A buffer must not be mapped while a copy to it has not been submitted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import wgpu
from numpy.typing import NDArray

from paragon_stream.errors import EngineError


@dataclass
class _Token:
    """The state of one `map_async`; its callback sets `is_done`."""

    is_done: bool = False

    def set_done(self) -> None:
        self.is_done = True


class _Polls:
    """Replaces wgpu-py's polling thread: only waiting threads poll."""

    def __init__(self) -> None:
        self.latest = _Token()

    def get_token(self) -> _Token:
        self.latest = _Token()
        return self.latest

    def stop(self) -> None:
        """Nothing to stop: there is no thread."""


@dataclass(eq=False)
class Reading:
    """Rows in transit from the GPU to `target`; complete when a thread has waited and called
    `Readings.bring`."""

    buffer: Any
    pitch: int
    target: NDArray[Any]
    promise: Any = None
    token: _Token | None = None

    @property
    def is_submitted(self) -> bool:
        return self.token is not None

    @property
    def is_done(self) -> bool:
        return self.token is not None and self.token.is_done


class Readings:
    """The readings of one device. All methods but `bring` are called with the device's lock held."""

    def __init__(self, device: Any) -> None:
        """`device` is wgpu's; its polling thread is stopped."""
        self._device = device
        device._poller.stop()
        self._polls = device._poller = _Polls()
        self._spare: defaultdict[int, list[Any]] = defaultdict(list)
        """Unused mappable buffers, by size."""
        self._unmapped: list[Reading] = []

    def start(
        self, encoder: Any, source: Any, offset: int, size: int, pitch: int, target: NDArray[Any]
    ) -> Reading:
        """Queue a copy of `size` bytes of the buffer `source`, whole words."""
        spare = self._spare[size]
        usage = wgpu.BufferUsage.MAP_READ | wgpu.BufferUsage.COPY_DST
        buffer = spare.pop() if spare else self._device.create_buffer(size=size, usage=usage)
        encoder.copy_buffer_to_buffer(source, offset, buffer, 0, size)
        reading = Reading(buffer, pitch, target)
        self._unmapped.append(reading)
        return reading

    def submitted(self) -> None:
        """Map the buffers of all started readings, whose commands have been submitted."""
        for each in self._unmapped:
            each.promise = each.buffer.map_async("READ_NOSYNC")
            each.token = self._polls.latest
        self._unmapped = []

    def poll(self) -> None:
        """Process finished work without waiting."""
        self._device._poll(False)

    def bring(self, reading: Reading) -> None:
        """The rows of a reading that is done, to its target. Raises what wgpu raises."""
        reading.promise.sync_wait()
        rows = reading.target.reshape(len(reading.target), -1).view(np.uint8)
        view = np.frombuffer(reading.buffer.read_mapped(copy=False), np.uint8)
        came = view[: len(rows) * reading.pitch].reshape(len(rows), reading.pitch)
        np.copyto(rows, came[:, : rows.shape[1]])

    def give_back(self, reading: Reading) -> None:
        """The buffer of a reading that was brought, for another one."""
        reading.buffer.unmap()
        self._spare[reading.buffer.size].append(reading.buffer)

    def close(self) -> None:
        self._spare.clear()
        self._unmapped = []


class Stamp:
    """The GPU's clock when it comes to a place in its queue."""

    FEATURE = "timestamp-query"

    def __init__(self, device: Any) -> None:
        """Raises EngineError for a GPU without a clock."""
        if self.FEATURE not in device.features:
            raise EngineError("this GPU provides no timestamps")
        self._queries = device.create_query_set(type="timestamp", count=1)
        usage = wgpu.BufferUsage.QUERY_RESOLVE | wgpu.BufferUsage.COPY_SRC
        self._resolved = device.create_buffer(size=8, usage=usage)
        self.ticks: NDArray[np.uint64] = np.zeros(1, np.uint64)

    def queue(self, encoder: Any, readings: Readings) -> Reading:
        """Queue a time stamp after the commands in `encoder`; `ticks` is set when the reading is complete."""
        writes = {"query_set": self._queries, "end_of_pass_write_index": 0}
        encoder.begin_compute_pass(timestamp_writes=writes).end()
        encoder.resolve_query_set(self._queries, 0, 1, self._resolved, 0)
        return readings.start(encoder, self._resolved, 0, 8, 8, self.ticks)


def seconds_per_tick(queue: Any) -> float:
    """wgpu-py hands the GPU's own ticks out, and has no function for their length yet."""
    from wgpu.backends.wgpu_native import lib

    return float(lib.wgpuQueueGetTimestampPeriod(queue._internal)) * 1e-9
