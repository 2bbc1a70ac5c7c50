"""Decides before a render how each stream but the upscaled one is treated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

from paragon_stream.media.facts.chapter_list import chapter_list
from paragon_stream.media.facts.containers import Container, Cover
from paragon_stream.media.facts.cut import Cut
from paragon_stream.media.facts.info import MediaInfo, StreamInfo, StreamKind
from paragon_stream.media.facts.late_streams import settle_probing
from paragon_stream.media.facts.tracks import added_streams, unwanted
from paragon_stream.media.mpeg.programmes import Programme
from paragon_stream.media.output.aac.latm import BareAac, bare_aac_of
from paragon_stream.media.output.audio import (
    SoundCoding,
    audio_bit_rate,
    fitting_coding,
    lossless_coding,
    wanted_coding,
)
from paragon_stream.media.output.packet_trim import cut_chapters, without_packets
from paragon_stream.media.output.subtitles import PLAIN_CODECS, TEXT_CODECS
from paragon_stream.media.output.tags import file_tags
from paragon_stream.media.output.timecode import tags_of_result
from paragon_stream.media.output.trial_muxing import check_sound, first_packets, refusal
from paragon_stream.media.output.windows_codec import WindowsCodec, windows_codec
from paragon_stream.media.source.opening import open_source
from paragon_stream.media.source.probing import HEADERS, Probing
from paragon_stream.options.output import TrackOptions

TIMECODE_TRACK = "it holds the timecode"
_UNFRAMED = "without the framing of broadcasts (LATM)"
TIMECODE_MUXERS = ("mp4", "mov", "matroska", "webm")
_CLOCK_FROM_ANYWHERE = ("mpegts", "mpeg", "flv", "asf")
"""Demuxers of sources whose first timestamp is arbitrary: the output begins at 0 instead."""


class Action(Enum):
    """The treatment of a stream that is not the upscaled one."""

    COPY = "copied"
    ATTACH = "kept as an attached file"
    CONVERT = "converted"
    REBUILD = "written again"
    DROP = "dropped"


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """The plan for one stream. `reason` says why it is not copied; `loss` whether something is lost.

    `codec` is its codec in the output.
    """

    stream: StreamInfo
    action: Action
    codec: str = ""
    reason: str = ""
    loss: bool = False
    sound: SoundCoding | None = None
    """The encoding of converted sound."""
    windows: WindowsCodec | None = None
    """Codec data of a stream that is copied under Windows' name of its codec."""
    aac: BareAac | None = None
    """Codec data of AAC that is converted from LATM."""

    @property
    def is_track(self) -> bool:
        """Whether its packets become a track of the output."""
        return self.action in (Action.COPY, Action.CONVERT)

    def __str__(self) -> str:
        to = f" to {self.codec}" if self.action is Action.CONVERT else ""
        because = f": {self.reason}" if self.reason else ""
        return f"{stream_label(self.stream)} {self.action.value}{to}{because}"


def stream_label(stream: StreamInfo) -> str:
    """A stream's name in messages: "audio stream 2 (jpn, flac)"."""
    language = stream.language_tag or stream.language
    facts = ", ".join(filter(None, (language, stream.codec or "unknown codec", stream.title)))
    kind = {StreamKind.COVER: "cover picture", StreamKind.ATTACHMENT: "attachment"}.get(
        stream.kind, f"{stream.kind} stream"
    )
    return f"{kind} {stream.index} ({stream.detail if stream.kind is StreamKind.ATTACHMENT else facts})"


@dataclass(frozen=True, kw_only=True)
class AddedFile:
    """Another file whose streams go into the output.

    `shift` (seconds) is subtracted from its timestamps; `cut` is the part that is used, on its own clock.
    """

    path: Path
    streams: tuple[StreamPlan, ...]
    shift: Fraction
    cut: Cut | None
    probing: Probing = HEADERS
    begins_late: bool = False
    """See `RemuxPlan`."""


@dataclass(frozen=True, kw_only=True)
class RemuxPlan:
    """The plans of all streams but the upscaled one, the number of chapters, and the file's tags."""

    streams: tuple[StreamPlan, ...] = ()
    begins_late: bool = False
    """Whether sound or video begins long after the picture; only known of MP4 and MOV."""
    added: tuple[AddedFile, ...] = ()
    chapters: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> set[StreamKind]:
        """The kinds of all streams that are kept, those of added files included."""
        plans = (*self.streams, *(plan for file in self.added for plan in file.streams))
        return {plan.stream.kind for plan in plans if plan.action is not Action.DROP}


def plan_remux(info: MediaInfo, container: Container, options: TrackOptions) -> RemuxPlan:
    """Make the plans. Raises UsageError for missing tracks and for sound that cannot be encoded as requested,
    InputError for added files."""
    _wanted_sound(options)  # a wrong option is an error also without sound
    left_out = unwanted(info.streams, options)
    added = tuple(_added(Path(path), info, container, options) for path in options.add)
    begins_late = any(file.begins_late for file in added)
    if not info.seekable:
        reason = "the source can be read only once"
        dropped = [dropped_stream(s, reason) for s in info.streams if s.index != info.video.index]
        return RemuxPlan(streams=tuple(dropped), added=added, begins_late=begins_late)
    with open_source(info.path, info.probing) as source:
        late = bool(info.probing.size)
        samples = first_packets(source, late=late) if len(info.streams) > 1 else {}
        plans = []
        for stream in info.streams:
            template = source.streams[stream.index]
            if stream.index == info.video.index:
                continue
            if stream.index in left_out:
                plans.append(StreamPlan(stream=stream, action=Action.DROP, reason="not selected"))
            elif _is_timecode_track(stream, template, source, info, container):
                plans.append(StreamPlan(stream=stream, action=Action.REBUILD, reason=TIMECODE_TRACK))
            elif _is_chapter_track(stream, template, info):
                action, reason = (
                    (Action.REBUILD, "it holds the chapters")
                    if options.chapters
                    else (Action.DROP, "not selected")
                )
                plans.append(StreamPlan(stream=stream, action=action, reason=reason))
            else:
                plans.append(
                    _plan_stream(
                        stream, template, samples.get(stream.index), container, options, info.probing
                    )
                )
        plans, late_here = _without_empty_tracks(plans, source, samples, container, info.cut, info.probing)
        chapters = chapter_list(source, info.matroska) if options.chapters else []
        if info.cut is not None:
            chapters = cut_chapters(chapters, info.cut)
        programme = programme_of(info, plans)
        service = {} if programme is None else programme.tags
        return RemuxPlan(
            streams=tuple(plans),
            begins_late=begins_late or late_here,
            added=added,
            chapters=len(chapters),
            tags=tags_of_result(file_tags(source.metadata), info) | service,
        )


def programme_of(info: MediaInfo, plans: Sequence[StreamPlan]) -> Programme | None:
    """The programme of all streams that are kept; None for files without programmes, or of several."""
    kept = {info.video.index, *(plan.stream.index for plan in plans if plan.action is not Action.DROP)}
    kept &= frozenset[int]().union(*(programme.streams for programme in info.programmes))
    return next((each for each in info.programmes if kept <= each.streams), None)


def time_shift(info: MediaInfo) -> Fraction:
    """Seconds subtracted from every timestamp of the source."""
    if info.cut is not None:
        return info.cut.start
    start = _clock_start(info.container, Fraction(round(info.start_time * 1_000_000), 1_000_000))
    return min(start, (info.video.start_pts or 0) * info.video.time_base)  # players skip frames before zero


def _clock_start(container: str, start: Fraction) -> Fraction:
    return start if set(container.split(",")) & set(_CLOCK_FROM_ANYWHERE) else Fraction(0)


def _added(path: Path, info: MediaInfo, container: Container, options: TrackOptions) -> AddedFile:
    """Times in an added file count from the beginning of the programme."""
    probing = settle_probing(path)
    streams = added_streams(path, probing, attachments=options.attachments)
    with open_source(path, probing) as source:
        begin = Fraction(source.start_time or 0, 1_000_000)
        clock = _clock_start(source.format.name, begin) - info.programme_start
        cut, end = info.cut, info.cut.end if info.cut else None
        cut = cut and Cut(start=cut.start + clock, end=None if end is None else end + clock)
        samples = first_packets(source, late=bool(probing.size))
        plans = [
            _plan_stream(
                stream, source.streams[stream.index], samples.get(stream.index), container, options, probing
            )
            for stream in streams
        ]
        plans, late = _without_empty_tracks(plans, source, samples, container, cut, probing)
    return AddedFile(
        path=path,
        streams=tuple(plans),
        shift=time_shift(info) + clock,
        cut=cut,
        probing=probing,
        begins_late=late,
    )


def _plan_stream(
    stream: StreamInfo,
    template: Any,
    sample: bytes | None,
    container: Container,
    options: TrackOptions,
    probing: Probing,
) -> StreamPlan:
    """The plan of one stream: attached, converted as requested, copied, converted if it cannot be copied, or
    dropped. `template` is FFmpeg's stream, `sample` one of its packets."""
    if stream.codec == "dvd_nav_packet":
        return StreamPlan(stream=stream, action=Action.DROP, reason="it holds the positions in a DVD's files")
    if (plan := _attached(stream, container)) is not None:
        return plan
    if stream.kind is StreamKind.AUDIO and not _has_sound_format(template):
        return dropped_stream(stream, "neither header nor packets say its sample rate and channels")
    wanted = _wanted_sound(options) if stream.kind is StreamKind.AUDIO else None
    if wanted is not None and (wanted.codec != stream.codec or wanted.bit_rate is not None):
        sound, lost = fitting_coding(wanted, template)
        check_sound(container, template, sound)
        return StreamPlan(
            stream=stream,
            action=Action.CONVERT,
            codec=sound.encoder,
            reason=lost or "as requested",
            loss=bool(lost),
            sound=sound,
        )
    why_not = refusal(container, template, sample)
    if why_not is None:
        return StreamPlan(stream=stream, action=Action.COPY, codec=stream.codec)
    if wanted is not None:
        check_sound(container, template, wanted)
    return (
        _copied_in_another_form(stream, template, container, probing)
        or _converted(stream, template, container, options, why_not)
        or dropped_stream(stream, why_not)
    )


def _attached(stream: StreamInfo, container: Container) -> StreamPlan | None:
    """The plan of an attached file or a cover picture; None for other streams, and for covers that the
    container stores as streams."""
    if stream.kind is StreamKind.ATTACHMENT:
        if container.attachments:
            return StreamPlan(stream=stream, action=Action.ATTACH, codec=stream.codec)
        return dropped_stream(stream, f"{container.name} holds no attached files")
    if stream.kind is StreamKind.COVER and container.cover is Cover.ATTACHMENT:
        return StreamPlan(stream=stream, action=Action.ATTACH, codec=stream.codec)
    if stream.kind is StreamKind.COVER and container.cover is Cover.NONE:
        return dropped_stream(stream, f"{container.name} holds no cover pictures")
    return None


def _wanted_sound(options: TrackOptions) -> SoundCoding | None:
    """The encoding of all sound that the user chose; None to copy it. Raises UsageError for unknown ones."""
    bit_rate = audio_bit_rate(options.audio_bitrate)
    if options.audio_codec is None or options.audio_codec.lower() == "copy":
        return None
    return wanted_coding(options.audio_codec, bit_rate)


def _copied_in_another_form(
    stream: StreamInfo, template: Any, container: Container, probing: Probing
) -> StreamPlan | None:
    """The plan of a stream whose packets the container stores under another name or without their framing;
    else None."""
    if container.muxer == "matroska" and (windows := windows_codec(template)):
        return StreamPlan(stream=stream, action=Action.COPY, codec=stream.codec, windows=windows)
    aac = bare_aac_of(Path(template.container.name), stream.index, probing)
    if aac is not None and refusal(container, aac.template(), None) is None:
        return StreamPlan(stream=stream, action=Action.COPY, codec="aac", reason=_UNFRAMED, aac=aac)
    return None


def _converted(
    stream: StreamInfo, template: Any, container: Container, options: TrackOptions, why_not: str
) -> StreamPlan | None:
    """The plan of text subtitles and of sound that the container stores in another codec only; else None.
    `why_not` is the reason why it cannot be copied."""
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
        sound = lossless_coding(container, template) or SoundCoding(
            encoder=container.audio_encoder, bit_rate=audio_bit_rate(options.audio_bitrate)
        )
        # PCM is chosen with all bits of the source.
        lost = "" if sound.encoder.startswith("pcm_") or not sound.lossless else sound.lost_bits(template)
        return StreamPlan(
            stream=stream,
            action=Action.CONVERT,
            codec=sound.encoder,
            reason=f"{why_not}; {lost}" if lost else why_not,
            loss=not sound.lossless or bool(lost),
            sound=sound,
        )
    return None


def _without_empty_tracks(
    plans: list[StreamPlan],
    source: Any,
    samples: Mapping[int, bytes],
    container: Container,
    cut: Cut | None,
    probing: Probing,
) -> tuple[list[StreamPlan], bool]:
    """`plans` without copied sound and video that has no packets in `cut`, of which MP4 and MOV store no
    track; and whether some begin late. With a longer search for streams, `samples` are packets from
    anywhere."""
    if container.name not in ("mp4", "mov"):
        return plans, False
    kept = [plan.stream for plan in plans if plan.is_track]
    near = samples if cut is None and not probing.size else {}
    empty, late = without_packets(source, [s for s in kept if s.index not in near], cut)
    where = "it is empty" if cut is None else "it has nothing in this part"
    because = f"{where}, and {container.name} stores no empty tracks"
    left = [dropped_stream(plan.stream, because) if plan.stream.index in empty else plan for plan in plans]
    return left, bool(late)


def _has_sound_format(template: Any) -> bool:
    context = template.codec_context
    return context is None or bool(context.sample_rate and context.layout.nb_channels)


def _is_timecode_track(
    stream: StreamInfo, template: Any, source: Any, info: MediaInfo, container: Container
) -> bool:
    """Whether this is the video's timecode track; FFmpeg's muxer writes it from the tag, as a track or a
    tag."""
    tags = source.streams[info.video.index].metadata
    return (
        stream.kind is StreamKind.DATA
        and "timecode" in template.metadata
        and template.metadata["timecode"] == tags.get("timecode")
        and container.muxer in TIMECODE_MUXERS
    )


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


def dropped_stream(stream: StreamInfo, reason: str) -> StreamPlan:
    """The plan of a dropped stream."""
    return StreamPlan(stream=stream, action=Action.DROP, reason=reason, loss=True)
