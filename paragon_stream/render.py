"""Every frame of a reader through the engine into a sink: a pipeline for each stretch of one format."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from paragon_stream.checkpoint import Weights
from paragon_stream.device import DevicePicture
from paragon_stream.errors import EngineError, FormatError
from paragon_stream.frame import FrameFormat, Timing
from paragon_stream.geometry import Fit, Placement, fill
from paragon_stream.media.encode.device_frames import DeviceFrames, fits
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.images.sequence_reader import SequenceReader
from paragon_stream.media.output.plan import OutputPlan
from paragon_stream.media.output.writer import VideoWriter
from paragon_stream.media.sink import Sink
from paragon_stream.pipeline.pipeline import Pipeline, PipelineStats, Progress, in_succession
from paragon_stream.pipeline.slot import Slot
from paragon_stream.pipeline.stage import Stage
from paragon_stream.pipeline.trace import Trace
from paragon_stream.report import StrengthReport
from paragon_stream.runtimes import Flavour, Plane
from paragon_stream.upscaler import Upscaler, UpscalerOptions

SPARE_SLOTS = 4
"""Slots beside those that the engine computes: one is decoded, one encoded, and one waits before either."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RenderProgress:
    """How far a render is. `total` and `eta` (seconds) are None where the source does not say."""

    frames: int
    total: int | None
    fps: float
    eta: float | None
    bytes_out: int


class Upscalers:
    """An upscaler for each format that a stream turns to, made when it first does, and its slots.

    All have the network, the engine and the result of the first one: a picture of another size or shape is
    fitted into the first one's, as `--to` with `--fit pad` does it (or the `--fit` that was asked for).
    Close it, or use `with`; `first` stays its owner's.
    """

    def __init__(
        self, first: Upscaler, options: UpscalerOptions, *, grain: int, flavour: Flavour = Flavour.THROUGHPUT
    ) -> None:
        """`grain` is `geometry.place`'s, `flavour` that of `first`."""
        self.first = first
        self._flavour = flavour
        self._grain = grain
        self._options = replace(options, engine=first.session.engine)
        self._fit = Fit(options.fit) if options.fit in (Fit.CROP, Fit.STRETCH) else Fit.PAD
        self._all: dict[FrameFormat, Upscaler] = {first.source: first}
        self._slots: dict[FrameFormat, list[Slot[Plane]]] = {}
        self._trace: Trace | None = None

    def of(self, source: FrameFormat) -> Upscaler:
        """The upscaler for frames of `source`. Raises FormatError and EngineError where there can be none."""
        if source not in self._all:
            target = self.first.target
            box = target.width, target.height
            placement = fill(source, box, self._fit, aspect=target.sample_aspect_ratio, grain=self._grain)
            self._all[source] = made = Upscaler.for_format(
                source,
                self._options,
                pixel_format=target.pixel_format,
                color=target.color,
                network=(self.first.weights, placement),
                flavour=self._flavour,
            )
            if self._trace is not None:
                made.trace(self._trace)
        return self._all[source]

    def slots(self, source: FrameFormat) -> list[Slot[Plane]]:
        """Slots for frames of `source`, the same ones every time."""
        if source not in self._slots:
            upscaler = self.of(source)
            count = upscaler.session.in_flight + SPARE_SLOTS
            self._slots[source] = [Slot(*upscaler.allocate()) for _ in range(count)]
        return self._slots[source]

    def trace(self, trace: Trace) -> None:
        """Draw what devices do into `trace`; before the first frame."""
        self._trace = trace
        for upscaler in self._all.values():
            upscaler.trace(trace)

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


@contextmanager
def traced(path: str | Path | None, upscalers: Upscalers) -> Iterator[Trace | None]:
    """A trace that is written to `path` at the end, also of a render that fails; None without a path."""
    if path is None:
        yield None
        return
    trace = Trace()
    upscalers.trace(trace)
    try:
        yield trace
    finally:
        try:
            Path(path).write_text(trace.to_json(), encoding="utf-8")
        except OSError as error:
            _log.warning("the trace cannot be written to %s: %s", path, error.strerror)


def beyond_the_network(weights: Weights, placement: Placement) -> list[str]:
    """What to say where no network enlarges as much as was asked for."""
    scale, factor = weights.spec.scale, float(placement.factor)
    if factor <= scale * 1.01:  # the rounding to even sides aside
        return []
    return [
        f"the network enlarges {scale} times; the rest of the way to {factor:.3g} times is plain resampling"
    ]


def results_on_gpu(upscaler: Upscaler, plan: OutputPlan) -> DeviceFrames | None:
    """Room on the engine's GPU for results that `plan`'s encoder takes from there; None where it takes them
    from the host."""
    room = upscaler.device_results
    if plan.job is None or not fits(upscaler.target, plan.job.encoder):
        return None
    if room is None:
        _log.info("%s gets its frames from the host: the engine is not on one GPU", plan.job.encoder.name)
        return None
    ordinal, make = room
    in_flight = upscaler.session.in_flight + SPARE_SLOTS
    try:
        results = DeviceFrames(upscaler.target, ordinal, make, in_flight=in_flight)
    except EngineError as error:
        _log.warning("%s gets its frames from the host: %s", plan.job.encoder.name, error)
        return None
    _log.info("%s gets its frames from the memory of cuda:%d", plan.job.encoder.name, ordinal)
    return results


class Strengths:
    """What each frame's slot says of its compression: by the reader that is followed, or fixed."""

    def __init__(self, followed: VideoReader | SequenceReader | None, fixed: float) -> None:
        self._followed, self._fixed = followed, fixed
        self._low, self._high, self._sum, self._count = 1.0, 0.0, 0.0, 0

    def of(self, timing: Timing) -> float:
        """For the frame that was read last. On the thread that reads."""
        value = self._fixed if self._followed is None else self._followed.strength(timing)
        self._low, self._high = min(self._low, value), max(self._high, value)
        self._sum, self._count = self._sum + value, self._count + 1
        return value

    def report(self) -> StrengthReport:
        return StrengthReport(
            min=self._low,
            mean=self._sum / max(1, self._count),
            max=self._high,
            source="as given" if self._followed is None else self._followed.strength_source,
        )


def render(
    reader: VideoReader | SequenceReader,
    upscalers: Upscalers,
    sink: Sink,
    trace: Trace | None,
    strengths: Strengths,
    on_progress: Callable[[RenderProgress], None] | None,
    results: DeviceFrames | None = None,
    done: int = 0,
) -> PipelineStats:
    """Run every frame of `reader` through its upscaler into `sink`, and finish the sink.

    `results`, which `sink` was opened with, are where upscalers on that GPU leave theirs. `done` frames have
    been read already.
    Where the stream turns to another format, the frames on their way are finished first.
    """
    meter = _Meter(reader.info.video.frames, sink, on_progress, done) if on_progress else None
    return run_stretches(
        reader,
        upscalers,
        lambda upscaler: _stages(reader, upscaler, sink, strengths, results),
        trace,
        meter,
        first_frame=done,
    )


class Meter(Protocol):
    """Whom `run_stretches` tells how far it is."""

    def __call__(self, progress: Progress) -> None:
        """See `Pipeline.run`."""
        ...

    def run_ended(self, run: PipelineStats) -> None:
        """What comes now comes on top of `run`."""
        ...


def run_stretches(
    reader: VideoReader | SequenceReader,
    upscalers: Upscalers,
    stages: Callable[[Upscaler], list[Stage[Plane]]],
    trace: Trace | None,
    meter: Meter | None,
    interval: float = 0.5,
    first_frame: int = 0,
) -> PipelineStats:
    """A pipeline of `stages` for each stretch of one format, until `reader` ends. `interval` is that of the
    meter, in seconds; `first_frame` the number of the first."""
    runs: list[PipelineStats] = []
    format: FrameFormat | None = reader.changes.format
    while format is not None:
        frames = first_frame + sum(next(reversed(run.stages.values())).frames for run in runs)
        pipeline = Pipeline(upscalers.slots(format), stages(upscalers.of(format)), trace, first_frame=frames)
        runs.append(pipeline.run(meter, interval))
        if meter is not None:
            meter.run_ended(runs[-1])
        format = turned(reader, upscalers)
    return in_succession(runs)


def turned(reader: VideoReader | SequenceReader, upscalers: Upscalers) -> FrameFormat | None:
    """The format in which the stream goes on, whose upscaler is there; None at its end."""
    format = reader.changes.turn()
    if format is None:
        return None
    try:
        upscalers.slots(format)
    except (FormatError, EngineError) as error:
        _log.warning("frames of %s are converted, not followed: %s", format, error)
        return reader.changes.refuse(str(error))
    return format


def _stages(
    reader: VideoReader | SequenceReader,
    upscaler: Upscaler,
    sink: Sink,
    strengths: Strengths,
    results: DeviceFrames | None,
) -> list[Stage[Plane]]:
    there = results if upscaler.device_results is not None else None

    def decode(slot: Slot[Plane]) -> bool:
        slot.timing = reader.read_into(slot.inputs)
        if slot.timing is not None:
            slot.strength, slot.picture = strengths.of(slot.timing), reader.picture
        return slot.timing is not None

    def compute(slot: Slot[Plane]) -> None:
        inputs = slot.picture if isinstance(slot.picture, DevicePicture) else slot.inputs
        slot.result = result = there.take() if there is not None else None
        slot.completion = upscaler.run(inputs, result or slot.outputs, slot.strength)

    def encode(slot: Slot[Plane]) -> None:
        assert slot.timing is not None
        if isinstance(slot.result, DevicePicture):
            assert isinstance(sink, VideoWriter), "no other sink has `results`"
            sink.write(slot.result, slot.timing)
        else:
            sink.write(slot.outputs, slot.timing)

    def finish() -> None:
        if reader.changes.ended:
            sink.finish()

    return [
        Stage(name="decode", work=decode),
        Stage(name="engine", work=compute),
        Stage(name="encode", work=encode, finish=finish),
    ]


class _Meter:
    """Turns the pipelines' progress into the user's: total, rate, time left, size so far."""

    def __init__(
        self, total: int | None, sink: Sink, on_progress: Callable[[RenderProgress], None], done: int
    ) -> None:
        self._total, self._sink, self._on_progress = total, sink, on_progress
        self._done, self._frames, self._seconds = done, 0, 0.0

    def run_ended(self, run: PipelineStats) -> None:
        """What comes now comes on top of `run`."""
        self._frames += run.stages["encode"].frames
        self._seconds += run.wall

    def __call__(self, progress: Progress) -> None:
        frames, seconds = self._frames + progress.frames, self._seconds + progress.elapsed
        fps = frames / seconds if seconds > 0 else 0.0
        left = None if self._total is None else max(0, self._total - self._done - frames)
        self._on_progress(
            RenderProgress(
                frames=self._done + frames,
                total=self._total,
                fps=fps,
                eta=left / fps if left is not None and fps > 0 else None,
                bytes_out=self._sink.bytes_written,
            )
        )
