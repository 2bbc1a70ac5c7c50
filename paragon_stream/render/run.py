"""`run()`: carries out a plan, from the source's first frame to the final name of the result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from paragon_stream import resource_usage
from paragon_stream.errors import InputError
from paragon_stream.media.decode.decoder_choice import parse_hwaccel, with_decoder
from paragon_stream.media.encode.device_frames import DeviceFrames
from paragon_stream.media.facts.cut import Cut
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.frames.frame_reader import FrameReader
from paragon_stream.media.prepare import open_reader
from paragon_stream.media.safekeeping.journal import Journal
from paragon_stream.media.sink import Sink, open_sink
from paragon_stream.media.source.pipes import end_pipe, pipe_at
from paragon_stream.pipeline.interrupt import HeldInterrupt
from paragon_stream.pipeline.pipeline import PipelineStats
from paragon_stream.render.device_results import results_on_gpu
from paragon_stream.render.disk_space import space_warnings
from paragon_stream.render.kept import KeptUpscalers
from paragon_stream.render.plan import RenderPlan
from paragon_stream.render.progress import OnProgress
from paragon_stream.render.repeats import Repeats
from paragon_stream.render.resume import reader_behind
from paragon_stream.render.retries import PAUSE, Retries
from paragon_stream.render.source_watch import SourceWatch
from paragon_stream.render.strengths import Strengths
from paragon_stream.render.stretches import RenderStages
from paragon_stream.render.tracing import traced
from paragon_stream.render.upscalers import Upscalers
from paragon_stream.report import FormatReport, ModelReport, Report, StageReport, Warnings
from paragon_stream.runtimes import Flavour, gpu_of
from paragon_stream.upscaler import Upscaler


def run(
    plan: RenderPlan,
    *,
    trace: str | Path | None = None,
    on_progress: OnProgress | None = None,
    on_warning: Callable[[str], None] | None = None,
    usage: resource_usage.Usage | None = None,
    kept: KeptUpscalers | None = None,
) -> Report:
    """Carry out `plan`. The report counts time from the start of `usage`, by default from this call. With
    `kept`, the compiled sessions of earlier renders are used again.

    If the decoder, the encoder, the engine or a disk fails during the render, it continues from the last
    frame that is safe, once (see `render.retries`), with a warning.

    Arguments, results and errors are those of `api.upscale`, except for the errors of planning. Raises
    KeyboardInterrupt after Ctrl-C; then there is no file under the final name.
    """
    if plan.source.piped and pipe_at(plan.source.path) is None:
        raise InputError(f"{plan.source.path} has been read already: a pipe can be read only once")
    try:
        running = _Running(
            watch=SourceWatch(plan.source, plan.identity.get("source data")),
            retries=Retries(),
            warnings=Warnings(on_warning),
            trace=trace,
            on_progress=on_progress,
            usage=usage or resource_usage.Usage(),
            kept=kept,
        )
        running.warnings.add(space_warnings(plan))
        return _attempts(plan, running)
    finally:
        end_pipe(plan.source.path)


@dataclass(frozen=True, kw_only=True)
class _Running:
    """The parts of a call of `run` that all attempts share."""

    watch: SourceWatch
    retries: Retries
    warnings: Warnings
    trace: str | Path | None
    on_progress: OnProgress | None
    usage: resource_usage.Usage
    kept: KeptUpscalers | None


def _attempts(plan: RenderPlan, running: _Running) -> Report:
    """Attempts of `run` until one succeeds or is not followed by another."""
    try:
        while True:
            report = _attempt(plan, running)
            if report is not None:
                return report
            time.sleep(PAUSE)
            if running.kept is not None:
                running.kept.clear()
            output = plan.output
            plan = replace(plan, output=replace(output, options=replace(output.options, resume=True)))
    except BaseException:
        running.warnings.add(running.retries.left)
        raise


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """The parts of one attempt."""

    info: MediaInfo
    """The source, with its decoder."""
    upscaler: Upscaler
    """The upscaler of the first frames."""
    upscalers: Upscalers
    sink: Sink
    results: DeviceFrames | None
    """Results in a GPU's memory, if the encoder takes them."""
    repeats: Repeats
    done: int
    """Frames at the beginning that an earlier attempt or run wrote."""
    journal: Journal | None


def _attempt(plan: RenderPlan, running: _Running) -> Report | None:
    """One attempt of `run`; None if it failed and another attempt follows."""
    request, output, options = plan.request, plan.output, plan.request.network
    warnings, retries, kept = running.warnings, running.retries, running.kept
    info, decoder_warnings = with_decoder(
        plan.source, parse_hwaccel(request.hwaccel), gpu_of(options.engine, options.device)
    )
    warnings.add([*plan.warnings, *decoder_warnings])
    open_upscaler = Upscaler.for_format if kept is None else kept.open
    with (
        open_upscaler(
            info.video.format,
            options,
            pixel_format=output.target.pixel_format,
            color=output.target.color,
            network=(plan.weights, plan.placement),
            flavour=Flavour.THROUGHPUT,
        ) as upscaler,
        Upscalers(upscaler, options, grain=info.video.grain, open=open_upscaler) as upscalers,
        ExitStack() as readers,
    ):
        results = results_on_gpu(upscaler, output)
        sink = open_sink(output, info, results)
        retries.left.clear()
        opened = _Opened(
            info=info,
            upscaler=upscaler,
            upscalers=upscalers,
            sink=sink,
            results=results,
            repeats=plan.repeats(),
            done=sink.done,
            journal=sink.journal,
        )
        try:
            reader, strengths, stats = _render(plan, running, opened, readers)
        except BaseException as error:
            with HeldInterrupt() as interrupt:
                sink.abort()
            again = None if interrupt.pending else retries.announce(error, opened.journal)
            if again is None:
                warnings.add(sink.warnings)  # with the place of the unfinished file
                raise
            warnings.add([again])
            retries.left += sink.warnings
            return None
        warnings.add(reader.warnings)
        warnings.add(sink.warnings)
        return _report(plan, running, opened, reader, strengths, stats)


def _render(
    plan: RenderPlan, running: _Running, opened: _Opened, readers: ExitStack
) -> tuple[FrameReader, Strengths, PipelineStats]:
    """Open the source after the frames that are done, and render the rest. `readers` closes the source."""
    info, upscaler = opened.info, opened.upscaler

    def reader_of(cut: Cut | None) -> FrameReader:
        return open_reader(
            replace(info, cut=cut),
            strengths=plan.follows_strength,
            frame_data=plan.output.frame_data,
            follow=True,
            fetch=upscaler.fetch,
        )

    log = opened.journal.frames if opened.journal is not None else None
    opened.upscalers.restart()
    reader = reader_behind(info.cut, opened.done, log, reader_of, opened.upscalers, running.on_progress)
    readers.enter_context(reader)
    running.watch.begin()
    strengths = Strengths(reader if plan.follows_strength else None, upscaler.strength)
    if log is not None:
        strengths.go_on(log.strengths())
    stages = RenderStages(
        reader=reader,
        sink=opened.sink,
        strengths=strengths,
        repeats=opened.repeats,
        results=opened.results,
        at_end=lambda: running.warnings.add(running.watch.end()),
    )
    with traced(running.trace, opened.upscalers) as spans:
        stats = stages.render(opened.upscalers, spans, running.on_progress)
    return reader, strengths, stats


def _report(
    plan: RenderPlan,
    running: _Running,
    opened: _Opened,
    reader: FrameReader,
    strengths: Strengths,
    stats: PipelineStats,
) -> Report:
    request, output = plan.request, plan.output
    upscaler, sink, results = opened.upscaler, opened.sink, opened.results
    session, done = upscaler.session, opened.done
    return Report(
        source=str(opened.info.path),
        destination=str(output.destination or "-"),
        frames_in=reader.frames,
        frames_out=done + stats.stages["encode"].frames,
        resumed_at=done,
        duplicates=opened.repeats.count,
        wall_seconds=running.usage.wall_seconds,
        cpu_seconds=running.usage.cpu_seconds,
        fps=(reader.frames - done) / stats.wall,
        stages=StageReport.of(stats),
        decoder=reader.decoder,
        engine=session.engine,
        precision=session.precision,
        device=session.device,
        reruns=opened.upscalers.reruns,
        threads=request.network.threads,
        model=ModelReport.of(upscaler.weights),
        source_format=str(upscaler.source),
        formats=tuple(FormatReport.of(each) for each in reader.changes.formats),
        target_format=str(upscaler.target),
        codec=output.codec,
        results_in=f"cuda:{results.ordinal}" if results else "host",
        bytes_out=sink.bytes_written,
        peak_rss_bytes=resource_usage.peak_rss(),
        strength=strengths.report() if plan.weights.spec.conditioned else None,
        damage=reader.damage,
        warnings=tuple(running.warnings.shown),
        request=json.loads(request.to_json()),
    )
