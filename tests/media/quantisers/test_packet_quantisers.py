"""Quantisers of H.264 and VP9 read from packets, as beside a GPU, against what the encoder was told."""

from __future__ import annotations

import random
from pathlib import Path

import av
import pytest
from clips import make_clip

from paragon_stream.media.quantisers.h264 import H264Headers
from paragon_stream.media.quantisers.vp9 import Vp9Headers

EVEN = "ipratio=1:pbratio=1:aq-mode=0:mbtree=0"
H264 = {
    "plain": ("mkv", "yuv420p", {"bf": "3"}, ""),
    "start codes": ("ts", "yuv420p", {"bf": "2"}, "repeat-headers=1"),
    "mp4": ("mp4", "yuv420p", {"bf": "4"}, "b-pyramid=normal"),
    "10 bits": ("mkv", "yuv420p10le", {}, ""),
    "4:4:4": ("mkv", "yuv444p", {"bf": "2", "refs": "5"}, "weightb=1:weightp=2"),
    "weights": ("mkv", "yuv420p", {"bf": "3"}, "weightp=2:weightb=1"),
    "without CABAC": ("mkv", "yuv420p", {"profile": "baseline"}, ""),
    "slices": ("mkv", "yuv420p", {}, "slices=3"),
    "fields": ("mkv", "yuv420p", {"flags": "+ildct+ilme"}, "tff=1"),
    "scaling lists": ("mkv", "yuv420p", {}, "cqm=jvt"),
    "many references": ("mkv", "yuv420p", {"bf": "8", "refs": "8"}, "keyint=6:open-gop=1"),
}


def packets(path: Path) -> tuple[bytes | None, list[bytes]]:
    with av.open(str(path)) as container:
        extradata = container.streams.video[0].codec_context.extradata
        return extradata, [bytes(packet) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("name", H264)
def test_h264_reads_what_x264_was_told(tmp_path: Path, name: str) -> None:
    suffix, pix_fmt, options, parameters = H264[name]
    offset = 12 if pix_fmt.endswith("10le") else 0  # x264 counts deep formats from there
    params = ":".join(filter(None, [EVEN, parameters]))
    options = {"qp": str(27 + offset), "preset": "veryfast", "x264-params": params, **options}
    clip = make_clip(tmp_path / f"clip.{suffix}", pix_fmt=pix_fmt, options=options, frames=16)
    extradata, coded = packets(clip)
    headers = H264Headers(extradata)
    assert [headers.quantiser(packet) for packet in coded] == [27.0] * 16


def test_h264_without_loss_is_clean(tmp_path: Path) -> None:
    extradata, coded = packets(make_clip(tmp_path / "clip.mkv", options={"qp": "0"}, frames=4))
    headers = H264Headers(extradata)
    assert {headers.quantiser(packet) for packet in coded} == {0.0}


@pytest.mark.parametrize(("quantiser", "index"), [("10", 40.0), ("50", 200.0)])
@pytest.mark.parametrize("error_resilient", ["0", "1"])
def test_vp9_reads_what_libvpx_was_told(
    tmp_path: Path, quantiser: str, index: float, error_resilient: str
) -> None:
    """A stream with frames that are not shown, in packets with others, and shown later."""
    options = {"qmin": quantiser, "qmax": quantiser, "b": "500000", "lag-in-frames": "8", "auto-alt-ref": "1"}
    options["error-resilient"] = error_resilient
    clip = make_clip(tmp_path / "clip.webm", codec="libvpx-vp9", options=options)
    headers = Vp9Headers()
    assert [headers.quantiser(packet) for packet in packets(clip)[1]] == [index] * 12


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
def test_damaged_headers_give_nothing_or_a_number(tmp_path: Path, codec: str) -> None:
    suffix = "mkv" if codec == "libx264" else "webm"
    extradata, coded = packets(make_clip(tmp_path / f"clip.{suffix}", codec=codec, frames=6))
    rng = random.Random(1)
    for _ in range(200):
        headers = (H264Headers if codec == "libx264" else Vp9Headers)(extradata)
        for packet in coded:
            broken = bytearray(packet[: rng.randrange(len(packet))])
            for _ in range(rng.randrange(4) if broken else 0):
                broken[rng.randrange(min(len(broken), 64))] = rng.randrange(256)
            value = headers.quantiser(bytes(broken))
            assert value is None or 0 <= value <= 255
