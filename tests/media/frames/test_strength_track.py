"""Strengths along a stream: the window, scene cuts, and that the same frame always gets the same one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip, make_frame, scene

from paragon_stream.frame import Timing
from paragon_stream.framejob import allocate_planes
from paragon_stream.media.facts.cut import Cut
from paragon_stream.media.facts.fields import Deinterlace, FieldJob
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.frames.strength import REACH, StrengthTrack
from paragon_stream.media.measure.roundtrip import QUIET_X265
from paragon_stream.media.prepare import SourceOptions, prepare
from paragon_stream.media.quantisers.meter import Origin, Reading

ENCODINGS = {
    "h264": ("mkv", "libx264", "yuv420p", {"crf": "23", "bf": "3", "g": "12"}),
    "h264 10 bits": ("mkv", "libx264", "yuv420p10le", {"crf": "23", "g": "12"}),
    "h264 slices": ("ts", "libx264", "yuv420p", {"crf": "30", "g": "12", "x264-params": "slices=4"}),
    "hevc": ("mp4", "libx265", "yuv420p", {"crf": "25", "x265-params": f"{QUIET_X265}:keyint=12"}),
    "mpeg2": ("ts", "mpeg2video", "yuv420p", {"b": "200000", "bf": "2", "g": "12"}),
    "mpeg4": ("mkv", "mpeg4", "yuv420p", {"b": "200000", "bf": "1", "g": "12"}),
    "vp9": ("webm", "libvpx-vp9", "yuv420p", {"crf": "35", "b": "0", "lag-in-frames": "12", "g": "12"}),
    "av1": ("mkv", "libsvtav1", "yuv420p", {"crf": "35", "preset": "10", "g": "12", "svtav1-params": "lp=1"}),
    "vp8": ("webm", "libvpx", "yuv420p", {"b": "200000", "g": "12"}),
}


def encoded(folder: Path, name: str) -> Path:
    suffix, codec, pix_fmt, options = ENCODINGS[name]
    path = folder / f"clip.{suffix}"
    return make_clip(path, codec=codec, pix_fmt=pix_fmt, options=options, frames=40)


def strengths(info: MediaInfo, *, threads: int = 4, most: int = 1000) -> dict[Fraction, float]:
    """Time → strength, as a render fills its slots."""
    planes = allocate_planes(info.video.format)
    found: dict[Fraction, float] = {}
    with VideoReader(info, threads=threads, strengths=True) as reader:
        while len(found) < most and (timing := reader.read_into(planes)) is not None:
            found[timing.pts * timing.time_base] = reader.strength(timing)
    return found


@pytest.mark.parametrize("name", ENCODINGS)
def test_ten_decodes_give_the_same_strengths(tmp_path: Path, name: str) -> None:
    info = probe(encoded(tmp_path, name))
    first = strengths(info, threads=1)
    assert len(first) == 40
    assert all(0 < value < 1 for value in first.values())
    for threads in (1, 2, 3, 4, 5, 8, 2, 4, 8):
        assert strengths(info, threads=threads) == first


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("start", ["0.2", "0.56", "1"])
def test_a_part_has_the_strengths_of_the_whole(tmp_path: Path, name: str, start: str) -> None:
    clip = encoded(tmp_path, name)
    whole = strengths(probe(clip))
    for chosen in ({"start": start}, {"start": start, "duration": "0.3"}):
        part = strengths(prepare(clip, SourceOptions(**chosen)))
        assert len(part) >= 6
        assert part == {time: whole[time] for time in part}


def test_a_seek_in_a_long_group_of_pictures(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=90, options={"crf": "28", "g": "30", "bf": "2"})
    info = probe(clip)
    whole = strengths(info)
    cut = replace(info, cut=Cut(start=Fraction(61, 25), end=Fraction(70, 25)))
    part = strengths(cut)
    assert len(part) == 9
    assert part == {time: whole[time] for time in part}


def test_without_strengths_nothing_is_measured_and_frames_are_the_same(tmp_path: Path) -> None:
    info = probe(encoded(tmp_path, "h264"))
    pictures = []
    for wanted in (False, True):
        planes = allocate_planes(info.video.format)
        with VideoReader(info, strengths=wanted) as reader:
            kept = []
            while (timing := reader.read_into(planes)) is not None:
                kept.append((timing, [plane.copy() for plane in planes]))
                assert (reader.strength(timing) > 0) == wanted
            assert reader.strength_source == (Origin.DECODER if wanted else "")
        pictures.append(kept)
    for (left_time, left), (right_time, right) in zip(*pictures, strict=True):
        assert left_time == right_time
        assert all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("method", [Deinterlace.BWDIF, Deinterlace.BWDIF_2X])
def test_fields_have_the_strength_of_their_frame(tmp_path: Path, method: Deinterlace) -> None:
    info = probe(encoded(tmp_path, "h264"))
    plain = strengths(info)
    job = FieldJob(method=method, only_flagged=False)
    treated = strengths(replace(info, video=replace(info.video, fields=job)))
    assert len(treated) == len(plain) * (2 if method is Deinterlace.BWDIF_2X else 1)
    for time, value in treated.items():
        assert value == plain[max(t for t in plain if t <= time)]


# The window itself: frames made by hand, with readings by number.

TICK = Fraction(1, 24)


def flat(number: int, level: int, width: int = 32, held: bool = False) -> av.VideoFrame:
    """Not to the sample what the frame before was, unless it is `held`."""
    planes = tuple(np.full_like(plane, level) for plane in scene(0, width, 16))
    planes[0][0, 0] += 0 if held else number % 2
    frame = make_frame(planes, "yuv420p")
    frame.opaque = number
    return frame


def tracked(
    quantisers: Sequence[float | None],
    *,
    levels: Sequence[int] | None = None,
    times: Sequence[int] | None = None,
    widths: Sequence[int] | None = None,
    causal: bool = False,
    held: bool = False,
    origin: Origin = Origin.DECODER,
) -> list[float]:
    """Quantisers that frames end up with, times 40."""

    def read(frame: av.VideoFrame) -> Reading | None:
        value = quantisers[frame.opaque]
        return None if value is None else Reading(value, origin, 1.0)

    def frames() -> Iterator[tuple[av.VideoFrame, Timing]]:
        for number in range(len(quantisers)):
            pts = times[number] if times else number
            yield (
                flat(number, levels[number] if levels else 90, widths[number] if widths else 32, held),
                Timing(pts=pts, duration=1, time_base=TICK),
            )

    track = StrengthTrack(read, causal=causal)
    found = []
    for number, (frame, timing) in enumerate(track.watch(frames())):
        assert frame.opaque == number
        found.append(track.at(timing.pts * timing.time_base) * 40)
    assert len(found) == len(quantisers)
    return found


def test_a_frame_gets_the_mean_of_its_neighbours() -> None:
    quantisers = [float(10 + n % 7) for n in range(40)]
    for number, value in enumerate(tracked(quantisers)):
        around = quantisers[max(0, number - REACH) : number + REACH + 1]
        assert value == pytest.approx(np.mean(around))


def test_held_frames_keep_the_strength_of_the_first_for_a_third_of_a_second() -> None:
    quantisers = [float(10 + n % 7) for n in range(40)]
    free, held = tracked(quantisers), tracked(quantisers, held=True)
    assert held == [free[number - number % 8] for number in range(40)]


def test_live_sources_look_back_only() -> None:
    quantisers = [float(10 + n % 7) for n in range(40)]
    for number, value in enumerate(tracked(quantisers, causal=True)):
        assert value == pytest.approx(np.mean(quantisers[max(0, number - 2 * REACH) : number + 1]))


def test_scene_cuts_break_the_window() -> None:
    quantisers = [12.0] * 15 + [30.0] * 15
    assert tracked(quantisers, levels=[40] * 15 + [120] * 15) == pytest.approx(quantisers)
    blurred = tracked(quantisers)
    assert 12 < blurred[14] < blurred[15] < 30


def test_another_size_breaks_the_window() -> None:
    quantisers = [12.0] * 5 + [30.0] * 5
    assert tracked(quantisers, widths=[32] * 5 + [64] * 5) == pytest.approx(quantisers)


def test_time_breaks_the_window() -> None:
    quantisers = [12.0] * 5 + [30.0] * 5
    assert tracked(quantisers, times=[*range(5), *range(100, 105)]) == pytest.approx(quantisers)
    assert tracked([10.0, 20.0], times=[0, 8]) == pytest.approx([15.0, 15.0])
    assert tracked([10.0, 20.0], times=[0, 9]) == pytest.approx([10.0, 20.0])


def test_what_is_not_known_is_left_out() -> None:
    assert tracked([10.0, None, 20.0]) == pytest.approx([15.0] * 3)
    assert tracked([None, None]) == [0.0, 0.0]
    assert tracked([]) == []


def test_beyond_the_scale_strengths_are_clipped() -> None:
    assert tracked([51.0]) == [40.0]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_ten_decodes_of_real_clips(shared: Path) -> None:
    different = []
    for path in sorted((shared / "media").iterdir()):
        try:
            info = probe(path)
        except Exception:  # broken files are other tests' matter
            continue
        runs = [strengths(info, threads=threads, most=12) for threads in (1, 2, 3, 4, 5, 6, 7, 8, 2, 4)]
        if any(run != runs[0] for run in runs):
            different.append(path.name)
    assert different == []
