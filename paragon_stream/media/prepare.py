"""Prepares a source for a render: probes it, and checks and applies the options for reading it."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from paragon_stream.errors import InputError, UsageError
from paragon_stream.media.facts.cut import Cut, Range, parse_range
from paragon_stream.media.facts.fields import parse_method
from paragon_stream.media.facts.image_kinds import is_image_name
from paragon_stream.media.facts.info import IMAGE_SEQUENCE, MediaInfo
from paragon_stream.media.facts.late_streams import settle_probing
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.facts.rate import parse_rate
from paragon_stream.media.facts.tracks import video_index
from paragon_stream.media.frames.field_choice import treat_fields
from paragon_stream.media.frames.frame_reader import FrameReader
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.frames.strength import Fetch
from paragon_stream.media.images.numbering import numbering
from paragon_stream.media.images.picture import further_pictures
from paragon_stream.media.images.sequence_reader import SequenceReader, probe_sequence
from paragon_stream.media.source.opening import check_local
from paragon_stream.media.source.pipes import begin_pipe, end_pipe, is_pipe, is_uncompressed, pipe_at
from paragon_stream.media.source.probing import parse_probe_size
from paragon_stream.options.source import SourceOptions as SourceOptions

_NEEDS_FILE = ("start", "end", "duration", "video", "idet", "ivtc")
"""Options with which a video is read more than once."""


def prepare(path: str | Path, options: SourceOptions) -> MediaInfo:
    """Probe `path` and apply `options`.

    A name such as frame_%06d.png stands for a sequence of images. A pipe is begun, and stays open for the
    render. A range is made exact by decoding its first frame: `info.cut` begins with it. Raises what `probe`
    raises, and InputError for a range that holds no frame.
    """
    if is_pipe(path):
        return _piped(path, options)
    check_local(path)
    return _prepared(path, options)


def _prepared(path: str | Path, options: SourceOptions, *, seekable: bool = True) -> MediaInfo:
    wanted = parse_range(options.start, options.duration, options.end)
    rate, method = parse_rate(options.fps), parse_method(options.deinterlace)
    sequence = numbering(path)
    if sequence is not None:
        if wanted or options.video:
            raise UsageError("--start, --end, --duration and --video are not for sequences of images")
        return probe_sequence(sequence, rate)
    if rate is not None:
        raise UsageError("--fps is for sequences of images: a video has timestamps of its own")
    probing = settle_probing(Path(path), parse_probe_size(options.probesize))
    index = None if options.video is None else video_index(Path(path), options.video, probing)
    info = probe(path, video=index, probing=probing)
    rough = None if wanted is None else wanted.in_source(info.programme_start, info.video.time_base)
    info = replace(info, seekable=seekable)
    treated, hints = treat_fields(replace(info, cut=rough), method, options.idet, options.ivtc)
    if is_image_name(info.path) and (further := further_pictures(info.path)):
        hints = (*hints, f"{info.path.name}: only the first picture is read, not {further}")
    info = replace(info, video=treated, hints=hints)
    return info if wanted is None else _cut(info, wanted)


def _piped(source: str | Path, options: SourceOptions) -> MediaInfo:
    path = begin_pipe(source)
    pipe = pipe_at(path)
    assert pipe is not None, "it was begun"
    try:
        passes = is_uncompressed(path)
        for name in _NEEDS_FILE if passes else ():
            if getattr(options, name) != getattr(SourceOptions(), name):
                raise UsageError(f"--{name} needs a file: y4m in a pipe can be read only once")
        info = replace(_prepared(path, options, seekable=not passes), piped=True)
    except BaseException:
        end_pipe(path)
        if pipe.interrupted is not None:
            raise pipe.interrupted from None
        raise
    if pipe.interrupted is not None:
        end_pipe(path)
        raise pipe.interrupted
    return info


def open_reader(
    info: MediaInfo,
    *,
    strengths: bool = False,
    frame_data: Collection[str] = (),
    follow: bool = False,
    fetch: Fetch | None = None,
    threads: int | None = None,
    from_start: bool = False,
) -> FrameReader:
    """The reader of the frames of a prepared source; see `VideoReader` for the options. Raises InputError."""
    if info.container == IMAGE_SEQUENCE:
        return SequenceReader(info, follow=follow)
    if not info.seekable and (pipe := pipe_at(info.path)):
        pipe.let_pass()
    return VideoReader(
        info,
        strengths=strengths,
        frame_data=frame_data,
        follow=follow,
        fetch=fetch,
        threads=threads,
        from_start=from_start,
    )


def _cut(info: MediaInfo, wanted: Range) -> MediaInfo:
    video = info.video
    cut = wanted.in_source(info.programme_start, video.time_base)
    with VideoReader(replace(info, cut=cut)) as reader:
        found = reader.first()
        end = reader.end
    if found is None:
        raise InputError(_nothing_there(info, wanted, end))
    first, video = found  # if the format changes, the part has the format of its own first frame
    time = first.time
    interval = 1 / video.shown_rate if video.shown_rate else Fraction(0)
    # In a gap of the picture the sound continues: then the part begins at the given time.
    begins_with_frame = time - cut.start <= max(interval, 2 * video.time_base) * 2
    cut = Cut(start=time if begins_with_frame else cut.start, end=cut.end)
    return replace(info, cut=cut, video=replace(video, frames=_frames(info, cut, time)))


_ROUNDING = Fraction(1, 20)
"""Tolerance in frames: headers state lengths in milliseconds, or as floats."""


def _frames(info: MediaInfo, cut: Cut, first: Fraction) -> int | None:
    """The estimated number of frames in `cut`, whose first frame is shown at `first`."""
    video = info.video
    begin = (video.start_pts or 0) * video.time_base
    end = cut.end
    length = video.duration if video.duration is not None else info.duration
    if length is not None:
        source_end = begin + Fraction(length)
        end = source_end if end is None else min(end, source_end)
    if end is None or not video.shown_rate:
        return None
    return max(1, math.ceil((end - first) * video.shown_rate - _ROUNDING))


def _nothing_there(info: MediaInfo, wanted: Range, end: Fraction | None) -> str:
    begin = (info.video.start_pts or 0) * info.video.time_base - info.programme_start
    if end is None and wanted.end is not None and begin >= wanted.end:
        return f"{info.path} has no frame from {wanted}: its picture begins at {float(begin):.3f} s"
    if end is None:
        return f"{info.path} has no frame from {wanted}"
    length = float(end - info.programme_start)
    if length <= float(wanted.start) + 1e-3:
        return f"the range from {wanted} is after the end of {info.path}, whose video ends at {length:.3f} s"
    return f"{info.path} has no frame from {wanted}: the range falls between two frames"
