"""Tiles: the same samples as the whole picture at once, whatever the size, the format and the tile."""

from __future__ import annotations

import numpy as np
import pytest
from clips import scene
from network_reference import random_spec, random_weights

from paragon_stream import Upscaler
from paragon_stream.checkpoint import load_weights
from paragon_stream.frame import PIXEL_FORMATS, Family, FrameFormat
from paragon_stream.framejob import build_job
from paragon_stream.geometry import enlarged, parse_size, place
from paragon_stream.media.facts.image_kinds import JFIF, SRGB
from paragon_stream.pictures.tiles import PictureUpscaler
from paragon_stream.runtimes import Flavour
from paragon_stream.upscaler import UpscalerOptions, compile_job

OPTIONS = UpscalerOptions(precision="fp32")


def run_tiled(
    source: FrameFormat, planes: tuple, pixels: str, color: object, tile: int, to: str | None = None
) -> list[np.ndarray]:
    target = PIXEL_FORMATS[pixels]
    depth = np.uint16 if target.depth > 8 else np.uint8
    size = parse_size(to)
    placement = place(source, size) if size else enlarged(source, 2)
    shapes = target.plane_shapes(placement.columns.total, placement.rows.total)
    outputs = [np.empty(shape, depth) for shape in shapes]
    with PictureUpscaler(OPTIONS, tile=tile) as up:
        weights = load_weights(None, rgb=source.pixel_format.family is Family.RGB)
        up.run((weights, placement), source, planes, target, color, outputs)
    return outputs


@pytest.mark.parametrize(
    ("pixels", "width", "height", "to"),
    [
        ("rgb24", 301, 67, None),
        ("gray", 65, 200, None),
        ("yuv420p", 263, 201, None),
        ("yuv422p", 300, 64, None),
        ("rgb48le", 64, 64, None),
        ("rgb24", 301, 67, "1.37"),
        ("yuv420p", 263, 201, "3"),
    ],
)
def test_tiles_have_no_seams(pixels: str, width: int, height: int, to: str | None) -> None:
    color = JFIF if pixels.startswith(("yuv", "gray")) else SRGB
    planes = scene(0, width, height, pixels)
    with Upscaler(
        width=width, height=height, pixel_format=pixels, color=color, precision="fp32", scale=2, to=to
    ) as upscaler:
        whole = upscaler(planes)
    source = FrameFormat(width=width, height=height, pixel_format=PIXEL_FORMATS[pixels], color=color)
    tiled = run_tiled(source, planes, pixels, color, tile=128, to=to)
    for part, want in zip(tiled, whole, strict=True):
        difference = np.abs(part.astype(int) - want.astype(int))
        # The network's sums run in another order: a value half-way between two codes may fall either way.
        assert difference.max() <= (1 if part.dtype == np.uint8 else 3)
        assert (difference > 0).mean() < (0.001 if part.dtype == np.uint8 else 0.2)


def test_means_are_those_of_the_whole_picture() -> None:
    """Pro scales channels by their means; a tile would have other means."""
    weights = random_weights(random_spec("pro"))
    source = FrameFormat(width=150, height=70, pixel_format=PIXEL_FORMATS["gray"], color=JFIF)
    picture = np.random.default_rng(0).integers(0, 256, (70, 150)).astype(np.uint8)
    picture[:, :75] //= 4
    placement, out, whole = (
        enlarged(source, 2),
        np.empty((140, 300), np.uint8),
        np.empty((140, 300), np.uint8),
    )
    with PictureUpscaler(OPTIONS, tile=64) as up:
        up.run((weights, placement), source, (picture,), source.pixel_format, JFIF, [out])
    session = compile_job(build_job(weights, source), OPTIONS, Flavour.LATENCY)
    session.run((picture,), (whole,)).wait()
    session.close()
    np.testing.assert_array_equal(out, whole)


def test_alpha_is_resampled_by_the_base_alone() -> None:
    """A ramp stays a ramp whatever the colours do, and opaque stays opaque at any depth."""
    source = FrameFormat(width=96, height=70, pixel_format=PIXEL_FORMATS["ya8"], color=JFIF)
    network = load_weights(None), enlarged(source, 2)
    noise = np.random.default_rng(0).integers(0, 256, (70, 96))
    ramp = np.broadcast_to(np.arange(96) * 2, (70, 96))
    with PictureUpscaler(OPTIONS) as up:
        out, full = np.empty((140, 192, 2), np.uint8), np.empty((140, 192, 2), np.uint16)
        seen = np.stack([noise, ramp], -1).astype(np.uint8)
        up.run(network, source, (seen,), PIXEL_FORMATS["ya8"], JFIF, [out])
        solid = np.stack([noise, np.full_like(noise, 255)], -1).astype(np.uint8)
        up.run(network, source, (solid,), PIXEL_FORMATS["ya16le"], JFIF, [full])
    assert (full[..., 1] == 65535).all()
    alpha = out[..., 1].astype(int)
    assert (np.ptp(alpha, axis=0) == 0).all()
    assert np.abs(alpha[0, 12:-12] - (np.arange(12, 180) - 0.5)).max() <= 1


def test_few_sessions_for_many_sizes() -> None:
    weights = load_weights(None)
    opened = set()
    with PictureUpscaler(OPTIONS, keep=2) as up:
        for width in (40, 50, 60, 64, 70, 40):
            source = FrameFormat(width=width, height=50, pixel_format=PIXEL_FORMATS["gray"], color=JFIF)
            out = np.empty((100, 2 * width), np.uint8)
            network = weights, enlarged(source, 2)
            up.run(network, source, (np.zeros((50, width), np.uint8),), PIXEL_FORMATS["gray"], JFIF, [out])
            opened.add(up.used)
            assert (out == 0).all()
    assert len(opened) == 2
