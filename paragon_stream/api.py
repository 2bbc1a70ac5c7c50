"""`upscale()`: file to file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from paragon_stream import process
from paragon_stream.media.decode.decoder_choice import HwAccel
from paragon_stream.media.facts.cut import TimeLike
from paragon_stream.media.facts.tracks import TrackChoice, TrackList
from paragon_stream.media.output.plan import OutputOptions
from paragon_stream.media.prepare import SourceOptions
from paragon_stream.render.plan import plan_render
from paragon_stream.render.progress import RenderProgress
from paragon_stream.render.request import RenderRequest
from paragon_stream.render.run import run
from paragon_stream.report import Report
from paragon_stream.upscaler import UpscalerOptions


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
    probesize: str | int | None = SourceOptions.probe_size,
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

    `probesize` is how much of a transport or program stream is searched for streams before the render: bytes,
    "500M", "all"; by default the first 100 MB, and further where something is found behind them.

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
    usage = process.Usage()
    request = RenderRequest(
        source=source,
        destination=destination,
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
        codec=codec,
        crf=crf,
        preset=preset,
        pix_fmt=pix_fmt,
        encoder_options=encoder_options,
        fps=fps,
        start=start,
        duration=duration,
        end=end,
        video=video,
        probesize=probesize,
        audio=audio,
        subtitles=subtitles,
        attachments=attachments,
        chapters=chapters,
        add=add,
        deinterlace=deinterlace,
        idet=idet,
        ivtc=ivtc,
        hwaccel=hwaccel,
        overwrite=overwrite,
        resume=resume,
        strict=strict,
    )
    plan = plan_render(request)
    return run(plan, trace=trace, on_progress=on_progress, on_warning=on_warning, usage=usage)
