"""A range of a source gives exactly the frames that the whole gives at those times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip
from shared_media import FILES, REFUSED

from paragon_stream.errors import InputError, UsageError
from paragon_stream.media.facts.cut import Range, parse_range, parse_time
from paragon_stream.media.facts.fields import Deinterlace
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.prepare import SourceOptions, prepare

type Shown = list[tuple[Fraction, bytes]]
"""Time in seconds and a hash of the planes, of every frame."""


def shown(info: MediaInfo) -> Shown:
    return list(_shown(info))


def _shown(info: MediaInfo) -> Iterator[tuple[Fraction, bytes]]:
    dtype = np.uint8 if info.video.format.pixel_format.depth <= 8 else np.uint16
    planes = [np.empty(shape, dtype) for shape in info.video.format.plane_shapes]
    with VideoReader(info) as reader:
        while (timing := reader.read_into(planes)) is not None:
            yield timing.pts * timing.time_base, sha256(b"".join(p.tobytes() for p in planes)).digest()


def ranges_agree(path: Path, first: int, last: int, whole: Shown | None = None) -> MediaInfo:
    """Read frames `first` … `last` by a range, and compare them with those of the whole."""
    info = probe(path)
    whole = shown(info) if whole is None else whole
    origin = info.programme_start
    end = whole[last + 1][0] - origin if last + 1 < len(whole) else None
    part = prepare(path, SourceOptions(start=whole[first][0] - origin, end=end, deinterlace=Deinterlace.OFF))
    assert shown(part) == whole[first : last + 1]
    assert part.cut is not None and part.cut.start == whole[first][0]
    return part


def huge(count: int) -> list[int]:
    """Stamps in 1/90000 s that pass the 33-bit limit of MPEG after 12 frames."""
    return [(1 << 33) + (i - 12) * 3600 for i in range(count)]


CLIPS = {
    "plain.mkv": {},
    "plain.mp4": {},
    "closed.mov": {"options": {"bf": "0", "g": "7"}},
    "open_gop.mkv": {"options": {"g": "8", "bf": "3", "x264-params": "open-gop=1"}},
    "intra_refresh.mp4": {"options": {"g": "9", "bf": "0", "x264-params": "intra-refresh=1"}},
    "hevc_cra.mkv": {"codec": "libx265", "options": {"x265-params": "keyint=8:open-gop=1:bframes=3"}},
    "audio.ts": {"audio": "mp2", "options": {"g": "6", "bf": "2"}},
    "wrapped.ts": {"pts": huge(30), "time_base": Fraction(1, 90000), "options": {"g": "6", "bf": "2"}},
    "far.mp4": {"pts": list(range(100_000, 100_030)), "options": {"g": "6"}},
    "below_zero.mkv": {"audio": "libopus", "pts": [i - 5 for i in range(30)], "options": {"g": "6"}},
    "gap.mkv": {"pts": [*range(10), *range(400, 420)], "options": {"g": "6"}},
    "slow.mp4": {"rate": 1, "options": {"g": "5"}},
    "fast.mp4": {"rate": 120, "options": {"g": "25"}},
    "film.mkv": {"rate": Fraction(24000, 1001), "options": {"g": "10"}},
    "old.avi": {"codec": "mpeg4", "options": {"g": "6", "bf": "2"}},
    "dvd.mpg": {"codec": "mpeg2video", "audio": "mp2", "options": {"g": "6", "bf": "2"}},
    "raw.h264": {"options": {"g": "6"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "6", "cpu-used": "8", "lag-in-frames": "5"}},
    "flash.flv": {"options": {"g": "6"}},
}


UNFIT = ("broken_", "truncated", "invalid", "resolution_change")
"""Damage decodes differently from another key frame; and stamps one tick apart, with no time between them."""


def path_says_how_long(clip: Path) -> bool:
    return clip.suffix in (".mkv", ".mp4", ".mov", ".ts", ".webm")


@pytest.mark.parametrize("name", CLIPS)
def test_every_kind_of_source(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / name, **{"frames": 30, **CLIPS[name]})
    whole = shown(probe(clip))
    assert len(whole) == 30
    for first, last in ((0, 0), (0, 29), (5, 11), (12, 12), (13, 29), (29, 29)):
        part = ranges_agree(clip, first, last, whole)
        if path_says_how_long(clip) and name != "gap.mkv":
            assert part.video.frames == last + 1 - first


def test_recordings_glued_together(tmp_path: Path) -> None:
    """Stamps start over in the middle: positions are those of the repaired time."""
    options = {"g": "6", "bf": "2"}
    first = make_clip(tmp_path / "a.ts", frames=60, options=options)
    second = make_clip(tmp_path / "b.ts", frames=30, options=options)
    glued = tmp_path / "glued.ts"
    glued.write_bytes(first.read_bytes() + second.read_bytes())
    whole = shown(probe(glued))
    assert len(whole) == 90
    for part in ((10, 20), (55, 65), (70, 75), (85, 89)):
        ranges_agree(glued, *part, whole)


@pytest.mark.parametrize("name", [n for n in FILES if n not in REFUSED and not any(w in n for w in UNFIT)])
def test_real_files(shared: Path, name: str) -> None:
    path = shared / "media" / name
    info = probe(path)
    whole = shown(info)
    count = len(whole)
    for first, last in {(count // 3, count // 2), (count * 3 // 4, count - 1), (count - 1, count - 1)}:
        ranges_agree(path, first, last, whole)


@pytest.mark.parametrize("ending", [".mkv", ".mp4", ".ts", ".h264"])
def test_decoding_begins_near_the_range(tmp_path: Path, ending: str) -> None:
    """Only raw streams, which say no times, are decoded from their start."""
    clip = make_clip(tmp_path / f"in{ending}", frames=100, width=64, height=48, options={"g": "5", "bf": "0"})
    start = probe(clip).programme_start
    part = prepare(clip, SourceOptions(start=Fraction(90, 25)))
    decoded = []
    with VideoReader(part) as reader:
        original = reader._timestamps
        reader._timestamps = lambda pts, *more: decoded.append(pts) or original(pts, *more)  # type: ignore
        while reader.changes.take() is not None:
            pass
    assert start >= 0
    assert len(decoded) == (100 if ending == ".h264" else 15)


def test_times_between_frames(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=20)
    part = prepare(clip, SourceOptions(start="0.13", end="0.33"))
    assert [time for time, _ in shown(part)] == [Fraction(i, 25) for i in range(4, 9)]
    rounded = make_clip(tmp_path / "film.mp4", frames=20, rate=Fraction(30000, 1001))
    part = prepare(rounded, SourceOptions(start="0.033", duration="0.034"))  # frame 1: 0.03336…
    assert [time for time, _ in shown(part)] == [Fraction(1001, 30000)]


def test_sound_goes_on_in_a_gap_of_the_picture(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", pts=[0, 1, 2, 250, 251])
    part = prepare(clip, SourceOptions(start=5))
    assert part.cut is not None and abs(part.cut.start - 5) <= Fraction(1, 1000)
    assert [time for time, _ in shown(part)] == [10, Fraction(251, 25)]


def test_a_range_without_frames(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=25)
    with pytest.raises(InputError, match=r"after the end of .*, whose video ends at 1\.000 s"):
        prepare(clip, SourceOptions(start=1))
    with pytest.raises(InputError, match="is after the end"):
        prepare(clip, SourceOptions(start="1:00:00", duration=5))
    with pytest.raises(InputError, match="falls between two frames"):
        prepare(clip, SourceOptions(start=0.5, duration=0.01))
    only = make_clip(tmp_path / "one.mp4", frames=1)
    assert len(shown(prepare(only, SourceOptions(start=0, duration=1)))) == 1
    with pytest.raises(InputError, match="is after the end"):
        prepare(only, SourceOptions(start=1))


def test_times_as_users_write_them() -> None:
    assert parse_time("1:02:03.25") == 3723 + Fraction(1, 4)
    assert parse_time("02:03") == 123
    assert parse_time("90.5") == Fraction(181, 2)
    assert parse_time(".5") == Fraction(1, 2)
    assert parse_time(0.1) == Fraction(1, 10)
    assert parse_time(Fraction(1001, 30000)) == Fraction(1001, 30000)
    assert parse_time(1e-05) > 0
    for wrong in ("", "1:2:3:4", "-1", "1:60", "1:60:00", "abc", "1,5", "nan", float("nan"), Fraction(-1)):
        with pytest.raises(UsageError, match="--start"):
            parse_time(wrong, "--start")
    for large in (
        "9" * 400,
        "9" * 5000,
        "9" * 400 + "/3",
        1e300,
        Fraction(10**5000),
        10**5000,
        "300000:00:00",
    ):
        with pytest.raises(UsageError, match="--start is too large: give less than 1,000,000,000 seconds"):
            parse_time(large, "--start")
    with pytest.raises(UsageError, match="--start is not a time: give seconds"):
        parse_time("x" * 5000, "--start")


def test_ranges_that_make_no_sense() -> None:
    assert parse_range(None, None, None) is None
    assert parse_range(None, "0:10", None) == Range(start=Fraction(0), end=Fraction(10))
    for start, duration, end in ((5, 0, None), (5, None, 5), ("10", None, "0:09")):
        with pytest.raises(UsageError, match="is empty"):
            parse_range(start, duration, end)
    with pytest.raises(UsageError, match="one of them"):
        parse_range(None, 1, 2)


def test_the_cut_is_part_of_the_facts(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=10)
    info = probe(clip)
    assert info.cut is None
    part = prepare(clip, SourceOptions(start="0.2", deinterlace=Deinterlace.OFF))
    assert replace(part, cut=None, video=replace(part.video, frames=info.video.frames)) == info


def test_a_picture_that_begins_late(tmp_path: Path) -> None:
    """The count is of the frames that are there; where none is, the sentence says when they begin."""
    path = make_clip(
        tmp_path / "in.mp4", pts=[38 + n for n in range(25)], time_base=Fraction(1, 25), audio="aac"
    )
    info = prepare(path, SourceOptions(duration=2))
    assert info.video.frames == 12
    with pytest.raises(InputError, match=r"its picture begins at 1\.5"):
        prepare(path, SourceOptions(duration=1))


def test_frames_are_counted_by_their_distance(shared: Path) -> None:
    """FFmpeg takes the rate of fields for that of frames."""
    part = prepare(shared / "media" / "mkv_ass_subs.mkv", SourceOptions(duration=0.3))
    assert part.video.average_rate == 30
    assert part.video.frames == len(shown(part)) == 7
