"""The parts of a Matroska or WebM header that FFmpeg does not write."""

from __future__ import annotations

from dataclasses import replace

from paragon_stream.media.facts.info import MediaInfo, StreamInfo, StreamKind
from paragon_stream.media.facts.streams import tracks_of
from paragon_stream.media.matroska.chapters import NANOSECOND
from paragon_stream.media.matroska.header import HeaderChange, TrackChange, display_size
from paragon_stream.media.output.plan import OutputPlan
from paragon_stream.media.output.stream_plans import Action
from paragon_stream.media.output.tags import is_stale
from paragon_stream.media.output.timecode import tags_of_result
from paragon_stream.media.output.windows_codec import WindowsCodec


def header_change(plan: OutputPlan, info: MediaInfo) -> HeaderChange | None:
    """The change of the complete output's header; None for other containers.

    Tracks and attached files are numbered in the order in which the writer adds them.
    """
    assert plan.container and plan.job, "a plan for a file"
    if plan.container.muxer not in ("matroska", "webm"):
        return None

    def amend(name: str, value: str) -> str | None:
        return None if is_stale(name) else tags_of_result({name: value}, info)[name]

    cut = info.cut
    change = HeaderChange(
        source=info.matroska if info.seekable else None,
        amend=amend,
        begin=round(plan.shift / NANOSECOND),
        end=None if cut is None or cut.end is None else round(cut.end / NANOSECOND),
        chapters=plan.options.chapters,
    )
    plans = {each.stream.index: each for each in plan.streams}
    tracks, files = tracks_of(info.streams, info.matroska), _attached_files(info)
    for stream in info.streams:
        index = stream.index
        if index == info.video.index:
            number = _add(change, stream, enabled=index not in tracks or tracks[index].enabled)
            target = plan.job.format
            if not plan.job.encoder.carries_sample_aspect and target.sample_aspect_ratio != 1:
                size = display_size(target.width, target.height, target.sample_aspect_ratio)
                change.tracks[number] = TrackChange(language=stream.language_tag, size=size)
        elif index in plans and plans[index].is_track:
            enabled = index not in tracks or tracks[index].enabled
            number = _add(change, stream, enabled=enabled, windows=plans[index].windows)
        elif index in plans and plans[index].action is Action.ATTACH:
            if index in files:
                change.source_attachments[files[index]] = change.attachments
            change.attachments += 1
            continue
        else:
            continue
        if index in tracks:
            change.source_tracks[tracks[index].uid] = number
    for file in plan.added:
        for added in file.streams:
            if added.is_track:
                _add(change, added.stream, windows=added.windows)
            change.attachments += added.action is Action.ATTACH
    return change


def file_tags_of(plan: OutputPlan, change: HeaderChange | None) -> dict[str, str]:
    """The tags of the file for FFmpeg's muxer. The title of a Matroska file is that of the segment; there may
    be tags of the same name."""
    if change is None or change.source is None:
        return dict(plan.file_tags)
    others = {key: value for key, value in plan.file_tags.items() if key.casefold() != "title"}
    return others | ({"title": change.source.title} if change.source.title else {})


def _add(
    change: HeaderChange, stream: StreamInfo, *, enabled: bool = True, windows: WindowsCodec | None = None
) -> int:
    number = len(change.tracks)
    changed = TrackChange(language=stream.language_tag, enabled=enabled)
    if windows is not None:
        changed = replace(
            changed,
            codec_id=windows.codec_id,
            codec_private=windows.private,
            channels=windows.channels,
            bits=windows.bits,
        )
    change.tracks[number] = changed
    return number


def _attached_files(info: MediaInfo) -> dict[int, int]:
    """The UID of the attached file that each stream is, by the stream's index."""
    uids = info.matroska.attachments if info.matroska else ()
    kinds = (StreamKind.ATTACHMENT, StreamKind.COVER)
    attached = [stream.index for stream in info.streams if stream.kind in kinds]
    return dict(zip(attached, uids, strict=True)) if len(attached) == len(uids) else {}
