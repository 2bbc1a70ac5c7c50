"""Quantisers from decoders and packet headers, against those that the encoder was given."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from clips import make_clip
from places import REPOSITORY

from paragon_stream.media.decode.decoder import Decoder
from paragon_stream.media.measure.roundtrip import QUIET_X265
from paragon_stream.media.quantisers.av1 import Av1Headers
from paragon_stream.media.quantisers.bits import BitReader, HeaderError
from paragon_stream.media.quantisers.hevc import HevcHeaders
from paragon_stream.media.quantisers.meter import Origin, Reading
from paragon_stream.media.quantisers.scale import TABLES, Scale, on_h264_scale, strength_of

EVEN = "ipratio=1:pbratio=1"


def readings(path: Path, threads: int = 2) -> list[Reading | None]:
    decoder = Decoder(path, 0, threads=threads, quantisers=True)
    found = [decoder.reading(frame) for frame in decoder]
    decoder.close()
    return found


def raw(path: Path) -> list[float | None]:
    return [None if reading is None else reading.raw for reading in readings(path)]


def x265(**params: object) -> dict[str, str]:
    settings = ":".join(f"{name.replace('_', '-')}={value}" for name, value in params.items())
    return {"x265-params": f"{QUIET_X265}:{EVEN}:aq-mode=0:cutree=0:{settings}", "preset": "fast"}


@pytest.mark.parametrize(("pix_fmt", "offset"), [("yuv420p", 0), ("yuv420p10le", 12), ("yuv444p", 0)])
@pytest.mark.parametrize("slices", ["1", "3"])
def test_h264_reads_what_x264_was_told(tmp_path: Path, pix_fmt: str, offset: int, slices: str) -> None:
    """x264 counts as deep formats do: 36 at 10 bits is the step of 24 at 8."""
    options = {"qp": str(24 + offset), "x264-params": f"{EVEN}:aq-mode=0:slices={slices}", "bf": "2"}
    clip = make_clip(tmp_path / "clip.mkv", options=options, pix_fmt=pix_fmt)
    assert raw(clip) == [24.0] * 12
    assert {r.origin for r in readings(clip) if r} == {Origin.DECODER}


def test_h264_without_loss_is_clean(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", options={"qp": "0"})
    assert {r.quantiser for r in readings(clip) if r} == {0.0}


HEVC = {
    "plain": ("mkv", "yuv420p", x265(qp=30)),
    "start codes": ("ts", "yuv420p", x265(qp=30, repeat_headers=1)),
    "mp4": ("mp4", "yuv420p", x265(qp=17, bframes=4, b_pyramid=1)),
    "10 bits": ("mkv", "yuv420p10le", x265(qp=30)),
    "4:4:4": ("mkv", "yuv444p", x265(qp=30, ref=5, weightb=1)),
    "weights": ("mkv", "yuv420p", x265(qp=22, weightp=1, weightb=1, bframes=3)),
    "scaling lists": ("mkv", "yuv420p", x265(qp=30, scaling_list="default")),
    "no offsets": ("mkv", "yuv420p", x265(qp=41, sao=0, deblock=0, temporal_mvp=0, amp=1)),
    "many references": ("mkv", "yuv420p", x265(qp=30, ref=6, bframes=8, keyint=6, open_gop=1)),
    "intra": ("mkv", "yuv420p", x265(qp=30, keyint=1)),
    "fields": ("mkv", "yuv420p", x265(qp=30, interlace="tff")),
}


@pytest.mark.parametrize("name", HEVC)
def test_hevc_reads_what_x265_was_told(tmp_path: Path, name: str) -> None:
    suffix, pix_fmt, options = HEVC[name]
    wanted = float(options["x265-params"].partition(":qp=")[2].partition(":")[0])
    clip = make_clip(
        tmp_path / f"clip.{suffix}", codec="libx265", pix_fmt=pix_fmt, options=options, frames=16
    )
    found = readings(clip)
    assert {r.origin for r in found if r} == {Origin.HEADERS}
    assert [r.raw for r in found if r] == [wanted] * 16


def test_hevc_without_loss_is_clean(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", codec="libx265", options=x265(lossless=1), frames=4)
    assert {r.quantiser for r in readings(clip) if r} == {0.0}


@pytest.mark.parametrize(("quantiser", "index"), [("10", 40.0), ("32", 128.0), ("50", 200.0)])
def test_vp9_reads_what_libvpx_was_told(tmp_path: Path, quantiser: str, index: float) -> None:
    """libvpx' quantisers 0…63 stand for every fourth index."""
    options = {"qmin": quantiser, "qmax": quantiser, "b": "500000", "lag-in-frames": "8", "auto-alt-ref": "1"}
    clip = make_clip(tmp_path / "clip.webm", codec="libvpx-vp9", options=options)
    assert raw(clip) == [index] * 12


@pytest.mark.parametrize(("crf", "index"), [("12", 48.0), ("30", 120.0)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_av1_reads_what_svt_was_told(tmp_path: Path, crf: str, index: float, pix_fmt: str) -> None:
    """Without offsets between layers every frame has the same index; frames shown again have theirs."""
    offsets = "lp=1:aq-mode=0:use-fixed-qindex-offsets=1:rc=0"
    options = {"qp": crf, "preset": "10", "svtav1-params": offsets}
    clip = make_clip(tmp_path / "clip.mkv", codec="libsvtav1", options=options, pix_fmt=pix_fmt, frames=20)
    found = readings(clip)
    assert {r.origin for r in found if r} == {Origin.HEADERS}
    assert [r.raw for r in found if r] == [index] * 20


@pytest.mark.parametrize(("codec", "suffix"), [("mpeg2video", "ts"), ("mpeg4", "mkv")])
@pytest.mark.parametrize("quantiser", [2, 7, 20])
def test_mpeg_reads_twice_the_quantiser(tmp_path: Path, codec: str, suffix: str, quantiser: int) -> None:
    options = {"qmin": str(quantiser), "qmax": str(quantiser), "b": "1000000", "bf": "0"}
    found = raw(make_clip(tmp_path / f"clip.{suffix}", codec=codec, options=options))
    assert found[:-1] == [2.0 * quantiser] * 11
    assert found[-1] in (None, 2.0 * quantiser)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [("ffv1", "yuv420p", "mkv"), ("prores_ks", "yuv422p10le", "mov"), ("huffyuv", "yuv422p", "avi")],
)
def test_mezzanine_and_lossless_codecs_are_clean(
    tmp_path: Path, codec: str, pix_fmt: str, suffix: str
) -> None:
    clip = make_clip(tmp_path / f"clip.{suffix}", codec=codec, pix_fmt=pix_fmt, frames=3)
    assert {(r.quantiser, r.origin) for r in readings(clip) if r} == {(0.0, Origin.CLEAN)}


def test_other_codecs_are_estimated_and_more_bits_mean_less_loss(tmp_path: Path) -> None:
    means = []
    for bitrate in ("2000000", "100000"):
        options = {"b": bitrate, "qmin": "0", "qmax": "60"}
        clip = make_clip(tmp_path / f"{bitrate}.webm", codec="libvpx", options=options, width=160, height=120)
        found = [r for r in readings(clip) if r]
        assert {r.origin for r in found} == {Origin.ESTIMATED}
        means.append(sum(r.quantiser for r in found) / len(found))
    assert 0 < means[0] < means[1] <= 28


@pytest.mark.parametrize("codec", ["libx265", "libsvtav1"])
def test_damaged_headers_give_nothing_or_a_number(tmp_path: Path, codec: str) -> None:
    options = {"x265-params": QUIET_X265} if codec == "libx265" else {"preset": "10", "svtav1-params": "lp=1"}
    clip = make_clip(tmp_path / "clip.mkv", codec=codec, options=options, frames=6)
    reader = HevcHeaders if codec == "libx265" else Av1Headers
    with av.open(str(clip)) as container:
        extradata = container.streams.video[0].codec_context.extradata
        packets = [bytes(p) for p in container.demux(video=0) if p.size]
    rng = random.Random(1)
    for damaged in _broken(packets, rng):
        headers = reader(extradata if rng.random() < 0.5 else _flip(extradata or b"", rng))
        for packet in damaged:
            value = headers.quantiser(packet)
            assert value is None or -100 < value < 300
    assert reader(None).quantiser(b"") is None
    assert reader(b"\1").quantiser(b"\0\0\1") is None


def _broken(packets: list[bytes], rng: random.Random) -> Iterator[list[bytes]]:
    for _ in range(60):
        yield [_flip(packet[:200], rng) for packet in packets]
        yield [packet[: rng.randrange(40)] for packet in packets]
        yield [rng.randbytes(60) for _ in packets]


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(4):
        if changed:
            changed[rng.randrange(min(len(changed), 48))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def test_numbers_of_headers() -> None:
    """Exponential Golomb codes 1, 010, 011, 00100 are 0 to 3; signed 0, 1, -1, 2."""
    bits = "1" + "010" + "011" + "00100"
    data = int(bits.ljust(16, "0"), 2).to_bytes(2)
    reader = BitReader(data)
    assert [reader.unsigned() for _ in range(4)] == [0, 1, 2, 3]
    reader = BitReader(data)
    assert [reader.signed() for _ in range(4)] == [0, 1, -1, 2]
    with pytest.raises(HeaderError):
        reader.bits(32)
    # ns(5): 0, 1, 2 in two bits, 3 and 4 in three.
    assert [BitReader(bytes([code << 5])).below(5) for code in (0b000, 0b010, 0b100, 0b110, 0b111)] == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_the_scale_rises_and_the_strength_is_clipped() -> None:
    for scale, (codec, h264) in TABLES.items():
        assert list(codec) == sorted(set(codec)), scale
        assert list(h264) in (sorted(h264), sorted(h264, reverse=True)), scale
        assert on_h264_scale(scale, 0) == 0
    assert [strength_of(q) for q in (-3, 0, 20, 40, 51)] == [0, 0, 0.5, 1, 1]


def test_the_tables_are_those_that_were_fitted() -> None:
    results = REPOSITORY / "benchmarks" / "results" / "quantiser_scales.json"
    fitted = json.loads(results.read_text())["tables"]
    for scale, (codec, h264) in TABLES.items():
        if scale is not Scale.H264:
            assert (list(codec), list(h264)) == (fitted[scale.name]["codec"], fitted[scale.name]["h264"])
