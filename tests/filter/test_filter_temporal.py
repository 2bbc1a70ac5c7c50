"""The filter's video mode: frames are those of the mode in order, however the host asks for them."""

from __future__ import annotations

import numpy as np
import pytest
import vapoursynth as vs
from filter_material import make_clip, planes_of

import paragon_stream
import paragon_stream.vapoursynth as paragon

FRAMES = 30
WIDTH, HEIGHT = 64, 48


@pytest.mark.parametrize("mode", ["upstream", "adaptive"])
def test_frames_in_any_order(mode: str) -> None:
    moving = make_clip(vs.YUV420P8, WIDTH, HEIGHT, FRAMES)
    clip = vs.core.std.Merge(moving[3] * FRAMES, moving, weight=0.12)  # without a cut
    frames = [planes_of(clip, n) for n in range(FRAMES)]
    with paragon_stream.Upscaler(width=WIDTH, height=HEIGHT, temporal=mode, precision="fp32") as up:
        expected = [up(planes) for planes in frames]
    with paragon_stream.Upscaler(width=WIDTH, height=HEIGHT, precision="fp32") as up:
        alone = up(frames[20])
    upscaled = paragon.upscale(clip, temporal=mode, precision="fp32")
    for n in (0, 1, 2, 20, 21, 7, 29):
        for plane, wanted in zip(planes_of(upscaled, n), expected[n], strict=True):
            assert np.abs(plane.astype(int) - wanted).max() <= 1
            assert np.mean(plane != wanted) < 1e-3  # a tie may fall either way after a jump
    assert any(np.any(a != b) for a, b in zip(expected[20], alone, strict=True))


@pytest.mark.parametrize("length", [1, 3])
def test_clips_that_are_shorter_than_the_memory_of_the_mode(length: int) -> None:
    clip = vs.core.std.Merge(
        make_clip(vs.GRAY8, WIDTH, HEIGHT, 1) * length, make_clip(vs.GRAY8, WIDTH, HEIGHT, length), weight=0.1
    )
    with paragon_stream.Upscaler(
        width=WIDTH, height=HEIGHT, pixel_format="gray", temporal="upstream", precision="fp32"
    ) as up:
        (expected,) = [up(planes_of(clip, n)) for n in range(length)][-1]
    upscaled = paragon.upscale(clip, temporal="upstream", precision="fp32")
    assert len(upscaled) == length
    (plane,) = planes_of(upscaled, length - 1)
    assert np.abs(plane.astype(int) - expected).max() <= 1


def test_an_unknown_mode_is_an_error_of_the_call() -> None:
    with pytest.raises(vs.Error, match="off, upstream, adaptive"):
        paragon.upscale(make_clip(vs.YUV420P8), temporal="yes")
