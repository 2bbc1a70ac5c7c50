"""What will be written, decided before the first frame is rendered.

`plan_output` looks at the source, the destination and the wishes, asks FFmpeg's encoders and muxers what they
would refuse, and settles the container, the encoder and its settings, the format of the frames, and what
becomes of every other stream. What cannot be carried over is known by then, and said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

from paragon_stream.errors import LossError, UsageError
from paragon_stream.frame import Family, FrameFormat, PixelFormat
from paragon_stream.media import tags
from paragon_stream.media.containers import CRASH_SAFE_MP4, Container, Cover, container_for
from paragon_stream.media.encoders import (
    Encoder,
    EncoderJob,
    check_pixel_format,
    encoder_settings,
    find_encoder,
    hdr_parameters,
    try_open,
)
from paragon_stream.media.gate import cut_chapters
from paragon_stream.media.info import MediaInfo, StreamInfo, StreamKind, VideoInfo
from paragon_stream.media.source import open_source
from paragon_stream.media.subtitles import PLAIN_CODECS, TEXT_CODECS
from paragon_stream.media.trial import check_video, first_packets, lost_tags, refusal
from paragon_stream.media.workdir import check_destination
from paragon_stream.media.y4m import check_y4m

FALLBACK_RATE = Fraction(25)
"""Frames per second that the encoder is told where the source does not say."""

_CLOCK_FROM_ANYWHERE = ("mpegts", "mpeg", "flv", "asf")
"""Sources whose first timestamp is wherever the recording began: the output begins at 0 instead."""

_STDOUT = "-"


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What a user may ask of the output. None means the default for the source and the container."""

    codec: str | None = None
    """An encoder or a codec: "libx265", "hevc"."""
    crf: float | None = None
    preset: str | None = None
    pixel_format: PixelFormat | None = None
    encoder_options: Mapping[str, str] = field(default_factory=dict)
    """FFmpeg options of the encoder, as -x KEY=VALUE gives them."""
    threads: int | None = None
    """Of the encoder."""
    overwrite: bool = False
    strict: bool = False
    """Raise LossError where something would be lost, instead of warning."""


class Action(Enum):
    """What becomes of a stream that is not the upscaled one."""

    COPY = "copied"
    ATTACH = "kept as an attached file"
    CONVERT = "converted"
    REBUILD = "written anew"
    DROP = "dropped"


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """The fate of one stream. `reason` says why it is not simply copied; `loss` whether that loses something.

    `codec` is what it is in the output.
    """

    stream: StreamInfo
    action: Action
    codec: str = ""
    reason: str = ""
    loss: bool = False

    def __str__(self) -> str:
        to = f" to {self.codec}" if self.action is Action.CONVERT else ""
        because = f": {self.reason}" if self.reason else ""
        return f"{stream_label(self.stream)} {self.action.value}{to}{because}"


@dataclass(frozen=True, kw_only=True)
class OutputPlan:
    """Everything that is decided. `destination` is None for standard output.

    `container` and `job` are None for y4m, which has neither. `losses` are sentences about what cannot be
    carried over, `warnings` those and everything else a user should hear. `shift` (seconds) is taken off
    every timestamp.
    """

    destination: Path | None
    target: FrameFormat
    rate: Fraction
    options: OutputOptions
    container: Container | None = None
    job: EncoderJob | None = None
    streams: tuple[StreamPlan, ...] = ()
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    file_tags: Mapping[str, str] = field(default_factory=dict)
    shift: Fraction = Fraction(0)
    losses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def describe(self) -> tuple[str, ...]:
        """One line for the video, then one for every other stream."""
        if self.job is None:
            video = f"video: {self.target} as y4m, {self.rate} frames per second"
        else:
            settings = " ".join(f"{key}={value}" for key, value in self.job.settings.items())
            video = f"video: {self.target}, {self.job.encoder.name} {settings}".rstrip()
        return (video, *(str(stream) for stream in self.streams))


def plan_output(
    info: MediaInfo, destination: Path | str, scale: int, options: OutputOptions | None = None
) -> OutputPlan:
    """Decide how `info`'s video, `scale` times larger, and its companions are written to `destination`.

    `destination` "-" is y4m on standard output; elsewhere the suffix names the container. Nothing is written.

    Raises UsageError for what cannot be meant (unknown suffix, codec, option; a pixel format the encoder does
    not take; the source as destination), OutputError for a destination that cannot be written or exists,
    LossError for losses under `strict`.
    """
    options = options or OutputOptions()
    path = None if str(destination) == _STDOUT else Path(destination).absolute()
    if path is None or path.suffix.lower() == ".y4m":
        plan = _y4m_plan(info, path, scale, options)
    else:
        plan = _file_plan(info, path, scale, options)
    if options.strict and plan.losses:
        raise LossError("--strict: " + "; ".join(plan.losses))
    return plan


def stream_label(stream: StreamInfo) -> str:
    """Which stream, in a user's words: "audio stream 2 (jpn, flac)"."""
    facts = ", ".join(filter(None, (stream.language, stream.codec or "unknown codec", stream.title)))
    kind = {StreamKind.COVER: "cover picture", StreamKind.ATTACHMENT: "attachment"}.get(
        stream.kind, f"{stream.kind} stream"
    )
    return f"{kind} {stream.index} ({stream.detail if stream.kind is StreamKind.ATTACHMENT else facts})"


# ------------------------------------------------------------------------------------------- files


def _file_plan(info: MediaInfo, path: Path, scale: int, options: OutputOptions) -> OutputPlan:
    container = container_for(path)
    check_destination(path, info.path, overwrite=options.overwrite)
    source, video = info.video.format.pixel_format, info.video
    encoder, pixels = _choose(container, source, options)
    target = _target(video, scale, pixels)
    rate = video.shown_rate or FALLBACK_RATE
    job = EncoderJob(
        encoder=encoder,
        format=target,
        tick=container.video_tick(video.shown_time_base),
        rate=rate,
        settings=encoder_settings(
            encoder,
            crf=options.crf,
            preset=options.preset,
            extra=options.encoder_options,
            threads=options.threads,
            hdr=video.hdr,
            format=pixels,
        ),
        threads=options.threads,
    )
    try_open(job)
    check_video(container, job)

    streams, chapters, source_tags = _companions(info, container)
    losses = [str(stream) for stream in streams if stream.loss]
    losses += _video_losses(video, container, encoder)
    if chapters and not container.chapters:
        losses.append(f"{container.name} has no chapters: {chapters} dropped")
    muxer_options = _muxer_options(container, streams, chapters)
    gone = lost_tags(container, source_tags, muxer_options)
    if gone and container.name == "mov":
        # QuickTime's free-form tags hold any key, but fewer players look there: only where they are needed.
        freely = {**muxer_options, "movflags": muxer_options.get("movflags", "") + "+use_metadata_tags"}
        still_gone = lost_tags(container, source_tags, freely)
        if len(still_gone) < len(gone):
            muxer_options, gone = freely, still_gone
    if gone:
        losses.append(f"{container.name} has no place for the tags {', '.join(gone)}")

    return OutputPlan(
        destination=path,
        target=target,
        rate=rate,
        options=options,
        container=container,
        job=job,
        streams=streams,
        muxer_options=muxer_options,
        file_tags={key: value for key, value in source_tags.items() if key not in gone},
        shift=_shift(info),
        losses=tuple(losses),
        warnings=tuple(losses),
    )


def _choose(container: Container, source: PixelFormat, options: OutputOptions) -> tuple[Encoder, PixelFormat]:
    """The encoder and the format of its frames: what was asked for, else what loses nothing of `source`."""
    wanted = options.pixel_format
    if wanted is not None and wanted.family is not source.family:
        raise UsageError(
            f"--pix-fmt {wanted.name} is {wanted.family}, the source is {source.family} ({source.name}):"
            " conversion between them is not offered"
        )
    if options.codec is not None:
        encoder = find_encoder(options.codec)
        pixels = wanted or encoder.closest(source)
        check_pixel_format(encoder, pixels or source)
        return encoder, pixels or source
    candidates = [find_encoder(name) for name in container.encoders]
    for encoder in candidates:
        deep = (wanted or source).depth > 8
        if encoder.name == "libx264" and deep:
            continue  # players decode 10-bit HEVC in hardware, 10-bit H.264 hardly any
        if wanted is not None:
            if wanted.name in encoder.pixel_formats:
                return encoder, wanted
        elif (pixels := encoder.closest(source)) is not None:
            return encoder, pixels
    names = " nor ".join(encoder.name for encoder in candidates)
    what = (wanted or source).name
    raise UsageError(
        f"neither {names} takes {what} in {container.name}: write to .mkv, or choose --codec or --pix-fmt"
    )


def _target(video: VideoInfo, scale: int, pixels: PixelFormat) -> FrameFormat:
    source = video.format
    return replace(source, width=source.width * scale, height=source.height * scale, pixel_format=pixels)


def _muxer_options(container: Container, streams: tuple[StreamPlan, ...], chapters: int) -> dict[str, str]:
    """The container's own options; MP4 and MOV crash-safe where FFmpeg still ends up with a flawless file.

    It does not where there is more than pictures and sound: a cover leaves an empty track behind, chapters
    become unreadable as a track, and subtitles may shift at the borders of fragments.
    """
    options = dict(container.options)
    if container.name in ("mp4", "mov") and not chapters:
        kept = {s.stream.kind for s in streams if s.action is not Action.DROP}
        if kept <= {StreamKind.AUDIO, StreamKind.VIDEO}:
            options |= CRASH_SAFE_MP4
    return options


def _shift(info: MediaInfo) -> Fraction:
    if info.cut is not None:
        return info.cut.start
    if not set(info.container.split(",")) & set(_CLOCK_FROM_ANYWHERE):
        return Fraction(0)
    return Fraction(round(info.start_time * 1_000_000), 1_000_000)


def _video_losses(video: VideoInfo, container: Container, encoder: Encoder) -> list[str]:
    losses = [f"{what} in the video cannot be carried over" for what in video.uncarried]
    if video.hdr is not None and not hdr_parameters(encoder, video.hdr):
        losses.append(f"{encoder.name} cannot store the HDR10 mastering metadata of the video")
    if video.display_matrix is not None and not container.rotation:
        losses.append(f"{container.name} cannot store the rotation of the video")
    return losses


# ------------------------------------------------------------------------------ companion streams


def _companions(info: MediaInfo, container: Container) -> tuple[tuple[StreamPlan, ...], int, dict[str, str]]:
    """The fate of every stream but the upscaled one, the number of chapters, and the file's tags."""
    if not info.seekable:
        reason = "the source can be read only once"
        dropped = [_dropped(s, reason) for s in info.streams if s.index != info.video.index]
        return tuple(dropped), 0, {}
    with open_source(info.path) as source:
        samples = first_packets(source) if len(info.streams) > 1 else {}
        plans = tuple(
            _fate(stream, source.streams[stream.index], samples.get(stream.index), info, container)
            for stream in info.streams
            if stream.index != info.video.index
        )
        chapters = source.chapters() if info.cut is None else cut_chapters(source.chapters(), info.cut)
        return plans, len(chapters), tags.file_tags(source.metadata)


def _fate(
    stream: StreamInfo, template: Any, sample: bytes | None, info: MediaInfo, container: Container
) -> StreamPlan:
    if stream.kind is StreamKind.ATTACHMENT:
        if container.attachments:
            return StreamPlan(stream=stream, action=Action.ATTACH, codec=stream.codec)
        return _dropped(stream, f"{container.name} holds no attached files")
    if stream.kind is StreamKind.COVER and container.cover is Cover.ATTACHMENT:
        return StreamPlan(stream=stream, action=Action.ATTACH, codec=stream.codec)
    if stream.kind is StreamKind.COVER and container.cover is Cover.NONE:
        return _dropped(stream, f"{container.name} holds no cover pictures")
    if _is_chapter_track(stream, template, info):
        return StreamPlan(stream=stream, action=Action.REBUILD, reason="it holds the chapters")
    why_not = refusal(container, template, sample)
    if why_not is None:
        return StreamPlan(stream=stream, action=Action.COPY, codec=stream.codec)
    if stream.kind is StreamKind.SUBTITLE and stream.codec in TEXT_CODECS and container.text_codec:
        plain = stream.codec in PLAIN_CODECS
        return StreamPlan(
            stream=stream,
            action=Action.CONVERT,
            codec=container.text_codec,
            reason="" if plain else "fonts, positions and effects are lost",
            loss=not plain,
        )
    if stream.kind is StreamKind.AUDIO and stream.copyable:
        return StreamPlan(
            stream=stream, action=Action.CONVERT, codec=container.audio_encoder, reason=why_not, loss=True
        )
    return _dropped(stream, why_not)


def _is_chapter_track(stream: StreamInfo, template: Any, info: MediaInfo) -> bool:
    """Whether this is the text track that MP4 and MOV keep chapter titles in; FFmpeg shows it as data."""
    handler = template.metadata.get("handler_name", "")
    return (
        stream.kind is StreamKind.DATA
        and stream.codec in ("bin_data", "")
        and info.chapters > 0
        and "mov" in info.container.split(",")
        and any(word in handler for word in ("Subtitle", "Text", "Chapter"))
    )


def _dropped(stream: StreamInfo, reason: str) -> StreamPlan:
    return StreamPlan(stream=stream, action=Action.DROP, reason=reason, loss=True)


# --------------------------------------------------------------------------------------------- y4m


def _y4m_plan(info: MediaInfo, path: Path | None, scale: int, options: OutputOptions) -> OutputPlan:
    if options.codec or options.crf is not None or options.preset or options.encoder_options:
        raise UsageError("y4m is not encoded: leave --codec, --crf, --preset and -x out")
    if path is not None:
        check_destination(path, info.path, overwrite=options.overwrite)
    source = info.video.format.pixel_format
    wanted = options.pixel_format
    if wanted is not None and wanted.family is not source.family:
        raise UsageError(f"--pix-fmt {wanted.name} is {wanted.family}, the source is {source.family}")
    target = _target(info.video, scale, check_y4m(wanted or source))
    others = [s for s in info.streams if s.index != info.video.index]
    dropped = tuple(_dropped(stream, "y4m holds only the picture") for stream in others)
    losses = [str(stream) for stream in dropped]
    losses += [f"{what} in the video cannot be carried over" for what in info.video.uncarried]
    if info.chapters:
        losses.append(f"y4m has no chapters: {info.chapters} dropped")
    if info.video.display_matrix is not None:
        losses.append("y4m cannot store the rotation of the video")
    if info.video.hdr is not None:
        losses.append("y4m cannot store the HDR10 mastering metadata of the video")
    color = target.color
    note = []
    if target.pixel_format.family is Family.YUV:
        note = [
            "y4m does not say which colours it holds: tell the encoder matrix"
            f" {int(color.matrix)}, transfer {int(color.transfer)}, primaries {int(color.primaries)} (H.273)"
        ]
    return OutputPlan(
        destination=path,
        target=target,
        rate=info.video.shown_rate or FALLBACK_RATE,
        options=options,
        streams=dropped,
        losses=tuple(losses),
        warnings=(*losses, *note),
    )
