"""Times of a device's work: timed events around a slot's work in each stream, converted to the host's
clock."""

from __future__ import annotations

from time import perf_counter
from typing import Protocol

from paragon_stream.device import Device, Event, Resource, Stream

STREAMS = ("upload", "compute", "download")

REBASE_SECONDS = 10.0
"""Age at which a slot's base event is recorded again. CUDA gives the time between two events as float32
milliseconds: 1 µs fine after ten seconds, 250 µs after an hour."""

type Spans = tuple[tuple[float, float], ...]
"""Begin and end of a frame's work in each of `STREAMS`, in seconds of `perf_counter`."""


class Holder(Protocol):
    """The owner that releases resources at the end."""

    def hold[R: Resource](self, resource: R) -> R: ...


class DeviceTimer:
    """The events of one slot: two in each of `STREAMS`, and a base event whose host time is known.

    All methods are called inside `device.current()`.
    """

    def __init__(self, holder: Holder, device: Device, clock: Stream) -> None:
        """`clock` is an otherwise unused stream, so its events happen at the time of recording."""
        self._device, self._clock = device, clock
        self.marks: list[Event] = [holder.hold(device.event(timed=True)) for _ in range(2 * len(STREAMS))]
        self._base: Event = holder.hold(device.event(timed=True))
        self._set_base()

    def begin(self) -> None:
        """Call it before a frame's first mark, while no frame is in the slot."""
        if perf_counter() - self._based >= REBASE_SECONDS:
            self._set_base()

    def spans(self) -> Spans:
        """The times of the slot's latest frame, which is done. Durations are measured directly, not as
        differences of times since the base."""
        spans = []
        for first, last in zip(self.marks[::2], self.marks[1::2], strict=True):
            begin = self._based + self._device.elapsed(self._base, first)
            spans.append((begin, begin + self._device.elapsed(first, last)))
        return tuple(spans)

    def _set_base(self) -> None:
        self._device.record(self._base, self._clock)
        self._device.synchronize(self._base)
        self._based = perf_counter()
