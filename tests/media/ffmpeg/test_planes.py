from __future__ import annotations

import av
import numpy as np
import pytest
from clips import frame_planes, make_frame, scene

from paragon_stream.frame import PIXEL_FORMATS, pixel_format
from paragon_stream.media.ffmpeg.planes import copy_from_frame, copy_to_frame, plane_view, same_samples


def empty_planes(name: str, width: int, height: int) -> list[np.ndarray]:
    format = pixel_format(name)
    dtype = np.uint8 if format.depth <= 8 else np.uint16
    return [np.full(shape, 77, dtype) for shape in format.plane_shapes(width, height)]


@pytest.mark.parametrize("name", sorted(PIXEL_FORMATS))
def test_every_format_survives_the_way_in_and_out(name: str) -> None:
    width, height = 97, 35  # odd, and no multiple of any alignment: lines are padded
    chance = np.random.default_rng(1)
    planes = [
        chance.integers(0, 1 << 8, plane.shape).astype(plane.dtype)
        for plane in empty_planes(name, width, height)
    ]
    frame = av.VideoFrame(width, height, name)
    assert any(plane.line_size > 97 for plane in frame.planes)
    copy_to_frame(planes, frame)
    back = empty_planes(name, width, height)
    copy_from_frame(frame, back)
    for was, now in zip(planes, back, strict=True):
        assert np.array_equal(was, now)


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "nv12", "gbrp", "rgb24", "yuv411p"])
def test_planes_mean_what_an_independent_reader_says(name: str) -> None:
    frame = make_frame(scene(2, 66, 34, name), name)
    planes = empty_planes(name, 66, 34)
    copy_from_frame(frame, planes)
    expected = frame_planes(frame)
    if name == "nv12":  # the plain reader gives NV12's interleaved plane as it is, too
        expected = (expected[0], expected[1].reshape(17, 33, 2))
    for was, now in zip(expected, planes, strict=True):
        assert np.array_equal(was, now)


def test_a_frame_stored_bottom_up_is_read_top_down() -> None:
    graph = av.filter.Graph()
    source = graph.add_buffer(width=98, height=34, format="yuv420p", time_base=av.AVRational(1, 25))
    flip, sink = graph.add("vflip"), graph.add("buffersink")
    source.link_to(flip)
    flip.link_to(sink)
    graph.configure()
    planes = scene(1, 98, 34)
    frame = make_frame(planes, "yuv420p")
    frame.pts = 0
    graph.push(frame)
    flipped = graph.pull()
    assert flipped.planes[0].line_size < 0  # FFmpeg flips by pointing at the last row
    result = empty_planes("yuv420p", 98, 34)
    copy_from_frame(flipped, result)
    for was, now in zip(planes, result, strict=True):
        assert np.array_equal(was[::-1], now)


def test_crop_skips_rows_and_columns_of_each_plane() -> None:
    planes = scene(1, 64, 48)
    result = empty_planes("yuv420p", 40, 30)
    copy_from_frame(make_frame(planes, "yuv420p"), result, [(8, 12), (4, 6), (4, 6)])
    assert np.array_equal(result[0], planes[0][8:38, 12:52])
    assert np.array_equal(result[1], planes[1][4:19, 6:26])


def test_crop_of_packed_pixels_counts_pixels() -> None:
    (pixels,) = scene(1, 64, 48, "rgb24")
    result = empty_planes("rgb24", 40, 30)
    copy_from_frame(make_frame((pixels,), "rgb24"), result, [(8, 12)])
    assert np.array_equal(result[0], pixels[8:38, 12:52])


def test_view_writes_through() -> None:
    frame = make_frame(scene(0, 64, 48), "yuv420p")
    plane_view(frame, 0)[:] = 9
    assert np.array_equal(np.frombuffer(frame.planes[0], np.uint8)[:64], np.full(64, 9))


def test_a_plane_that_would_silently_be_a_copy_is_refused() -> None:
    frame = make_frame(scene(0, 64, 48), "yuv420p")
    planes = empty_planes("yuv420p", 64, 48)
    planes[0] = np.zeros((64, 48), np.uint8).T
    with pytest.raises(ValueError, match="not contiguous"):
        copy_from_frame(frame, planes)


@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "yuvj444p", "yuv422p10le", "nv12", "rgb24"])
def test_equal_samples_are_found_in_every_format(name: str) -> None:
    a, b = (av.VideoFrame(70, 34, name) for _ in range(2))
    for frame in (a, b):
        copy_to_frame(empty_planes(name, 70, 34), frame)
    plane_view(b, 0)[:, -1] = 1  # padding
    assert same_samples(a, b)
    plane_view(b, 0)[-1, 0] = 1
    assert not same_samples(a, b)
