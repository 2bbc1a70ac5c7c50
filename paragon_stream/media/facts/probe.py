"""Reads the headers and the first frames of a file: all facts that a render needs."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, Self

import av
from av.container import InputContainer

from paragon_stream.errors import InputError, reason
from paragon_stream.frame import ColorSpec, FrameFormat, PixelFormat
from paragon_stream.media.facts import side_data
from paragon_stream.media.facts.appearance import Appearance, ColorNumbers
from paragon_stream.media.facts.color_tags import decide_color, read_color
from paragon_stream.media.facts.fields import Parity
from paragon_stream.media.facts.info import MediaInfo, StreamInfo, StreamKind, VideoInfo
from paragon_stream.media.facts.late_streams import settle_probing
from paragon_stream.media.facts.lengths import RAW, container_seconds, frame_count, frame_rate, stream_seconds
from paragon_stream.media.facts.rate import FALLBACK_RATE
from paragon_stream.media.facts.streams import codec_name, describe_streams, matroska_facts
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.pixel_formats import full_range_by_name, is_transparent, processed_format
from paragon_stream.media.ffmpeg.rational import positive_fraction
from paragon_stream.media.ffmpeg.stamps import presentation_stamp
from paragon_stream.media.matroska.chapters import shown_chapters
from paragon_stream.media.mp4 import boxes
from paragon_stream.media.mpeg.gop_timecode import start_timecode
from paragon_stream.media.mpeg.moves import replacing
from paragon_stream.media.mpeg.programmes import SEARCHED, Programme, read_programmes
from paragon_stream.media.source.opened import opened_bytes, size_at_hand, source_size
from paragon_stream.media.source.opening import decoding_context, open_source, video_stream
from paragon_stream.media.source.probing import Probing

_LOOK_AT = 4
"""Frames decoded: captions and dynamic metadata may be absent from the very first."""
_MAX_PACKETS = 3000
"""Packets read in search of the first frame: a minute of video."""
_MAX_UNTIMED = 250
"""Frames decoded in search of the first one with a time."""
_FIELD_ORDERS = {2: Parity.TOP, 3: Parity.BOTTOM, 4: Parity.BOTTOM, 5: Parity.TOP}
"""FFmpeg's AVFieldOrder of the header → parity: TT, BB, TB (coded top, shown bottom first), BT."""
_FRAMES_SAY_IT = ("h264", "hevc", "vvc", "mpeg2video", "vc1", "dvvideo", "prores", "av1", "vp8", "vp9")
"""Codecs whose frames are flagged as interlaced or not. Frame flags take precedence over the header."""

logger = logging.getLogger(__name__)


class TimedFrame(NamedTuple):
    """The number of a frame, from 0, and its time in ticks."""

    number: int
    stamp: int

    @classmethod
    def first_of(cls, frames: Sequence[av.VideoFrame], number: int = 0) -> Self | None:
        """The first of `frames` that has a time; `number` is that of the first frame."""
        stamps = enumerate((presentation_stamp(frame) for frame in frames), number)
        return next((cls(at, stamp) for at, stamp in stamps if stamp is not None), None)


def probe(path: str | Path, *, video: int | None = None, probing: Probing | None = None) -> MediaInfo:
    """Read the facts of a media file and choose the video stream to upscale.

    The main video is the stream with container index `video`, or else the first stream that decodes, streams
    with the default disposition first, without cover pictures. Untagged colour is decided here, once
    (`VideoInfo.guessed`). `probing` sets the search for streams; None searches as far as necessary.

    Raises InputError: the file cannot be opened (see `open_source`), has no video, or none that decodes.
    Raises FormatError: a pixel format, matrix or Dolby Vision profile that cannot be processed faithfully.
    """
    path = Path(path)
    probing = probing or settle_probing(path)
    with open_source(path, probing) as container:
        matroska = matroska_facts(path, name := container.format.name)
        streams = describe_streams(path, container, matroska)
        if video is None:
            candidates = [s for s in streams if s.kind is StreamKind.VIDEO and s.codec and s.copyable]
            candidates.sort(key=lambda s: ("default" not in s.dispositions, s.index))
            if not candidates:
                raise InputError(_no_video(path, streams) + _cut_off(path, name))
            indices = [s.index for s in candidates]
        else:
            indices = [video_stream(container, video).index]
        chapters = len(shown_chapters(matroska) if matroska else container.chapters())
        duration = container_seconds(container)
        start_time = (container.start_time or 0) / 1_000_000
        tags = dict(container.metadata)
        has_timecode = _has_timecode(container)
        pids = {s.index: s.id for s in container.streams} if name == "mpegts" else {}
        pictures = {s.index: pids[s.index] for s in container.streams.video if pids}
    chosen = _first_that_decodes(path, indices, probing)
    timecode = "" if has_timecode else chosen.timecode or _gop_timecode(path, probing, chosen)
    return MediaInfo(
        path=path,
        container=name,
        streams=streams,
        video=replace(chosen, timecode=timecode),
        chapters=chapters,
        duration=duration,
        start_time=start_time,
        probing=probing,
        continued_in=_continued_in(path, pictures, chosen.index),
        tags=tags,
        programmes=_programmes(path, pids),
        matroska=matroska,
    )


def _has_timecode(container: InputContainer) -> bool:
    tags = [container.metadata, *(stream.metadata for stream in container.streams)]
    return any(key.casefold() == "timecode" for each in tags for key in each)


def _gop_timecode(path: Path, probing: Probing, video: VideoInfo) -> str:
    """`VideoInfo.timecode` of MPEG-1 and MPEG-2 video."""
    if video.codec not in ("mpeg1video", "mpeg2video") or video.average_rate is None:
        return ""
    with open_source(path, probing) as container:
        packets = (bytes(packet) for packet in container.demux(container.streams[video.index]))
        try:
            return start_timecode(packets, round(video.average_rate))
        except AV_ERRORS:
            return ""


def _continued_in(path: Path, pids: Mapping[int, int], video: int) -> tuple[int, ...]:
    """Streams of a transport stream in which the picture of `video` continues; pipes are not examined.

    `pids` are those of its video streams, by index; empty for other files.
    """
    others = {pid: index for index, pid in pids.items() if index != video}
    if not others or source_size(path) == sys.maxsize:
        return ()
    with opened_bytes(path) as (file, size):
        found = replacing(file, size, pids[video], list(others))
    return tuple(others[pid] for pid in found)


def _programmes(path: Path, pids: Mapping[int, int]) -> tuple[Programme, ...]:
    """The programmes of a transport stream whose streams have the `pids`, by index; none for other files."""
    if not pids:
        return ()
    with opened_bytes(path) as (file, _):
        return read_programmes(
            file.read(min(SEARCHED, size_at_hand(path))), [(pid, index) for index, pid in pids.items()]
        )


def _no_video(path: Path, streams: Sequence[StreamInfo]) -> str:
    kinds = {stream.kind for stream in streams}
    if unknown := [s for s in streams if s.kind is StreamKind.VIDEO]:
        codec = unknown[0].codec or "unknown to FFmpeg"
        return f"{path} has video whose codec cannot be decoded: {codec}"
    if StreamKind.COVER in kinds:
        return f"{path} has no video, only a cover picture"
    held = sorted(kinds & {StreamKind.AUDIO, StreamKind.SUBTITLE})
    return f"{path} has no video stream" + (f", only {' and '.join(held)}" if held else "")


def _cut_off(path: Path, demuxer: str) -> str:
    """A cause that FFmpeg does not see: an MP4 whose index is incomplete can be opened."""
    if "mov" in demuxer.split(","):
        with contextlib.suppress(OSError), opened_bytes(path) as (file, size):
            if boxes.is_cut_off(file, size):
                return ": the file is cut off, and its index is incomplete"
    return ""


def _first_that_decodes(path: Path, indices: list[int], probing: Probing) -> VideoInfo:
    why = ""
    for index in indices:
        with open_source(path, probing, stored_times=True) as container:
            stream = video_stream(container, index)
            try:
                frames, timed = _first_frames(container, stream)
                return video_info(container, stream, frames, timed)
            except InputError as error:
                why = why or str(error) + _cut_off(path, container.format.name)
                logger.debug("stream %d of %s: %s", index, path, error)
    raise InputError(why)


def _first_frames(
    container: InputContainer, stream: av.VideoStream
) -> tuple[list[av.VideoFrame], TimedFrame | None]:
    """Up to `_LOOK_AT` frames, at least one, and the first frame with a time, if there is one near. Raises
    InputError if none comes."""
    side_data.refuse_dolby_vision_5(stream.codec_context)
    context = decoding_context(stream)
    name = container.name
    frames: list[av.VideoFrame] = []
    timed: TimedFrame | None = None
    decoded = 0
    failure: BaseException | None = None
    for other in container.streams:
        if other.index != stream.index:
            other.discard = av.stream.Discard.all
    try:
        for count, packet in enumerate(container.demux(stream)):
            if packet.has_sidedata("encryption_info"):
                raise InputError(f"{name} is encrypted (DRM) and cannot be decoded")
            try:
                for frame in context.decode(packet):
                    timed = timed or TimedFrame.first_of([frame], decoded)
                    decoded += 1
                    if len(frames) < _LOOK_AT:
                        frames.append(frame)
            except AV_ERRORS as error:
                failure = error
            enough = timed is not None or decoded >= _MAX_UNTIMED or container.format.name in RAW
            if (len(frames) >= _LOOK_AT and enough) or count > _MAX_PACKETS:
                break
    except AV_ERRORS as error:
        failure = error
    if not frames:
        because = f": {reason(failure)}" if failure else ""
        raise InputError(f"no frame of the video in {name} can be decoded{because}")
    return frames, timed


def video_info(
    container: InputContainer,
    stream: av.VideoStream,
    frames: list[av.VideoFrame],
    timed: TimedFrame | None = None,
) -> VideoInfo:
    """The facts of an open stream whose first frames are `frames`. `timed` is the first one with a time, if
    that is not the first of all. Raises FormatError; see `probe`."""
    frame, context = frames[0], stream.codec_context
    readable = side_data.readable(frames, codec_name(stream))
    first_readable = readable[0] if readable else None
    # An animation may begin with an opaque picture.
    like = (each for each in frames if each.format.name == frame.format.name)
    format = processed_format(next(filter(is_transparent, like), frame), codec_name(stream))
    crop = _usable_crop(side_data.container_crop(context), frame, format)
    width, height = frame.width - crop[0] - crop[2], frame.height - crop[1] - crop[3]
    rate, rate_is_sane = frame_rate(stream, frames, container.format.name)
    header = ColorNumbers.of_header(context)
    color, guessed = decide_color(
        read_color(ColorNumbers.of_frame(frame), header),
        format=format,
        width=width,
        height=height,
        full_range_name=full_range_by_name(frame.format.name),
        frame_rate=rate,
        codec=codec_name(stream),
    )
    if guessed:
        logger.info("untagged in %s, taken as %s: %s", container.name, _in_words(color), ", ".join(guessed))
    time_base = positive_fraction(stream.time_base) or Fraction(1, 1000)
    start = _start(stream, time_base, rate or FALLBACK_RATE, timed or TimedFrame.first_of(frames))
    duration = stream_seconds(container, stream, float((start or 0) * time_base))
    flagged = any(frame.interlaced_frame for frame in frames)
    in_band = codec_name(stream) in _FRAMES_SAY_IT
    from_header = _FIELD_ORDERS.get(context.field_order, Parity.AUTO)
    return VideoInfo(
        index=stream.index,
        codec=codec_name(stream),
        format=FrameFormat(
            width=width,
            height=height,
            pixel_format=format,
            color=color,
            sample_aspect_ratio=positive_fraction(stream.sample_aspect_ratio) or Fraction(1),
        ),
        appearance=Appearance.of(frame, positive_fraction(context.sample_aspect_ratio)),
        header_colors=header,
        crop=crop,
        guessed=guessed,
        time_base=time_base,
        average_rate=rate,
        durations_known=rate_is_sane,
        start_pts=start,
        duration=duration,
        frames=frame_count(stream, duration or container_seconds(container), rate),
        interlaced=flagged or (from_header is not Parity.AUTO and not in_band),
        flagged_frames=flagged or in_band,
        parity=from_header,
        display_matrix=side_data.display_matrix(context, first_readable),
        hdr=side_data.hdr_metadata(context, first_readable),
        uncarried=_uncarried(context, readable),
        timecode=side_data.timecode(readable, rate),
        stereo_mode=side_data.stereo_mode(context, first_readable),
    )


def _start(
    stream: av.VideoStream, time_base: Fraction, rate: Fraction, timed: TimedFrame | None
) -> int | None:
    """The time of the first frame in ticks of `time_base`; `timed` is the first one with a time.

    Blocks of Matroska before zero have no time: counted back from `timed`.
    """
    return stream.start_time if timed is None else timed.stamp - round(timed.number / (rate * time_base))


def _uncarried(context: av.VideoCodecContext, readable: Sequence[av.VideoFrame]) -> tuple[str, ...]:
    """`VideoInfo.uncarried`."""
    first = readable[0] if readable else None
    names = {
        *side_data.uncarried_in_frames(readable),
        *side_data.uncarried_in_stream(context),
        *side_data.uncarried_mastering(context, first),
    }
    return tuple(sorted(names))


def _in_words(color: ColorSpec) -> str:
    return (
        f"matrix {color.matrix.name}, range {color.range}, transfer {color.transfer}, "
        f"primaries {color.primaries}, chroma location {color.chroma_location.name}"
    )


def _usable_crop(
    crop: tuple[int, int, int, int], frame: av.VideoFrame, format: PixelFormat
) -> tuple[int, int, int, int]:
    """`crop` with left and top on whole chroma samples; no crop if it would leave no picture."""
    left, top, right, bottom = crop
    if left + right >= frame.width or top + bottom >= frame.height:
        return 0, 0, 0, 0
    sx, sy = format.subsampling
    return left >> sx << sx, top >> sy << sy, right, bottom
