"""Shaders in libplacebo, through its VapourSynth filter on a software Vulkan, against our own fp32 result.

libplacebo switches a shader that it cannot compile off, in silence, and scales plainly: pixels are compared.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from network_reference import random_spec, random_weights
from shader_material import (
    STRENGTH,
    luma_picture,
    needs_lavapipe,
    needs_placebo,
    network,
    placebo_luma,
    placebo_rgb,
    psnr,
    rgb_picture,
    upscaled_luma,
    upscaled_rgb,
)

from paragon_stream.checkpoint import load_weights
from paragon_stream.framejob.glsl.emit import ShaderOptions, emit_shader
from paragon_stream.framejob.glsl.network import Hook

LUMA_BAR, RGB_BAR, STREAM_BAR = 65.0, 60.0, 60.0
"""dB against the fp32 frame job."""

pytestmark = [needs_lavapipe, needs_placebo, pytest.mark.timeout(300)]


def text(weights: str = "video", scale: int = 2, variant: str = "realtime", **options: object) -> str:
    loaded = load_weights(weights, variant=variant, scale=scale)
    strength = STRENGTH if loaded.spec.conditioned else None
    return emit_shader(loaded, ShaderOptions(strength=strength, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(("width", "height"), [(16, 16), (71, 55), (160, 96)])
def test_luma(tmp_path: Path, width: int, height: int) -> None:
    picture = luma_picture(width, height)
    wanted = upscaled_luma(network(), picture)
    got = placebo_luma(tmp_path, text(), picture, 2)
    assert psnr(got, wanted) >= LUMA_BAR
    # Borders for themselves: an error there is nothing in the mean.
    for line in ((0,), (-1,), (slice(None), 0), (slice(None), -1)):
        assert psnr(got[line], wanted[line]) >= LUMA_BAR - 3


def test_colours(tmp_path: Path) -> None:
    picture = rgb_picture(69, 54)
    wanted = upscaled_rgb(network(), picture)
    assert psnr(placebo_rgb(tmp_path, text(hook=Hook.RGB), picture, 2), wanted) >= RGB_BAR


def test_a_shader_that_does_not_compile_is_noticed(tmp_path: Path) -> None:
    """The bars are far from what libplacebo does without a shader."""
    picture = luma_picture(71, 55)
    broken = text().replace("barrier();", "barrier()")
    assert psnr(placebo_luma(tmp_path, broken, picture, 2), upscaled_luma(network(), picture)) < 45


def test_a_picture_that_is_hardly_enlarged_is_left_alone(tmp_path: Path) -> None:
    """`//!WHEN`: at 1:1 the network's result, scaled back, would not be the picture."""
    picture = luma_picture(71, 55)
    assert abs(placebo_luma(tmp_path, text(), picture, 1) - picture).max() < 0.1


@pytest.mark.slow
def test_whole_high_definition(tmp_path: Path) -> None:
    picture = luma_picture(1920, 1080)
    got = placebo_luma(tmp_path, text(), picture, 2)
    assert psnr(got, upscaled_luma(network(), picture)) >= LUMA_BAR


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"half": True}, {"fragment": True}])
def test_other_forms(tmp_path: Path, options: dict[str, bool]) -> None:
    picture = luma_picture(71, 55)
    got = placebo_luma(tmp_path, text(**options), picture, 2)
    assert psnr(got, upscaled_luma(network(), picture)) >= LUMA_BAR
    colours = rgb_picture(69, 54)
    got = placebo_rgb(tmp_path, text(hook=Hook.RGB, **options), colours, 2)
    assert psnr(got, upscaled_rgb(network(), colours)) >= RGB_BAR


@pytest.mark.slow
@pytest.mark.parametrize("scale", [3, 4])
@pytest.mark.parametrize("fragment", [False, True])
def test_other_scales(tmp_path: Path, scale: int, fragment: bool) -> None:
    weights, picture = network("fidelity", scale), luma_picture(71, 55)
    got = placebo_luma(tmp_path, text("fidelity", scale, fragment=fragment), picture, scale)
    assert psnr(got, upscaled_luma(weights, picture)) >= LUMA_BAR


@pytest.mark.slow
def test_stream(tmp_path: Path) -> None:
    """Random weights of two blocks: a software Vulkan takes ten minutes to compile the published six."""
    weights = random_weights(replace(random_spec("stream", alpha=0.0), groups=1, blocks=2))
    picture = luma_picture(71, 55)
    got = placebo_luma(tmp_path, emit_shader(weights, ShaderOptions()), picture, 2)
    assert psnr(got, upscaled_luma(weights, picture)) >= STREAM_BAR
