"""Formats that no frame job takes are read as the nearest one, without losing a bit that matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import frame_planes, make_frame, scene
from numpy.typing import NDArray
from reading import read_all

import paragon_stream
from paragon_stream.errors import FormatError
from paragon_stream.frame import ColorRange
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.ffmpeg.pixel_formats import processed_format
from paragon_stream.media.frames.reader import VideoReader

WIDTH, HEIGHT = 48, 32

NEAREST = {
    "yuv420p10be": "yuv420p10le",
    "yuv444p16be": "yuv444p16le",
    "gray10be": "gray10le",
    "gray16be": "gray16le",
    "gbrp12be": "gbrp12le",
    "rgb48be": "gbrp16le",
    "p010be": "yuv420p10le",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "yvyu422": "yuv422p",
    "uyyvyy411": "yuv411p",
    "nv24": "yuv444p",
    "nv20le": "yuv422p10le",
    "y210le": "yuv422p10le",
    "y212le": "yuv422p12le",
    "p412le": "yuv444p12le",
    "xv30le": "yuv444p10le",
    "xv36le": "yuv444p12le",
    "vuyx": "yuv444p",
    "x2rgb10le": "gbrp10le",
    "rgb565le": "rgb24",
    "bgr555le": "rgb24",
    "rgb8": "rgb24",
    "monob": "gray",
    "monow": "gray",
    "ya8": "ya8",
    "ya16le": "ya16le",
    "yuv440p10be": "yuv440p10le",
    "gbrpf32le": "gbrp16le",
    "xyz12le": "rgb48le",
    "bayer_rggb8": "rgb24",
    "bayer_gbrg16le": "rgb48le",
    "yuv444p12msble": "yuv444p12le",
}


@pytest.mark.parametrize("name", NEAREST)
def test_nearest(name: str) -> None:
    frame = av.VideoFrame(WIDTH, HEIGHT, name)
    target = processed_format(frame)
    assert target.name == NEAREST[name]
    assert frame.reformat(format=target.name).format.name == target.name


COARSE = ("rgb5", "bgr5", "rgb8", "mono", "ya", "gbrpf", "xyz", "bayer", "uyyv")
"""Formats that hold less than the nearest one, or that FFmpeg only reads."""
EXACT = [name for name in NEAREST if not name.startswith(COARSE)]


@pytest.mark.parametrize("name", EXACT)
def test_nothing_is_lost(name: str) -> None:
    """Random values of the nearest format survive the way into the other and back by our reading."""
    random = np.random.default_rng(5)
    target = processed_format(av.VideoFrame(WIDTH, HEIGHT, name))
    dtype = np.uint8 if target.depth == 8 else np.uint16
    planes = tuple(
        random.integers(0, target.peak + 1, shape, dtype) for shape in target.plane_shapes(WIDTH, HEIGHT)
    )
    for color_range in (0, 1, 2):
        frame = make_frame(planes, target.name)
        frame.color_range = color_range
        back = frame.reformat(format=name, threads=1).reformat(format=target.name, threads=1)
        for plane, original in zip(frame_planes(back), planes, strict=True):
            assert np.array_equal(plane, original)


def bytes_of(frame: av.VideoFrame, plane: int = 0) -> NDArray[np.uint8]:
    return np.frombuffer(frame.planes[plane], np.uint8).reshape(-1, frame.planes[plane].line_size)


def written(path: Path, frames: list[av.VideoFrame], codec: str) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height = frames[0].width, frames[0].height
        stream.pix_fmt = frames[0].format.name
        for index, frame in enumerate(frames):
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def first_planes(path: Path) -> tuple[Any, list[NDArray[Any]]]:
    info = probe(path)
    dtype = np.uint8 if info.video.format.pixel_format.depth <= 8 else np.uint16
    planes = [np.empty(shape, dtype) for shape in info.video.format.plane_shapes]
    with VideoReader(info) as reader:
        assert reader.read_into(planes) is not None
        assert reader.warnings == []
    return info.video, planes


def test_a_palette(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    frame = av.VideoFrame(WIDTH, HEIGHT, "pal8")
    entries = random.integers(0, 256, (256, 4), np.uint8)  # B, G, R, A in memory
    entries[:, 3] = 255
    np.frombuffer(frame.planes[1], np.uint8)[:1024] = entries.reshape(-1)
    indices = random.integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    bytes_of(frame)[:, :WIDTH] = indices
    video, planes = first_planes(written(tmp_path / "in.avi", [frame], "rawvideo"))
    assert (video.decoded, video.format.pixel_format.name) == ("pal8", "gbrp")
    for plane, channel in zip(planes, (1, 0, 2), strict=True):
        assert np.array_equal(plane, entries[indices, channel])


@pytest.mark.parametrize(
    ("first", "used", "kept", "lost"),
    [(4, 0, False, True), (4, 1, False, False), (2, 0, True, False), (2, 1, False, False)],
)
def test_a_palette_that_becomes_transparent(
    tmp_path: Path, first: int, used: int, kept: bool, lost: bool
) -> None:
    """From the frame `first` on, colour 0 of the palette is transparent; no pixel need have it."""
    frames = []
    for index in range(6):
        frame = av.VideoFrame(WIDTH, HEIGHT, "pal8")
        entries = np.full((256, 4), 255, np.uint8)
        entries[0, 3] = 0 if index >= first else 255
        np.frombuffer(frame.planes[1], np.uint8)[:1024] = entries.reshape(-1)
        bytes_of(frame)[:] = used
        frames.append(frame)
    _, reader = read_all(written(tmp_path / "in.nut", frames, "rawvideo"))
    assert reader.info.video.format.pixel_format.has_alpha == kept
    assert any("transparency" in each for each in reader.warnings) == lost


def test_one_bit(tmp_path: Path) -> None:
    frame = av.VideoFrame(WIDTH, HEIGHT, "monow")
    bits = np.random.default_rng(4).integers(0, 2, (HEIGHT, WIDTH), np.uint8)
    bytes_of(frame)[:, : WIDTH // 8] = np.packbits(bits, axis=1)
    video, planes = first_planes(written(tmp_path / "in.nut", [frame], "rawvideo"))
    assert video.format.pixel_format.name == "gray" and video.format.color.range is ColorRange.FULL
    assert np.array_equal(planes[0], (1 - bits) * 255)


def test_sixteen_bit_colours_reach_white(tmp_path: Path) -> None:
    frame = av.VideoFrame(WIDTH, HEIGHT, "rgb555le")
    bytes_of(frame)[:] = 255
    video, planes = first_planes(written(tmp_path / "in.nut", [frame], "rawvideo"))
    assert video.format.pixel_format.name == "rgb24" and planes[0].min() == 255


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("rawvideo", "yuyv422", "nut"),
        ("rawvideo", "uyvy422", "avi"),
        ("rawvideo", "yuv420p10be", "nut"),
        ("rawvideo", "gray10be", "nut"),
        ("png", "rgb48be", "mov"),
    ],
)
def test_a_whole_render(tmp_path: Path, codec: str, pix_fmt: str, suffix: str) -> None:
    base = processed_format(av.VideoFrame(WIDTH, HEIGHT, pix_fmt))
    scenes = [make_frame(scene(i, WIDTH, HEIGHT, base.name), base.name) for i in range(3)]
    frames = [frame.reformat(format=pix_fmt) for frame in scenes]
    clip = written(tmp_path / f"in.{suffix}", frames, codec)
    out = tmp_path / "out.mkv"
    report = paragon_stream.upscale(clip, out, engine="null", codec="ffv1")
    assert report.frames_out == 3 and report.source_format.endswith(base.name)
    video, planes = first_planes(clip)
    assert video.decoded == pix_fmt
    for plane, original in zip(planes, scene(0, WIDTH, HEIGHT, base.name), strict=True):
        assert np.array_equal(plane, original)


def test_one_bit_is_upscaled(tmp_path: Path) -> None:
    """The default network looks at pictures to find cuts: single bits are no bytes."""
    frames = [make_frame(scene(i, WIDTH, HEIGHT, "gray"), "gray").reformat(format="monow") for i in range(3)]
    clip = written(tmp_path / "in.nut", frames, "rawvideo")
    assert paragon_stream.upscale(clip, tmp_path / "out.mkv", engine="null").frames_out == 3


def test_frames_in_device_memory_are_refused() -> None:
    class Device:
        class format:  # noqa: N801
            name = "cuda"
            components = ()

    with pytest.raises(FormatError, match="in device memory"):
        processed_format(Device())  # type: ignore[arg-type]
