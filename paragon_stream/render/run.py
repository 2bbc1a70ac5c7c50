"""`run()`: a plan carried out, from the source's first frame to the final name of the result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from paragon_stream import resource_usage
from paragon_stream.errors import InputError
from paragon_stream.media.decode.decoder_choice import parse_hwaccel, with_decoder
from paragon_stream.media.facts.cut import Cut
from paragon_stream.media.facts.pipes import end_pipe, pipe_at
from paragon_stream.media.frames.frame_reader import FrameReader
from paragon_stream.media.prepare import open_reader
from paragon_stream.media.sink import open_sink
from paragon_stream.render.device_results import results_on_gpu
from paragon_stream.render.disk_space import space_warnings
from paragon_stream.render.kept import KeptUpscalers
from paragon_stream.render.plan import RenderPlan
from paragon_stream.render.progress import OnProgress
from paragon_stream.render.resume import reader_behind
from paragon_stream.render.retries import PAUSE, Retries
from paragon_stream.render.source_watch import SourceWatch
from paragon_stream.render.strengths import Strengths
from paragon_stream.render.stretches import render
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
    """Render what `plan` says. `usage` is what the report counts time from, by default this call. With
    `kept`, what was compiled for an earlier render is used again.

    If the decoder, the encoder, the engine or a disk fails during the render, it continues from the last
    frame that is safe, once (see `render.retries`), with a warning.

    Arguments, results and errors are those of `api.upscale`, but for what planning has found out. Raises
    KeyboardInterrupt after Ctrl-C; nothing then stands under the final name.
    """
    if plan.source.piped and pipe_at(plan.source.path) is None:
        raise InputError(f"{plan.source.path} has been read already: a pipe can be read only once")
    usage = usage or resource_usage.Usage()
    warnings = Warnings(on_warning)
    warnings.add(space_warnings(plan))
    watch = SourceWatch(plan.source, plan.identity.get("source data"))
    retries = Retries()
    try:
        while True:
            report = _attempt(plan, watch, retries, warnings, trace, on_progress, usage, kept)
            if report is not None:
                return report
            time.sleep(PAUSE)
            if kept is not None:
                kept.clear()
            output = plan.output
            plan = replace(plan, output=replace(output, options=replace(output.options, resume=True)))
    except BaseException:
        warnings.add(retries.left)
        raise
    finally:
        end_pipe(plan.source.path)


def _attempt(
    plan: RenderPlan,
    watch: SourceWatch,
    retries: Retries,
    warnings: Warnings,
    trace: str | Path | None,
    on_progress: OnProgress | None,
    usage: resource_usage.Usage,
    kept: KeptUpscalers | None,
) -> Report | None:
    """One try of `run`; None where another one shall follow."""
    request, output, options = plan.request, plan.output, plan.request.network
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
        done, journal = sink.done, sink.journal
        retries.left.clear()
        repeats = plan.repeats()

        def opened(cut: Cut | None) -> FrameReader:
            follows, fetch = plan.follows_strength, upscaler.fetch
            return open_reader(replace(info, cut=cut), strengths=follows, follow=True, fetch=fetch)

        try:
            log = journal.frames if journal is not None else None
            upscalers.restart()
            reader = reader_behind(info.cut, done, log, opened, upscalers, on_progress)
            readers.enter_context(reader)
            watch.begin()
            strengths = Strengths(reader if plan.follows_strength else None, upscaler.strength)
            if log is not None:
                strengths.go_on(log.strengths())
            with traced(trace, upscalers) as spans:
                stats = render(
                    reader,
                    upscalers,
                    sink,
                    spans,
                    strengths,
                    on_progress,
                    results,
                    done,
                    journal,
                    repeats,
                    at_end=lambda: warnings.add(watch.end()),
                )
        except BaseException as error:
            sink.abort()
            again = retries.announce(error, journal)
            if again is None:
                warnings.add(sink.warnings)  # they say where the unfinished file is
                raise
            warnings.add([again])
            retries.left += sink.warnings
            return None
        warnings.add(reader.warnings)
        warnings.add(sink.warnings)
        session = upscaler.session
        return Report(
            source=str(info.path),
            destination=str(output.destination or "-"),
            frames_in=reader.frames,
            frames_out=done + stats.stages["encode"].frames,
            resumed_at=done,
            duplicates=repeats.count,
            wall_seconds=usage.wall_seconds,
            cpu_seconds=usage.cpu_seconds,
            fps=(reader.frames - done) / stats.wall,
            stages=StageReport.of(stats),
            decoder=reader.decoder,
            engine=session.engine,
            precision=session.precision,
            device=session.device,
            reruns=upscalers.reruns,
            threads=options.threads,
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
            warnings=tuple(warnings.said),
            request=json.loads(request.to_json()),
        )
