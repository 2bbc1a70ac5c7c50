"""The plan of the output, made before the first frame is rendered.

`plan_output` examines the source, the destination and the options, tests what FFmpeg's encoders and muxers
refuse, and chooses the container, the encoder and its settings, the format of the frames, and the treatment
of every other stream. The plan lists everything that cannot be carried over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from paragon_stream.errors import LossError, UsageError
from paragon_stream.frame import (
    PIXEL_FORMATS,
    ColorRange,
    ColorSpec,
    FrameFormat,
    PixelFormat,
    resolve_color,
    without_alpha,
)
from paragon_stream.geometry import Placement, enlarged
from paragon_stream.media.encode.chroma_location import Y4M, with_storable_chroma
from paragon_stream.media.encode.delivery import delivery_options
from paragon_stream.media.encode.encoder_choice import choose_encoder, convertible, wanted_pixel_format
from paragon_stream.media.encode.encoder_job import EncoderJob, encoder_settings, try_open
from paragon_stream.media.encode.encoders import Encoder
from paragon_stream.media.encode.trial_colours import lost_colours
from paragon_stream.media.encode.workdir import check_destination
from paragon_stream.media.encode.y4m import check_y4m
from paragon_stream.media.facts.containers import Container, container_for
from paragon_stream.media.facts.image_kinds import Storage
from paragon_stream.media.facts.info import MediaInfo, StreamKind, VideoInfo
from paragon_stream.media.facts.rate import FALLBACK_RATE
from paragon_stream.media.output.attachments import without_copies
from paragon_stream.media.output.losses import (
    continuation_losses,
    format_losses,
    lost_flags,
    lost_languages,
    lost_track_tags,
    matroska_losses,
    picture_only,
    programme_losses,
    untagged_colours,
    video_losses,
)
from paragon_stream.media.output.muxer_settings import muxer_settings, wants_fast_start
from paragon_stream.media.output.stream_plans import (
    TIMECODE_TRACK,
    AddedFile,
    RemuxPlan,
    StreamPlan,
    plan_remux,
    time_shift,
)
from paragon_stream.media.output.trial_muxing import check_video, lost_tags
from paragon_stream.options.output import OutputOptions as OutputOptions

_STDOUT = "-"


@dataclass(frozen=True, kw_only=True)
class OutputPlan:
    """The plan of an output. `destination` is None for standard output.

    `container` and `job` are None for y4m and images; `image` is the storage of images. `losses` are
    sentences about what cannot be carried over; `warnings` are those and other sentences for the user.
    `shift` (seconds) is subtracted from every timestamp.
    """

    destination: Path | None
    target: FrameFormat
    rate: Fraction
    options: OutputOptions
    container: Container | None = None
    job: EncoderJob | None = None
    image: Storage | None = None
    streams: tuple[StreamPlan, ...] = ()
    added: tuple[AddedFile, ...] = ()
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    fast_start: bool = False
    """Whether the index of an MP4 or MOV goes before the pictures."""
    file_tags: Mapping[str, str] = field(default_factory=dict)
    shift: Fraction = Fraction(0)
    identity: Mapping[str, str] = field(default_factory=dict)
    """The render's identity, for `resume`; empty if it cannot be resumed."""
    lost_colours: frozenset[str] = frozenset()
    """The colour tags that the output does not contain; `losses` has those that players take wrongly."""
    losses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def codec(self) -> str:
        """The form of the stored frames: an encoder's name, an image kind, or "rawvideo"."""
        if self.image is not None:
            return self.image.kind.value
        return self.job.encoder.name if self.job else "rawvideo"

    @property
    def frame_data(self) -> frozenset[str]:
        """Names of the data of the source's frames that are carried over, if they have any."""
        return frozenset() if self.job is None else self.job.encoder.frame_data

    def describe(self) -> tuple[str, ...]:
        """One line for the video, then one for every other stream."""
        if self.image is not None:
            video = f"video: {self.target} as {self.image.kind.value} images"
        elif self.job is None:
            video = f"video: {self.target} as y4m, {self.rate} frames per second"
        else:
            settings = " ".join(f"{key}={value}" for key, value in self.job.settings.items())
            video = f"video: {self.target}, {self.job.encoder.name} {settings}".rstrip()
        added = (f"{file.path.name}: {stream}" for file in self.added for stream in file.streams)
        return (video, *(str(stream) for stream in self.streams), *added)


def plan_output(
    info: MediaInfo,
    destination: Path | str,
    size: int | Placement,
    options: OutputOptions | None = None,
    *,
    existing: bool = False,
) -> OutputPlan:
    """Decide how the upscaled video of `info` and its other streams are written to `destination`.

    `size` is the size of the result: a whole factor, or a placement.

    `destination` "-" is y4m on standard output; otherwise the suffix selects the container. Nothing is
    written. An output that is `existing` is only read, so that its folder need not be writable.

    Raises UsageError for invalid options (unknown suffix, codec, option; a pixel format that the encoder does
    not accept; the source as destination), OutputError for a destination that cannot be written or exists,
    LossError for losses under `strict`.
    """
    options = options or OutputOptions()
    placement = enlarged(info.video.format, size) if isinstance(size, int) else size
    path = None if str(destination) == _STDOUT else Path(destination).absolute()
    if path is None or path.suffix.lower() == ".y4m":
        plan = _y4m_plan(info, path, placement, options)
    else:
        plan = _file_plan(info, path, placement, options, existing=existing)
    if options.strict and plan.losses:
        raise LossError("--strict: " + "; ".join(plan.losses))
    return plan


# ------------------------------------------------------------------------------------------- files


def _file_plan(
    info: MediaInfo, path: Path, placement: Placement, options: OutputOptions, *, existing: bool
) -> OutputPlan:
    container = container_for(path)
    check_destination(path, info.path, overwrite=options.overwrite, resume=options.resume, existing=existing)
    job, colours = _job(info, container, placement, delivery_options(info, options, path))
    remux = without_copies(plan_remux(info, container, options), info)
    losses = [*_losses(info, container, job, remux, options), *filter(None, colours.values())]
    muxer_options = muxer_settings(container, remux, options.mux or {})
    muxer_options, gone = _lost_tags(container, remux, muxer_options)
    if gone:
        losses.append(f"{container.name} cannot store the tags {', '.join(gone)}")
    return OutputPlan(
        destination=path,
        target=job.format,
        rate=job.rate,
        options=options,
        container=container,
        job=job,
        streams=remux.streams,
        added=remux.added,
        muxer_options=muxer_options,
        fast_start=wants_fast_start(container, options.mux or {}),
        file_tags={key: value for key, value in remux.tags.items() if key not in gone},
        shift=time_shift(info),
        lost_colours=frozenset(colours),
        losses=tuple(losses),
        warnings=(*losses, *_idle_options(remux, options)),
    )


def _idle_options(remux: RemuxPlan, options: OutputOptions) -> list[str]:
    """Sentences about options that have no effect on this source."""
    sound = [
        each for each in (*remux.streams, *_added_streams(remux)) if each.stream.kind is StreamKind.AUDIO
    ]
    encoded = any(each.sound is not None and not each.sound.lossless for each in sound)
    if options.audio_bitrate is None or not sound or encoded:
        return []
    return [
        f"--audio-bitrate {options.audio_bitrate} has no effect: no sound is encoded with loss;"
        " --audio-codec chooses an encoder for all sound"
    ]


def _added_streams(remux: RemuxPlan) -> tuple[StreamPlan, ...]:
    return tuple(stream for file in remux.added for stream in file.streams)


def _job(
    info: MediaInfo, container: Container, placement: Placement, options: OutputOptions
) -> tuple[EncoderJob, dict[str, str]]:
    """The encoder of the video, opened once as a test, and accepted by the container; and the colour tags
    that it loses. Full range that the file cannot store becomes limited range."""
    video = info.video
    shape = placement.target(video.format)
    encoder, pixels = choose_encoder(
        container, video.format.pixel_format, options, side=min(shape.width, shape.height)
    )
    target = target_format(video, placement, pixels)
    target = with_storable_chroma(target, encoder.codec, container.muxer)
    job = _encoder_job(video, encoder, target, container, options)
    lost = lost_colours(container, job)
    if target.color.range is ColorRange.FULL and lost.get("range"):
        target = replace(target, color=replace(target.color, range=ColorRange.LIMITED))
        job = _encoder_job(video, encoder, target, container, options)
        lost = lost_colours(container, job)
    return job, lost


def _encoder_job(
    video: VideoInfo, encoder: Encoder, target: FrameFormat, container: Container, options: OutputOptions
) -> EncoderJob:
    job = EncoderJob(
        encoder=encoder,
        format=target,
        tick=container.video_tick(video.shown_time_base),
        rate=video.shown_rate or FALLBACK_RATE,
        settings=encoder_settings(
            encoder,
            crf=options.crf,
            preset=options.preset,
            extra=options.encoder_options or {},
            hdr=video.hdr,
            format=target,
            rate=video.shown_rate or FALLBACK_RATE,
        ),
    )
    try_open(job)
    check_video(container, job)
    return job


def _losses(
    info: MediaInfo, container: Container, job: EncoderJob, remux: RemuxPlan, options: OutputOptions
) -> list[str]:
    """The losses of the video, the other streams and the chapters, in sentences."""
    source, encoder, pixels = info.video.format.pixel_format, job.encoder, job.format.pixel_format
    every = (*remux.streams, *_added_streams(remux))
    losses = [str(stream) for stream in every if stream.loss]
    losses += continuation_losses(info)
    losses += programme_losses(info, container, remux.streams)
    losses += video_losses(info.video, container, encoder)
    if source.has_alpha and not pixels.has_alpha:
        losses.append(_alpha_loss(encoder, pixels))
    losses += format_losses(source, pixels, options, encoder.name)
    losses += lost_flags(info, container, every)
    losses += lost_track_tags(info, container, every)
    losses += lost_languages(info, container, every)
    losses += matroska_losses(info, container, remux.streams, options)
    if remux.chapters and not container.chapters:
        losses.append(f"{container.name} has no chapters: {remux.chapters} dropped")
    return losses


def _alpha_loss(encoder: Encoder, pixels: PixelFormat) -> str:
    takers = [each for each in (PIXEL_FORMATS[name] for name in encoder.pixel_formats) if each.has_alpha]
    takers = [each for each in takers if convertible(pixels, each)]
    if takers:
        best = next((each for each in takers if each.depth >= pixels.depth), takers[0])
        return f"the transparency is dropped: {encoder.name} stores it with --pix-fmt {best.name} only"
    keepers = "ffv1 (.mkv), prores_ks (.mov), libvpx-vp9 (.webm)"
    return f"{encoder.name} stores no transparency, which is dropped; {keepers} keep it"


def _lost_tags(
    container: Container, remux: RemuxPlan, muxer_options: dict[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The options of the muxer with which the fewest tags are lost, and those tags."""
    # FFmpeg writes the timecode track from the tag of the video, in MP4 and MOV also from that of the file.
    has_track = container.name in ("mp4", "mov") or any(e.reason == TIMECODE_TRACK for e in remux.streams)
    rebuilt = {"timecode"} if has_track else set()
    gone = [key for key in lost_tags(container, remux.tags, muxer_options) if key.casefold() not in rebuilt]
    if gone and container.name == "mov":
        # QuickTime's free-form tags store any key, but fewer players read them: they are used only if needed.
        freely = {**muxer_options, "movflags": muxer_options.get("movflags", "") + "+use_metadata_tags"}
        still_gone = lost_tags(container, remux.tags, freely)
        if len(still_gone) < len(gone):
            return freely, still_gone
    return muxer_options, gone


def target_format(video: VideoInfo, placement: Placement, pixels: PixelFormat) -> FrameFormat:
    """The enlarged source in `pixels`; YUV converted from RGB gets the matrix that players assume for its
    size."""
    source = video.format
    target = placement.target(source, pixel_format=pixels)
    if pixels.family is source.pixel_format.family:
        return target
    tagged = {
        name: getattr(source.color, name) for name in ("transfer", "primaries") if name not in video.guessed
    }
    color = resolve_color(ColorSpec(**tagged), format=pixels, width=target.width, height=target.height)
    return replace(target, color=color)


# --------------------------------------------------------------------------------------------- y4m


def _y4m_plan(info: MediaInfo, path: Path | None, placement: Placement, options: OutputOptions) -> OutputPlan:
    if options.codec or options.crf is not None or options.preset or options.encoder_options:
        raise UsageError("y4m is not encoded: leave --codec, --crf, --preset and -x out")
    if path is not None:
        check_destination(path, info.path, overwrite=options.overwrite)
    source = info.video.format.pixel_format
    wanted = wanted_pixel_format(source, delivery_options(info, options, path).pix_fmt)
    target = target_format(info.video, placement, check_y4m(wanted or without_alpha(source)))
    target = with_storable_chroma(target, Y4M)
    dropped, losses = picture_only(info, options, "y4m")
    losses += format_losses(source, target.pixel_format, options, "y4m")
    note = untagged_colours(target, "y4m")
    return OutputPlan(
        destination=path,
        target=target,
        rate=info.video.shown_rate or FALLBACK_RATE,
        options=options,
        streams=dropped,
        losses=tuple(losses),
        warnings=(*losses, *note),
    )
