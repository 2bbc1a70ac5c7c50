"""Real files, each odd in its own way: read to the end like a plain loop, or refused with one sentence."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import frame_planes
from shared_media import DAMAGED, FILES, REFUSED

from paragon_stream.errors import InputError
from paragon_stream.frame import ColorRange, Matrix
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.frames.reader import VideoReader


@pytest.fixture
def media(shared: Path) -> Path:
    return shared / "media"


@pytest.mark.parametrize("name", [name for name in FILES if name not in REFUSED])
def test_every_frame_and_stamp_of_a_plain_loop(media: Path, name: str) -> None:
    info = probe(media / name)
    format = info.video.format
    left, top, right, bottom = info.video.crop
    dtype = np.uint8 if format.pixel_format.depth <= 8 else np.uint16
    planes = [np.empty(shape, dtype) for shape in format.plane_shapes]
    changed = 0
    with VideoReader(info) as reader, av.open(str(media / name)) as plain:
        previous = None
        for frame in _plain_frames(plain, info.video.index):
            timing = reader.read_into(planes)
            assert timing is not None
            if name in DAMAGED:
                continue
            if timing.pts != frame.pts:
                assert "resolution_change" in name  # two recordings, the second begins before the first ends
                assert frame.pts <= previous and timing.pts > previous
            previous = timing.pts
            size = (frame.width - left - right, frame.height - top - bottom)
            if size != (format.width, format.height):
                changed += 1
            elif any(info.video.crop):
                assert np.array_equal(planes[0], frame_planes(frame)[0][top:, left:][: size[1], : size[0]])
            else:
                for got, expected in zip(planes, frame_planes(frame), strict=True):
                    assert np.array_equal(got, expected)
        assert reader.read_into(planes) is None
    assert changed == (30 if "resolution_change" in name else 0)
    if name in DAMAGED:
        assert reader.frames == DAMAGED[name]
        assert reader.warnings


def _plain_frames(container: av.container.InputContainer, index: int) -> list[av.VideoFrame]:
    stream = container.streams[index]
    stream.codec_context.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    frames = []
    for packet in container.demux(stream):
        try:
            frames += packet.decode()
        except av.FFmpegError:
            continue
    return frames


@pytest.mark.parametrize("name", sorted(set(REFUSED) & set(FILES)))
def test_the_rest_is_refused_with_one_sentence(media: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        probe(media / name)
    assert REFUSED[name] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_facts_of_the_odd_ones(media: Path) -> None:
    def video(name: str):
        return probe(media / name).video

    assert video("h264_rotate_and_mirror.mp4").display_matrix == (0, 65536, 0, 65536, 0, 0, 0, 0, 1 << 30)
    assert video("mkv_display_dimensions_854x360.mkv").format.sample_aspect_ratio == Fraction(427, 320)
    assert video("h264_first_pts_10s_sar1137x800.mp4").format.sample_aspect_ratio == Fraction(1137, 800)
    assert video("h264_first_pts_10s_sar1137x800.mp4").start_pts == 153600
    assert video("mkv_pixelcrop_container.mkv").crop == (16, 8, 16, 8)
    assert video("hevc_fragmented_a53_captions.mp4").uncarried == ("closed captions",)
    assert video("hevc_hdr10_540p_mastering_cll.mkv").hdr.content_light == (1000, 400)
    assert video("av1_hdr10_mdcv_clli_59.94.mp4").hdr.mastering_display is not None
    assert video("h264_bt709_fullrange.mp4").format.color.range is ColorRange.FULL
    assert video("h264_rgb_gbrp.mkv").format.color.matrix is Matrix.RGB
    assert video("mpeg2_576i50_tff_dvd_sar64x45.vob").interlaced
    assert video("h264_480i_sar11x12.mp4").interlaced
    assert not video("h264_1080p_23.976.mp4").interlaced
    assert video("dv_pal_576i.dv").average_rate == 25  # the header's average says 60000
    assert video("mp4_partially_fragmented.mp4").frames == 30  # the header counts 4
    assert video("mp4_cover_art_attached_pic.mp4").codec == "h264"
    assert video("mp4_empty_second_video_track.mp4").index == 0
    assert video("h264_iphone_rot90_gps.mov").index == 1
    assert video("vp9_webm_no_duration.webm").frames is None
