"""`upscale()`: file to file. The only place where source, upscaler and sink are put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from paragon_stream import process
from paragon_stream.errors import UsageError
from paragon_stream.frame import requested_pixel_format
from paragon_stream.media.decode.decoder_choice import HwAccel, parse_hwaccel, with_decoder
from paragon_stream.media.facts.cut import TimeLike, parse_range
from paragon_stream.media.facts.fields import parse_method
from paragon_stream.media.facts.image_kinds import is_image_name
from paragon_stream.media.facts.tracks import TrackChoice, TrackList, parse_tracks
from paragon_stream.media.images.numbering import numbering
from paragon_stream.media.images.sequence_reader import delivery_options, parse_rate
from paragon_stream.media.images.sequence_writer import plan_sequence
from paragon_stream.media.output.plan import OutputOptions, plan_output
from paragon_stream.media.prepare import SourceOptions, open_reader, prepare
from paragon_stream.media.sink import open_sink
from paragon_stream.render import (
    RenderProgress,
    Strengths,
    Upscalers,
    beyond_the_network,
    render,
    results_on_gpu,
    traced,
)
from paragon_stream.report import FormatReport, ModelReport, Report, StageReport, Warnings
from paragon_stream.resume import identity_of, pass_over
from paragon_stream.runtimes import Flavour, gpu_of
from paragon_stream.upscaler import Upscaler, UpscalerOptions, choose_network, parse_strength


def upscale(
    source: str | Path,
    destination: str | Path,
    *,
    variant: str | None = UpscalerOptions.variant,
    scale: int | None = UpscalerOptions.scale,
    weights: str | Path | None = UpscalerOptions.weights,
    alpha: float | None = UpscalerOptions.alpha,
    window_size: int | None = UpscalerOptions.window_size,
    engine: str = UpscalerOptions.engine,
    precision: str = UpscalerOptions.precision,
    threads: int | None = UpscalerOptions.threads,
    device: str | None = UpscalerOptions.device,
    to: str | float | None = UpscalerOptions.to,
    fit: str | None = UpscalerOptions.fit,
    strength: str | float | None = UpscalerOptions.strength,
    codec: str | None = OutputOptions.codec,
    crf: float | None = OutputOptions.crf,
    preset: str | None = OutputOptions.preset,
    pix_fmt: str | None = None,
    encoder_options: Mapping[str, str] | None = None,
    fps: str | float | Fraction | None = None,
    start: TimeLike | None = None,
    duration: TimeLike | None = None,
    end: TimeLike | None = None,
    video: int | None = SourceOptions.video,
    audio: TrackList = None,
    subtitles: TrackList = None,
    attachments: bool = TrackChoice.attachments,
    chapters: bool = TrackChoice.chapters,
    add: Sequence[str | Path] = TrackChoice.add,
    deinterlace: str = SourceOptions.deinterlace,
    idet: bool = SourceOptions.idet,
    ivtc: bool = SourceOptions.ivtc,
    hwaccel: str = HwAccel.AUTO,
    overwrite: bool = OutputOptions.overwrite,
    resume: bool = OutputOptions.resume,
    strict: bool = OutputOptions.strict,
    trace: str | Path | None = None,
    on_progress: Callable[[RenderProgress], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> Report:
    """Upscale the video of `source` into `destination`, with everything else that `source` holds.

    `to` is the size of the result: "1080p" is a box of 1920x1080 (upright for upright pictures) in which the
    picture is as large as fits; "1920x1080" is one as seen; "1.5" is a factor. Boxes mean square pixels.
    `fit` "crop" fills the box and cuts off what sticks out, "pad" adds bars, "stretch" fills it out of shape.

    `strength` says how hard the source was compressed, for weights that are conditioned on it: 0 (clean) to
    1, or "auto" (the default), which follows the stream's own quantisers: see `media.frames.strength`.

    `start`, `duration` and `end` cut a part out, to the frame: seconds from the beginning of the programme,
    or "h:mm:ss.xxx". `deinterlace` is auto (frames flagged as interlaced), off, bwdif, bwdif-2x (double rate)
    or yadif; `idet` looks at the picture instead of the flags; `ivtc` undoes telecine.

    `video` is the number of the video to upscale, from 1; `audio` and `subtitles` are lists of numbers and
    languages to keep ("1,3", "eng,jpn", [] for none); the sound and subtitles of the files in `add` become
    further tracks.

    A numbered name such as "frame_%06d.png" stands for a sequence of images, as `source` (`fps` frames per
    second, 24 by default, beginning with the lowest number there is) and as `destination`.

    `hwaccel` says what decodes: "none" is the CPU; "cuda" an NVIDIA GPU, where it gives the CPU's samples;
    "auto" the latter where the engine runs on one. The report's `decoder` tells.

    `destination` "-" writes y4m to standard output. The final name appears when the output is complete. What
    an interrupted render has written stays in `DESTINATION.paragon/`: the same call with `resume` goes on
    with it (on any engine), with `overwrite` it begins anew, and without either it is refused.
    `trace` is a file to write: what every stage did when, for ui.perfetto.dev.

    `on_progress` is called on this thread a few times a second, `on_warning` with one sentence for everything
    that was guessed or is not carried over. Raises a `ParagonError` (see `paragon_stream.errors`), or
    KeyboardInterrupt after Ctrl-C; nothing then stands under the final name.
    """
    begin_wall, begin_cpu = time.perf_counter(), process.cpu_seconds()
    warnings = Warnings(on_warning)
    options = UpscalerOptions(
        variant=variant,
        scale=scale,
        weights=weights,
        alpha=alpha,
        window_size=window_size,
        engine=engine,
        precision=precision,
        threads=threads,
        device=device,
        to=to,
        fit=fit,
        strength=strength,
    )
    output_options = OutputOptions(
        codec=codec,
        crf=crf,
        preset=preset,
        pixel_format=requested_pixel_format(pix_fmt),
        encoder_options=dict(encoder_options or {}),
        tracks=TrackChoice(
            audio=parse_tracks(audio),
            subtitles=parse_tracks(subtitles),
            attachments=attachments,
            chapters=chapters,
            add=tuple(Path(path) for path in add),
        ),
        overwrite=overwrite,
        resume=resume,
        strict=strict,
    )
    source_options = SourceOptions(
        video=video,
        range=parse_range(start, duration, end),
        rate=parse_rate(fps),
        deinterlace=parse_method(deinterlace),
        idet=idet,
        ivtc=ivtc,
    )
    accelerator = parse_hwaccel(hwaccel)
    images = numbering(destination)
    if is_image_name(source) and is_image_name(destination) and not (images or numbering(source)):
        raise UsageError(f"{source} and {destination} are pictures: they are for upscale_images()")
    info = prepare(source, source_options)
    network, placement = choose_network(
        info.video.format, options, grain=1 if images else info.video.grain, turned=info.video.turned
    )
    if images is not None:
        plan = plan_sequence(info, images, placement, output_options)
    else:
        plan = plan_output(info, destination, placement, delivery_options(info, output_options, destination))
    plan = replace(plan, identity=identity_of(info, source_options, network, placement, plan, strength))
    info, told_of_decoder = with_decoder(info, accelerator, gpu_of(options.engine, options.device))
    follows = network.spec.conditioned and parse_strength(strength) is None
    warnings.add([*info.hints, *plan.warnings, *told_of_decoder, *beyond_the_network(network, placement)])
    with (
        Upscaler.for_format(
            info.video.format,
            options,
            pixel_format=plan.target.pixel_format,
            color=plan.target.color,
            network=(network, placement),
            flavour=Flavour.THROUGHPUT,
        ) as upscaler,
        Upscalers(upscaler, options, grain=info.video.grain) as upscalers,
        open_reader(info, strengths=follows, follow=True, fetch=upscaler.fetch) as reader,
    ):
        told = Strengths(reader if follows else None, upscaler.strength)
        results = results_on_gpu(upscaler, plan)
        sink = open_sink(plan, info, results)
        try:
            done = pass_over(reader, upscalers, sink, told, on_progress)
            with traced(trace, upscalers) as spans:
                stats = render(reader, upscalers, sink, spans, told, on_progress, results, done)
        except BaseException:
            sink.abort()
            warnings.add(sink.warnings)  # they say where the unfinished file is
            raise
        warnings.add(reader.warnings)
        warnings.add(sink.warnings)
        session = upscaler.session
        return Report(
            source=str(info.path),
            destination=str(plan.destination or "-"),
            frames_in=reader.frames,
            frames_out=done + stats.stages["encode"].frames,
            resumed_at=done,
            wall_seconds=time.perf_counter() - begin_wall,
            cpu_seconds=process.cpu_seconds() - begin_cpu,
            fps=(reader.frames - done) / stats.wall,
            stages=StageReport.of(stats),
            decoder=reader.decoder,
            engine=session.engine,
            precision=session.precision,
            device=session.device,
            reruns=upscalers.reruns,
            threads=threads,
            model=ModelReport.of(upscaler.weights),
            source_format=str(upscaler.source),
            formats=tuple(FormatReport.of(look) for look in reader.changes.looks),
            target_format=str(upscaler.target),
            codec=plan.job.encoder.name if plan.job else plan.image.kind.value if plan.image else "rawvideo",
            results_in=f"cuda:{results.ordinal}" if results else "host",
            bytes_out=sink.bytes_written,
            peak_rss_bytes=process.peak_rss(),
            strength=told.report() if network.spec.conditioned else None,
            damage=reader.damage,
            warnings=tuple(warnings.said),
        )
