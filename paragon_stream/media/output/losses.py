"""The losses of containers and codecs, in sentences."""

from __future__ import annotations

from collections.abc import Sequence, Set

from paragon_stream.errors import UsageError
from paragon_stream.frame import Family, FrameFormat, PixelFormat
from paragon_stream.media.encode.encoders import Encoder
from paragon_stream.media.encode.hdr import hdr_parameters
from paragon_stream.media.facts.containers import Container
from paragon_stream.media.facts.info import MediaInfo, StreamInfo, StreamKind, VideoInfo
from paragon_stream.media.facts.side_data import STEREO
from paragon_stream.media.facts.tracks import unwanted
from paragon_stream.media.matroska.chapters import linked_losses, losses_when_flat
from paragon_stream.media.output.stream_plans import (
    TIMECODE_MUXERS,
    TIMECODE_TRACK,
    StreamPlan,
    dropped_stream,
    programme_of,
    stream_label,
)
from paragon_stream.media.output.tags import file_tags, stream_tags
from paragon_stream.number_text import counted
from paragon_stream.options.output import OutputOptions, TrackOptions


def continuation_losses(info: MediaInfo) -> list[str]:
    pictures = [stream.index for stream in info.streams if stream.kind is StreamKind.VIDEO]
    return [
        f"the picture continues in {stream_label(info.streams[index])}, which is not upscaled:"
        f" render it by itself with --video {pictures.index(index) + 1}"
        for index in info.continued_in
    ]


def programme_losses(info: MediaInfo, container: Container, plans: Sequence[StreamPlan]) -> list[str]:
    """Sentences about several programmes whose streams the output has in one."""
    if not info.programmes or programme_of(info, plans) is not None:
        return []
    several = f"{counted(len(info.programmes), 'programme')} ({', '.join(map(str, info.programmes))})"
    return [
        f"{container.name} gets the streams of {several} in one:"
        " their names and which streams belong together are lost"
    ]


def frame_losses(
    video: VideoInfo, name: str, encoder: Encoder | None = None, kept: Set[str] = frozenset()
) -> list[str]:
    """Sentences about the data in the frames and about HDR10, for an output `name`. `encoder` is None for
    uncompressed pictures; `kept` are the data that the container stores."""
    kept = kept | (encoder.frame_data if encoder is not None else set())
    losses = [f"{what} in the video cannot be carried over" for what in video.uncarried if what not in kept]
    if video.hdr is not None and (encoder is None or not hdr_parameters(encoder.name, video.hdr)):
        losses.append(f"{name} cannot store the HDR10 mastering metadata of the video")
    return losses


def format_losses(source: PixelFormat, stored: PixelFormat, options: OutputOptions, name: str) -> list[str]:
    """Sentences about the bits and the resolution of colours that `stored` has less than `source`, in an
    output or by an encoder `name`; none if the user has chosen the format."""
    if options.pix_fmt is not None:
        return []
    losses = []
    if stored.depth < source.depth:
        losses.append(f"{name} stores {stored.depth} bits of the video's {source.depth}")
    coarser = any(new > old for new, old in zip(stored.subsampling, source.subsampling, strict=True))
    if source.family is not Family.GRAY and coarser:
        like = "yuv444p" if name == "y4m" else "gbrp"
        deep = "" if stored.depth == 8 else f"{stored.depth}le"
        advice = "" if source.has_alpha or options.codec else f"; --pix-fmt {like}{deep} keeps it"
        what = "RGB" if source.family is Family.RGB else source.name
        losses.append(
            f"{name} stores {what} as {stored.name}, which reduces the resolution of colours{advice}"
        )
    return losses


def video_losses(video: VideoInfo, container: Container, encoder: Encoder) -> list[str]:
    kept = {STEREO} if video.stereo_mode and container.muxer in ("matroska", "webm") else set()
    losses = frame_losses(video, encoder.name, encoder, kept)
    if video.timecode and container.muxer not in TIMECODE_MUXERS:
        losses.append(f"{container.name} cannot store the timecode of the video, {video.timecode}")
    if video.display_matrix is not None and not container.rotation:
        losses.append(f"{container.name} cannot store the rotation of the video")
    return losses


def picture_only(
    info: MediaInfo, options: OutputOptions, name: str, *, alpha: bool = False
) -> tuple[tuple[StreamPlan, ...], list[str]]:
    """The dropped streams and all losses of an output, `name`, that stores frames only (with `alpha` if
    True).

    Raises UsageError for added files and muxer options.
    """
    if options.add or options.mux:
        raise UsageError(f"{name} stores only the picture: leave {'--add' if options.add else '--mux'} out")
    left_out = {info.video.index, *unwanted(info.streams, options)}
    others = [s for s in info.streams if s.index not in left_out]
    dropped = tuple(dropped_stream(stream, f"{name} holds only the picture") for stream in others)
    losses = [str(stream) for stream in dropped] + continuation_losses(info)
    losses += frame_losses(info.video, name) + picture_tag_losses(info, name)
    if info.chapters and options.chapters:
        losses.append(f"{name} has no chapters: {info.chapters} dropped")
    if info.video.display_matrix is not None:
        losses.append(f"{name} cannot store the rotation of the video")
    if info.video.format.pixel_format.has_alpha and not alpha:
        losses.append(f"{name} holds no transparency: it is dropped")
    return dropped, losses


def untagged_colours(target: FrameFormat, name: str) -> list[str]:
    """A sentence about the colours of raw video, `name`, which a program that reads it must be given."""
    if target.pixel_format.family is not Family.YUV:
        return []
    color = target.color
    return [
        f"{name} stores no colour tags: give the encoder the options for matrix"
        f" {int(color.matrix)}, transfer {int(color.transfer)}, primaries {int(color.primaries)} (H.273)"
    ]


_FLAGS = {
    "dub": "dubbed",
    "original": "in the original language",
    "comment": "a commentary",
    "lyrics": "lyrics",
    "karaoke": "karaoke",
    "forced": "forced",
    "hearing_impaired": "for the hearing impaired",
    "visual_impaired": "for the visually impaired",
    "clean_effects": "without voices",
    "captions": "captions",
    "descriptions": "descriptions",
    "metadata": "metadata",
}
"""Dispositions that mean something to a viewer, in words."""


def lost_flags(info: MediaInfo, container: Container, plans: Sequence[StreamPlan]) -> list[str]:
    """Sentences about dispositions of streams that the container cannot store."""
    kept = [info.streams[info.video.index]]
    kept += [each.stream for each in plans if each.is_track]
    return [
        f"{container.name} cannot store that {stream_label(stream)} is {_FLAGS[flag]}"
        for stream in kept
        for flag in stream.dispositions
        if flag in _FLAGS and flag not in container.flags
    ]


def lost_track_tags(info: MediaInfo, container: Container, plans: Sequence[StreamPlan]) -> list[str]:
    """Sentences about titles and other tags of streams, which Matroska alone stores."""
    if container.muxer in ("matroska", "webm"):
        return []
    losses = []
    kept = [info.streams[info.video.index]]
    kept += [each.stream for each in plans if each.is_track or each.reason == TIMECODE_TRACK]
    for stream in kept:
        if stream.title and not container.track_titles:
            losses.append(f"{container.name} cannot store the title of {stream_label(stream)}")
        keys = stream_tags(dict.fromkeys(stream.tags, "any"), muxer=container.muxer)
        own = _OWN_PLACE | (_OF_FILES if stream.kind is StreamKind.COVER else set())
        if container.muxer == "mov" and "timecode" in {key.casefold() for key in keys}:
            own = own | {"reel_name"}
        if others := sorted(key for key in keys if key.casefold() not in own):
            losses.append(
                f"{container.name} cannot store the tags {', '.join(others)} of {stream_label(stream)}"
            )
    return losses


_OWN_PLACE = {"title", "language", "creation_time", "handler_name", "timecode", "alpha_mode", "stereo_mode"}
"""Tags of streams that other containers have a place for, or whose loss is announced elsewhere."""
_OF_FILES = {"filename", "mimetype"}
"""Matroska's tags of attached pictures: no loss in containers where covers are streams."""


def lost_languages(info: MediaInfo, container: Container, plans: Sequence[StreamPlan]) -> list[str]:
    """Regions and scripts of languages ("pt-BR"), which most containers cannot store, and languages of video,
    which transport streams cannot."""
    if container.muxer in ("matroska", "webm") or container.name in ("mp4", "mov"):
        return []
    kept = [info.streams[info.video.index]]
    kept += [each.stream for each in plans if each.is_track]
    losses = []
    if not container.video_language:
        pictures = [stream for stream in kept if stream.kind is StreamKind.VIDEO]
        kept = [stream for stream in kept if stream not in pictures]
        losses = [_lost_language(container.name, stream) for stream in pictures if stream.language]
    if tags := dict.fromkeys(stream.language_tag for stream in kept if "-" in stream.language_tag):
        losses.append(
            f"{container.name} cannot store the language tags {', '.join(tags)}, only the languages"
        )
    return losses


def _lost_language(name: str, stream: StreamInfo) -> str:
    return f"{name} cannot store the language of {stream_label(stream)}"


def picture_tag_losses(info: MediaInfo, name: str) -> list[str]:
    """Sentences about the tags of the file and of the video, for an output, `name`, without any."""
    video = info.streams[info.video.index] if info.streams else None
    losses = []
    if info.video.timecode:
        losses.append(f"{name} cannot store the timecode of the video, {info.video.timecode}")
    if video is not None and video.language:
        losses.append(_lost_language(name, video))
    if video is not None and video.title:
        losses.append(f"{name} cannot store the title of {stream_label(video)}")
    names = {each for programme in info.programmes for each in programme.tags}
    if tags := sorted({*file_tags(info.tags), *names}):
        losses.append(f"{name} cannot store the tags {', '.join(tags)}")
    return losses


def matroska_losses(
    info: MediaInfo, container: Container, streams: tuple[StreamPlan, ...], options: TrackOptions
) -> list[str]:
    """Sentences about facts of a Matroska source that the output cannot store."""
    facts = info.matroska
    if facts is None:
        return []
    losses = linked_losses(facts) if options.chapters else []
    if container.muxer in ("matroska", "webm"):
        return losses
    flat = losses_when_flat(facts) if options.chapters and container.chapters else []
    return losses + [f"{container.name} cannot store {what}" for what in flat]
