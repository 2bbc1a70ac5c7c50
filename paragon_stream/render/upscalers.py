"""An upscaler for each format of a stream."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Self

from paragon_stream.frame import FrameFormat
from paragon_stream.geometry import Fit, fill
from paragon_stream.pipeline.slot import Slot
from paragon_stream.pipeline.trace import Trace
from paragon_stream.render.kept import OpenUpscaler
from paragon_stream.runtimes import CPU_ENGINES, Flavour, Plane
from paragon_stream.upscaler import Upscaler, UpscalerOptions

SPARE_SLOTS = 4
"""Slots in addition to those that the engine computes: one is decoded, one encoded, and one waits at each."""


def fit_of_changes(options: UpscalerOptions) -> Fit:
    """The fit of frames with another shape than the first ones into the result."""
    return Fit(options.fit) if options.fit in (Fit.CROP, Fit.STRETCH) else Fit.PAD


class Upscalers:
    """An upscaler and its slots for each format of a stream, made when the format first occurs.

    All have the network, the engine and the result format of the first one: a picture of another size or
    shape is fitted into the first picture, as by `--to` with `--fit pad` (or the requested `--fit`).
    Close it, or use `with`; `first` is not closed.
    """

    def __init__(
        self,
        first: Upscaler,
        options: UpscalerOptions,
        *,
        grain: int,
        flavour: Flavour = Flavour.THROUGHPUT,
        open: OpenUpscaler = Upscaler.for_format,
    ) -> None:
        """`grain` is the argument of `geometry.place`, `flavour` is that of `first`; `open` makes the other
        upscalers."""
        self.first = first
        self._open = open
        self._flavour = flavour
        self._grain = grain
        # A GPU is chosen once. On the CPU, `auto` may take another engine for another format.
        engine = options.engine if first.session.engine in CPU_ENGINES else first.session.engine
        self._options = replace(options, engine=engine)
        self._fit = fit_of_changes(options)
        self._all: dict[FrameFormat, Upscaler] = {first.source: first}
        self._slots: dict[FrameFormat, list[Slot[Plane]]] = {}
        self._trace: Trace | None = None

    def of(self, source: FrameFormat) -> Upscaler:
        """The upscaler for frames of `source`. Raises FormatError, EngineError."""
        if source not in self._all:
            target = self.first.target
            box = target.width, target.height
            placement = fill(source, box, self._fit, aspect=target.sample_aspect_ratio, grain=self._grain)
            self._all[source] = upscaler = self._open(
                source,
                self._options,
                pixel_format=target.pixel_format,
                color=target.color,
                network=(self.first.weights, placement),
                flavour=self._flavour,
            )
            if self._trace is not None:
                upscaler.trace(self._trace)
        return self._all[source]

    def slots(self, source: FrameFormat) -> list[Slot[Plane]]:
        """The slots for frames of `source`; every call returns the same ones."""
        if source not in self._slots:
            upscaler = self.of(source)
            count = upscaler.session.in_flight + SPARE_SLOTS
            self._slots[source] = [Slot(*upscaler.allocate()) for _ in range(count)]
        return self._slots[source]

    def trace(self, trace: Trace) -> None:
        """Record the work of devices in `trace`. Call it before the first frame."""
        self._trace = trace
        for upscaler in self._all.values():
            upscaler.trace(trace)

    def restart(self) -> None:
        """Restart the video mode: the next frame does not follow the previous one."""
        for upscaler in self._all.values():
            upscaler.restart()

    @property
    def reruns(self) -> int:
        """See `Upscaler.reruns`."""
        return sum(upscaler.reruns for upscaler in self._all.values())

    def close(self) -> None:
        self._slots.clear()
        for upscaler in self._all.values():
            if upscaler is not self.first:
                upscaler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
