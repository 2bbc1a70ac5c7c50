"""When a device did what: timed events around a lane's work in each stream, in the host's time."""

from __future__ import annotations

from time import perf_counter
from typing import Protocol

from paragon_stream.device import Device, Event, Resource, Stream

STREAMS = ("upload", "compute", "download")

type Spans = tuple[tuple[float, float], ...]
"""Begin and end of a frame's work in each of `STREAMS`, in seconds of `perf_counter`."""


class Holder(Protocol):
    """Who gives resources back at the end."""

    def hold[R: Resource](self, resource: R) -> R: ...


class Clock:
    """A moment that the device and the host both know. Made inside `device.current()`."""

    def __init__(self, holder: Holder, device: Device, stream: Stream) -> None:
        self.start: Event = holder.hold(device.event(timed=True))
        device.record(self.start, stream)
        device.synchronize(self.start)
        self.started = perf_counter()


class Timing:
    """The events of one lane: two in each of `STREAMS`."""

    def __init__(self, holder: Holder, device: Device, clock: Clock) -> None:
        self._device, self._clock = device, clock
        self.marks: list[Event] = [holder.hold(device.event(timed=True)) for _ in range(2 * len(STREAMS))]

    def spans(self) -> Spans:
        """Of the lane's latest frame, which is done."""
        clock = self._clock
        times = [clock.started + self._device.elapsed(clock.start, mark) for mark in self.marks]
        return tuple(zip(times[::2], times[1::2], strict=True))
