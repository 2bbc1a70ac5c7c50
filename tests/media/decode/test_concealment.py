"""Lost parts of damaged frames are concealed by FFmpeg; there are never green holes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import pytest
from clip_damage import packets_cut_short, ts_packets_lost
from clips import make_clip

from paragon_stream.media.decode.decoder import Decoder
from paragon_stream.media.live.connection import Connection, DecodedFrame
from paragon_stream.media.live.source import CaptureOptions, find_source
from paragon_stream.media.measure.roundtrip import QUIET_X265

CLIPS = {
    "h264": ("libx264", "yuv420p", {"g": "10"}),
    "h264 slices": ("libx264", "yuv420p", {"g": "10", "x264-params": "slices=4"}),
    "h264 fields": ("libx264", "yuv420p", {"g": "10", "x264-params": "tff=1:interlaced=1"}),
    "h264 10 bits": ("libx264", "yuv420p10le", {"g": "10"}),
    "hevc": ("libx265", "yuv420p", {"x265-params": f"{QUIET_X265}:keyint=10:wpp=1"}),
    "mpeg2": ("mpeg2video", "yuv420p", {"g": "10", "b": "1000000"}),
}


@pytest.fixture(params=CLIPS)
def lossy(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A transport stream that lost every fortieth packet."""
    codec, pix_fmt, options = CLIPS[request.param]
    whole = make_clip(
        tmp_path / "whole.ts",
        codec=codec,
        pix_fmt=pix_fmt,
        options={**options, "crf": "16"} if codec.startswith("libx") else options,
        frames=40,
        width=320,
        height=192,
    )
    return ts_packets_lost(whole, tmp_path / "lossy.ts", share=0.025, seed=3)


def green(frames: Iterable[av.VideoFrame]) -> float:
    """The share of samples whose chroma is what an empty plane holds; the clips have none."""
    shares = []
    for frame in frames:
        planes = frame.reformat(format="yuv420p").to_ndarray()[frame.height :].reshape(2, -1)
        shares.append((planes < 16).all(axis=0).mean())
    assert len(shares) > 20
    return float(np.mean(shares))


def plain(path: Path) -> list[av.VideoFrame]:
    """All frames, as FFmpeg decodes them in one thread."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        stream.codec_context.thread_type, stream.codec_context.thread_count = "NONE", 1
        return list(source.decode(stream))


def of_a_file(path: Path, *, threads: int, quantisers: bool) -> list[av.VideoFrame]:
    decoder = Decoder(path, 0, threads=threads, quantisers=quantisers)
    frames = list(decoder)
    assert decoder.damage.corrupt_packets
    decoder.close()
    return frames


def of_a_live_source(path: Path) -> list[av.VideoFrame]:
    source = find_source(str(path), CaptureOptions(), "linux")
    connection = Connection(source, quantisers=True, sound=False, patience=None)
    frames = [item.frame for item in connection if isinstance(item, DecodedFrame)]
    connection.close()
    return frames


def test_lost_packets_leave_no_holes(lossy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg's own frame threads conceal from references that may be unfinished, mostly on a busy machine: up
    to twice as much in the best of five."""
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    expected = green(plain(lossy))
    for threads in (1, 4):
        for quantisers in (False, True):
            frame_threads = threads > 1 and not quantisers
            most = expected * (2 if frame_threads else 1) + 0.002
            for _ in range(5 if frame_threads else 1):
                found = green(of_a_file(lossy, threads=threads, quantisers=quantisers))
                if found <= most:
                    break
            assert found <= most, (threads, quantisers)
    assert green(of_a_live_source(lossy)) <= expected + 0.002


def test_a_recording_that_lost_packets(shared: Path) -> None:
    clip = shared / "media" / "broken_ts_2pct_packets_lost.ts"
    for quantisers in (False, True):
        assert green(of_a_file(clip, threads=8, quantisers=quantisers)) < 0.001
    assert green(of_a_live_source(clip)) < 0.001


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        (
            "libvpx-vp9",
            {"b": "800000", "g": "20", "tile-columns": "2", "cpu-used": "8", "deadline": "realtime"},
        ),
        ("mpeg4", {"b": "800000", "g": "20"}),
    ],
)
def test_packets_cut_short_leave_no_holes(
    tmp_path: Path, codec: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    whole = make_clip(tmp_path / "whole.mkv", codec=codec, options=options, frames=60, width=1024, height=256)
    cut = packets_cut_short(whole, tmp_path / "cut.mkv", share=0.2, seed=3)
    for threads in (1, 4):
        decoder = Decoder(cut, 0, threads=threads)
        assert green(decoder) <= green(decodable(cut)) + 0.002, threads
        decoder.close()


def decodable(path: Path) -> list[av.VideoFrame]:
    """All frames that one thread gives, over errors."""
    frames: list[av.VideoFrame] = []
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        stream.codec_context.thread_type, stream.codec_context.thread_count = "NONE", 1
        for packet in source.demux(stream):
            with contextlib.suppress(av.FFmpegError):
                frames += stream.codec_context.decode(packet if packet.size else None)
    return frames
