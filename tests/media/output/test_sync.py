"""Picture and sound in step: flashes and beeps through containers with few, odd or no timestamps."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import make_frame
from rendering import render

from paragon_stream.media.frames.reader import VideoReader

RATE = 48_000
SECONDS = 3
MS = 0.001
_SKIPPED = bytes.fromhex("000001b65b51dd")
"""DivX's replacement of a B-frame that is in the previous packet: a VOP that is not coded."""


def flashes_and_beeps(
    path: Path, codec: str, sound: str | None, options: dict[str, str], *, packed: bool = False
) -> Path:
    """A white flash and a beep begin at every full second, for 0.2 s."""
    format = {".vob": "vob", ".m4v": "m4v"}.get(path.suffix)
    with av.open(str(path), "w", format=format) as out:
        video = out.add_stream(codec, rate=25, options=options)
        pix_fmt = "yuv422p" if codec == "huffyuv" else "yuv420p"
        video.width, video.height, video.pix_fmt = 64, 48, pix_fmt
        video.codec_context.thread_count = 1
        beep = out.add_stream(sound, rate=RATE, layout="stereo", bit_rate=128_000) if sound else None
        packets: list[Any] = []
        for number in range(25 * SECONDS):
            white = number >= 25 and number % 25 < 5
            planes = [np.full(s, v, np.uint8) for s, v in (((48, 64), 235 if white else 16),)]
            planes += [np.full((24 if pix_fmt == "yuv420p" else 48, 32), 128, np.uint8)] * 2
            frame = make_frame(tuple(planes), pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            packets += video.encode(frame)
        packets += video.encode(None)
        if packed:
            packets = _packed(packets, video)
        if beep is not None:
            time = np.arange(RATE * SECONDS) / RATE
            wave = np.where((time >= 1) & (time % 1 < 0.2), 0.5 * np.sin(2 * np.pi * 1000 * time), 0)
            for start in range(0, len(wave), 4800):
                piece = np.stack([wave[start : start + 4800]] * 2).astype(np.float32)
                audio = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(piece), format="fltp", layout="stereo"
                )
                audio.sample_rate, audio.time_base, audio.pts = RATE, Fraction(1, RATE), start
                packets += beep.encode(audio)
            packets += beep.encode(None)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            out.mux(packet)
    return path


def _packed(packets: list[Any], stream: Any) -> list[Any]:
    """DivX's packed bitstream: each B-frame in the packet of the picture that is decoded before it."""
    made = []
    first = bytes(packets[0])
    header, vop = first.split(b"\x00\x00\x01\xb6", 1)
    contents = [header + b"\x00\x00\x01\xb2DivX503b1393p\x00\x00\x01\xb6" + vop, *map(bytes, packets[1:])]
    number = 0
    while number < len(contents):
        is_b = number + 1 < len(contents) and contents[number + 1][4] >> 6 == 2
        made += [contents[number] + contents[number + 1], _SKIPPED] if is_b else [contents[number]]
        number += 2 if is_b else 1
    out = []
    for dts, data in enumerate(made):
        packet: Any = av.Packet(data)
        packet.dts = packet.pts = dts
        packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, dts == 0
        out.append(packet)
    return out


def flashes(path: Path) -> list[float]:
    """When the picture turns white, in seconds."""
    found, before = [], False
    with av.open(str(path)) as file:
        for frame in file.decode(file.streams.video[0]):
            white = bool(frame.to_ndarray()[: frame.height].mean() > 120)
            if white and not before:
                found.append(float(frame.pts * frame.time_base))
            before = white
    return found


def beeps(path: Path) -> list[float]:
    """When the sound becomes loud, in seconds."""
    found, last = [], -1.0
    with av.open(str(path)) as file:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in file.decode(file.streams.audio[0]):
            for made in resampler.resample(frame):
                loud = np.flatnonzero(np.abs(made.to_ndarray()[0]) > 0.25)
                if made.pts is None:  # frames of WMA without a time of their own
                    continue
                start = float(made.pts * made.time_base)
                if len(loud) and start + loud[0] / RATE - last > 0.5:
                    found.append(start + loud[0] / RATE)
                if len(loud):
                    last = start + loud[-1] / RATE
    return found


X264 = {"preset": "ultrafast", "bf": "3", "b-pyramid": "normal"}


@pytest.mark.parametrize(
    ("name", "codec", "sound", "options"),
    [
        ("in.flv", "libx264", "aac", X264),
        ("in.wmv", "wmv2", "wmav2", {}),
        ("in.mpg", "mpeg1video", "mp2", {"bf": "2"}),
        ("in.vob", "mpeg2video", "ac3", {"bf": "2"}),
        ("in.ts", "libx264", "aac", X264),
        ("in.mkv", "libx264", "aac", X264),
        ("in.mp4", "mpeg4", "aac", {"bf": "2"}),
    ],
)
def test_in_step(tmp_path: Path, name: str, codec: str, sound: str, options: dict[str, str]) -> None:
    source = flashes_and_beeps(tmp_path / name, codec, sound, options)
    out = tmp_path / "out.mkv"
    done = render(source, out)
    assert len(done.timings) == 25 * SECONDS
    shown, heard = flashes(out), beeps(out)
    assert len(shown) == len(heard) == 2
    for flash, beep in zip(shown, heard, strict=True):
        assert abs(flash - beep) < 3 * MS  # WMA and AC-3 round the edge


@pytest.mark.parametrize(
    ("codec", "options", "packed", "frames_late"),
    [
        (
            "libx264",
            X264,
            False,
            2,
        ),  # a pyramid of B-frames: the first picture comes out behind the third packet
        ("mpeg4", {"bf": "2"}, False, 1),
        ("mpeg4", {"bf": "1"}, True, 1),
        ("huffyuv", {}, False, 0),
    ],
    ids=["H.264", "ASP", "packed", "intra"],
)
def test_avi(tmp_path: Path, codec: str, options: dict[str, str], packed: bool, frames_late: int) -> None:
    """AVI counts packets. A picture is shown when the packet that brings it out is decoded."""
    source = flashes_and_beeps(tmp_path / "in.avi", codec, "pcm_s16le", options, packed=packed)
    with VideoReader(render(source, tmp_path / "out.mkv").info) as reader:
        assert reader.warnings == []
    shown, heard = flashes(tmp_path / "out.mkv"), beeps(tmp_path / "out.mkv")
    assert [round(flash * 25) for flash in shown] == [25 + frames_late, 50 + frames_late]
    assert heard == pytest.approx([1, 2], abs=3 * MS)
    with av.open(str(tmp_path / "out.mkv")) as file:
        times = [frame.pts for frame in file.decode(video=0)]
    assert len(times) == 25 * SECONDS and {b - a for a, b in pairwise(times)} == {40}


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("in.h264", "libx264", X264), ("in.m2v", "mpeg2video", {"bf": "2"}), ("in.m4v", "mpeg4", {"bf": "2"})],
)
def test_raw_streams(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    source = flashes_and_beeps(tmp_path / name, codec, None, options)
    out = tmp_path / "out.mkv"
    assert len(render(source, out).timings) == 25 * SECONDS
    first, second = flashes(out)
    with av.open(str(out)) as file:
        begin = next(file.decode(video=0)).time
    assert (first - begin, second - begin) == pytest.approx((1, 2), abs=MS)


@pytest.mark.parametrize(("name", "first"), [("h264.avi", 0.60), ("syncpacked.avi", 0.56)])
def test_shared(name: str, first: float, shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    render(shared / "media" / "faults" / name, out)
    assert flashes(out) == pytest.approx([first, first + 1, first + 2, first + 3], abs=MS)
    with av.open(str(out)) as file:
        times = [frame.pts for frame in file.decode(video=0)]
    assert {b - a for a, b in pairwise(times)} == {40}
