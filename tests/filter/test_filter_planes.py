"""The filter's planes are the engine's planes, in every format, by every frame's own colour."""

from __future__ import annotations

import ctypes
import itertools
import platform
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs
from filter_material import Engine, assert_same, content, make_clip, planes_of
from network_reference import random_spec, random_weights

import paragon_stream.vapoursynth as paragon
from paragon_stream.checkpoint import save_weights
from paragon_stream.frame import (
    ChromaLocation,
    ColorRange,
    ColorSpec,
    FrameFormat,
    Matrix,
    pixel_format,
)
from paragon_stream.runtimes.cache import SessionCache, compile_request

BT601 = ColorSpec(matrix=Matrix.SMPTE170M, range=ColorRange.LIMITED, chroma_location=ChromaLocation.LEFT)
"""The assumed colour of an untagged small YUV clip."""


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = vs.core.num_threads
    yield
    vs.core.num_threads = before


@pytest.mark.parametrize(
    ("format", "name", "width", "height"),
    [
        (vs.YUV420P8, "yuv420p", 64, 48),
        (vs.YUV420P8, "yuv420p", 62, 46),
        (vs.YUV420P10, "yuv420p10le", 62, 46),
        (vs.YUV420P16, "yuv420p16le", 50, 38),
        (vs.YUV422P8, "yuv422p", 62, 31),
        (vs.YUV422P12, "yuv422p12le", 34, 17),
        (vs.YUV444P9, "yuv444p9le", 33, 17),
        (vs.YUV444P14, "yuv444p14le", 33, 17),
        (vs.YUV411P8, "yuv411p", 64, 17),
        (vs.YUV440P8, "yuv440p", 33, 34),
        (vs.YUV410P8, "yuv410p", 64, 32),
        (vs.RGB24, "gbrp", 33, 17),
        (vs.RGB48, "gbrp16le", 33, 17),
        (vs.GRAY8, "gray", 33, 17),
        (vs.GRAY16, "gray16le", 33, 17),
        (vs.YUV420P8, "yuv420p", 2, 2),
        (vs.GRAY8, "gray", 1, 1),
    ],
)
def test_planes_are_the_engines(format: int, name: str, width: int, height: int) -> None:
    color = BT601
    if name.startswith("gbrp"):
        color = ColorSpec(matrix=Matrix.RGB, range=ColorRange.FULL, chroma_location=ChromaLocation.LEFT)
    engine = Engine(FrameFormat(width=width, height=height, pixel_format=pixel_format(name), color=color))
    clip = make_clip(format, width, height, length=3)

    out = paragon.upscale(clip)

    assert (out.format.id, out.width, out.height) == (clip.format.id, 2 * width, 2 * height)
    assert (out.num_frames, out.fps) == (clip.num_frames, clip.fps)
    for n in range(3):
        assert_same(planes_of(out, n), engine(content(n, clip.format, width, height)))


@pytest.mark.parametrize("matrix", [0, 2, 8, 14])
def test_gray_needs_no_matrix(matrix: int) -> None:
    clip = make_clip(vs.GRAY8, length=1)
    out = paragon.upscale(clip.std.SetFrameProps(_Matrix=matrix))
    assert_same(planes_of(out, 0), planes_of(paragon.upscale(clip), 0))


def test_depths_that_ffmpeg_has_no_name_for() -> None:
    format = vs.core.query_video_format(vs.YUV, vs.INTEGER, 11, 1, 1)
    out = paragon.upscale(make_clip(format.id, length=1))
    luma = planes_of(out, 0)[0]
    assert out.format.id == format.id
    assert 1500 < luma.max() < 2048  # the picture uses the whole range


@pytest.mark.parametrize("format", [vs.RGBS, vs.RGBH, vs.YUV444PS, vs.YUV420PS, vs.GRAYS])
def test_floats_pass_through_16_bits(format: vs.PresetVideoFormat) -> None:
    deep = vs.core.get_video_format(format)
    integer = deep.replace(sample_type=vs.INTEGER, bits_per_sample=16)
    floats = make_clip(integer.id, length=2).resize.Point(format=format)

    out = paragon.upscale(floats)

    wanted = paragon.upscale(floats.resize.Point(format=integer.id)).resize.Point(format=format)
    assert out.format.id == format
    for n in range(2):
        assert_same(planes_of(out, n), planes_of(wanted, n))
        assert np.ptp(planes_of(out, n)[0].astype(np.float32)) > 0.5


COLORS = [
    # frame properties, and the colour that they mean
    ({"_Matrix": 1, "_Range": 0}, (Matrix.BT709, ColorRange.LIMITED, ChromaLocation.LEFT)),
    ({"_Matrix": 1, "_Range": 1}, (Matrix.BT709, ColorRange.FULL, ChromaLocation.LEFT)),
    ({"_Matrix": 9, "_ChromaLocation": 2}, (Matrix.BT2020_NCL, ColorRange.LIMITED, ChromaLocation.TOPLEFT)),
    ({"_Matrix": 6, "_ChromaLocation": 1}, (Matrix.SMPTE170M, ColorRange.LIMITED, ChromaLocation.CENTER)),
    ({"_Transfer": 16}, (Matrix.BT2020_NCL, ColorRange.LIMITED, ChromaLocation.LEFT)),
    ({}, (Matrix.SMPTE170M, ColorRange.LIMITED, ChromaLocation.LEFT)),
    # mpv's name for the matrix
    ({"_ColorSpace": 1, "_Range": 1}, (Matrix.BT709, ColorRange.FULL, ChromaLocation.LEFT)),
]


def test_colour_may_change_from_frame_to_frame() -> None:
    clip = make_clip(vs.YUV420P8, length=2 * len(COLORS), props=lambda n: COLORS[n // 2][0])
    out = paragon.upscale(clip)
    engines = []
    for matrix, color_range, location in (meaning for _, meaning in COLORS):
        color = ColorSpec(matrix=matrix, range=color_range, chroma_location=location)
        source = FrameFormat(width=64, height=48, pixel_format=pixel_format("yuv420p"), color=color)
        engines.append(Engine(source))
    for n in range(out.num_frames):
        matrix, color_range, location = COLORS[n // 2][1]
        assert_same(planes_of(out, n), engines[n // 2](content(n, clip.format, 64, 48)))
        with out.get_frame(n) as frame:
            assert frame.props["_Matrix"] == matrix
            assert frame.props["_Range"] == (color_range is ColorRange.FULL)
            assert frame.props["_ChromaLocation"] == location - 1
    picture = content(0, clip.format, 64, 48)
    different = {engine(picture)[0].tobytes() + engine(picture)[1].tobytes() for engine in engines}
    assert len(different) == len({meaning for _, meaning in COLORS})  # colour does make a difference


def test_high_definition_is_guessed_by_the_sources_size() -> None:
    """720×576 is BT.601; at its doubled size a player would guess BT.709, so the result must say it."""
    out = paragon.upscale(vs.core.std.BlankClip(format=vs.YUV420P8, width=720, height=480), engine="null")
    with out.get_frame(0) as frame:
        assert frame.props["_Matrix"] == vs.MATRIX_ST170_M
    out = paragon.upscale(vs.core.std.BlankClip(format=vs.YUV420P8, width=1280, height=720), engine="null")
    with out.get_frame(0) as frame:
        assert frame.props["_Matrix"] == vs.MATRIX_BT709


def test_properties_are_carried_over_and_corrected() -> None:
    alpha = vs.core.std.BlankClip(format=vs.GRAY8, width=64, height=48, length=1).get_frame(0)
    props = {
        "_SARNum": 16, "_SARDen": 11, "_FieldBased": 2, "_Field": 1, "_Alpha": alpha, "_PictType": "P",
        "_AbsoluteTime": 1.5, "_Combed": 0, "Blob": b"\x00\x01\xff", "List": [1, 2, 3], "_Matrix": 5,
        "_Primaries": 5, "_Transfer": 5,
    }  # fmt: skip
    out = paragon.upscale(make_clip(vs.YUV420P8, length=1, props=lambda n: props), engine="null")
    with out.get_frame(0) as frame:
        got = dict(frame.props)
    assert {name: got[name] for name in ("_SARNum", "_SARDen", "_PictType", "_AbsoluteTime")} == {
        "_SARNum": 16, "_SARDen": 11, "_PictType": "P", "_AbsoluteTime": 1.5,
    }  # fmt: skip
    assert (got["Blob"], got["List"]) == (b"\x00\x01\xff", [1, 2, 3])
    assert (got["_DurationNum"], got["_DurationDen"]) == (1001, 24000)
    assert (got["_Matrix"], got["_Primaries"], got["_Transfer"]) == (5, 5, 5)
    assert got["_FieldBased"] == 0
    assert "_Alpha" not in got
    assert "_Field" not in got


@pytest.mark.parametrize("format", [vs.YUV420P16, vs.YUV420PS])
def test_interlaced_frames_are_warned_about_once(
    format: vs.PresetVideoFormat, caplog: pytest.LogCaptureFixture
) -> None:
    clip = make_clip(vs.YUV420P16, 64, 46, length=4).resize.Point(format=format)
    clip = clip[0] + clip[1:].std.SetFrameProps(_FieldBased=2)
    out = paragon.upscale(clip, engine="null")
    for n in range(4):
        out.get_frame(n).close()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["paragon.upscale: the clip is interlaced; deinterlace it before upscaling"]


@pytest.mark.parametrize("length", range(1, 8))
def test_lanes_put_frames_back_in_order(length: int) -> None:
    vs.core.num_threads = 4
    clip = make_clip(vs.GRAY8, 16, 16, length=length)
    single = [planes_of(paragon.upscale(clip, prefetch=1), n) for n in range(length)]
    for prefetch in (2, 3, 4, None):
        out = paragon.upscale(clip, prefetch=prefetch)
        assert (out.num_frames, out.fps) == (clip.num_frames, clip.fps)
        for n, frame in enumerate(out.frames(prefetch=6)):
            assert_same((np.array(frame[0]),), single[n])


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_random_access_gives_frame_n(threads: int) -> None:
    vs.core.num_threads = threads
    clip = make_clip(vs.YUV420P8, length=40)
    out = paragon.upscale(clip)
    engine = Engine(FrameFormat(width=64, height=48, pixel_format=pixel_format("yuv420p"), color=BT601))
    order = [random.Random(7).randrange(40) for _ in range(30)]
    for n in itertools.chain(order, reversed(order[:10]), [39, 0, 39]):
        assert_same(planes_of(out, n), engine(content(n, clip.format, 64, 48)))
    futures = {n: out.get_frame_async(n) for n in order}  # all at once, in no order
    for n, future in futures.items():
        with future.result() as frame:
            assert_same(tuple(np.array(frame[p]) for p in range(3)), engine(content(n, clip.format, 64, 48)))


def test_several_outputs_share_one_session_and_reloading_compiles_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled = []
    cache = SessionCache(build=lambda r: compiled.append(r) or compile_request(r))
    monkeypatch.setattr("paragon_stream.runtimes.cache.SESSIONS", cache)
    clip = make_clip(vs.YUV420P8, length=4)
    for _ in range(3):
        first, second = paragon.upscale(clip), paragon.upscale(clip.std.Reverse())
        for n in range(4):
            assert_same(planes_of(first, n), planes_of(second, 3 - n))
    assert len(compiled) == 1


def test_strength_comes_from_the_frame(tmp_path: Path) -> None:
    weights = random_weights(random_spec(conditioned=True))
    path = tmp_path / "conditioned.safetensors"
    metadata = dict.fromkeys(("recipe", "data_licences", "name"), "test")
    metadata |= {"generation": "p2head", "variant": "realtime", "scale": "2", "upsampler_alpha": "0.3"}
    save_weights(path, weights.tensors, metadata)
    strengths = [None, 0.0, 0.25, 1.0]
    clip = make_clip(
        vs.YUV420P8,
        length=4,
        props=lambda n: {} if strengths[n] is None else {"_ParagonStrength": strengths[n]},
    )
    engine = Engine(
        FrameFormat(width=64, height=48, pixel_format=pixel_format("yuv420p"), color=BT601), weights=path
    )
    out = paragon.upscale(clip, weights=path)
    for n, strength in enumerate(strengths):
        picture = content(n, clip.format, 64, 48)
        assert_same(planes_of(out, n), engine(picture, strength or 0.0))
        if strength:
            assert (engine(picture, strength)[0] != engine(picture, 0.0)[0]).any()


class _Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena a b c hblkhd d e uordblks f g".split()]  # noqa: SIM905


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc")
def test_no_memory_is_kept() -> None:
    """Allocated memory is the same after 2,000 more frames; one frame has 37 kB."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Mallinfo2
    clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=96, height=64, length=2300, keep=True)
    allocated = []
    for n, _ in enumerate(paragon.upscale(clip, engine="null").frames(close=True)):
        if n in (200, 2200):
            info = mallinfo2()
            allocated.append(info.uordblks + info.hblkhd)
    assert allocated[1] - allocated[0] < 2000 * 1000
