"""The arrays that shaders are made of, evaluated in float64: the result is the frame job's."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from shader_material import luma_picture, network, rgb_picture, upscaled_luma, upscaled_rgb

from paragon_stream.checkpoint import Weights, load_weights
from paragon_stream.datafiles import data_folder
from paragon_stream.framejob import gelu
from paragon_stream.framejob.conv import Conv
from paragon_stream.framejob.fold import StreamBlock
from paragon_stream.framejob.glsl.emit import ShaderOptions, emit_shader
from paragon_stream.framejob.glsl.network import Hook, ShaderNetwork, shader_network

PAD = 36


def convolve(x: NDArray[np.float64], conv: Conv) -> NDArray[np.float64]:
    taps, step = conv.weight.shape[-1], conv.dilation
    reach = step * (taps // 2)
    wide = np.pad(x, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    height, width = x.shape[1:]
    total = np.zeros((len(conv.weight), height, width)) + conv.bias[:, None, None]
    for i, j in np.ndindex(taps, taps):
        part = wide[:, step * i : step * i + height, step * j : step * j + width]
        weight = conv.weight[:, :, i, j]
        total += weight[:, 0, None, None] * part if conv.groups > 1 else np.tensordot(weight, part, 1)
    return total


def evaluate(shader: ShaderNetwork, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(channels, height, width) of 8-bit codes → the same, enlarged."""
    scale, (height, width) = shader.scale, picture.shape[1:]
    value = np.pad(picture / 255, ((0, 0), (PAD, PAD), (PAD, PAD)), mode="edge")
    features = convolve((255 * value - 128) / 128, shader.first)
    for block in shader.blocks:
        if isinstance(block, StreamBlock):
            near, far = convolve(features, block.near), convolve(features, block.far)
            mixed = convolve(near, block.from_near) + convolve(far, block.from_far)
            parts = zip(block.expand, block.gate, strict=True)
            a, b = (convolve(convolve(mixed, expand), gate) for expand, gate in parts)
            features = features + convolve(np.clip(a * b, -block.limit, block.limit), block.project)
            continue
        inner = gelu.gelu(convolve(convolve(features, block.expand), block.depthwise))
        features = features + convolve(inner, block.project)
    if shader.mid:
        features = convolve(features, shader.mid)
    base = value if shader.luma is None else np.tensordot(shader.luma, value, 1)[None]
    chroma = value - base
    if shader.low_pass is not None:
        taps = Conv(weight=shader.low_pass[None, None].astype(np.float32), bias=np.zeros(1, np.float32))
        base = np.concatenate([convolve(plane[None], taps) for plane in base])
    result = np.zeros((shader.channels, scale * height, scale * width))

    def part(planes: NDArray[np.float64], y: int, x: int) -> NDArray[np.float64]:
        return planes[:, PAD + y : PAD + y + height, PAD + x : PAD + x + width]

    for r, q in np.ndindex(scale, scale):
        total = np.zeros((shader.channels, height, width)) + shader.tail_bias[r, q][:, None, None]
        for i, j in np.ndindex(shader.tail.shape[-2:]):
            place = i + shader.tail_first, j + shader.tail_first
            total += np.tensordot(shader.tail[r, q, :, :, i, j], part(features, *place), 1)
        for i, j in np.ndindex(3, 3):
            total += shader.phases[r, i] * shader.phases[q, j] * part(base, i - 1, j - 1)
        if shader.chroma_phases is not None:
            for i, j in np.ndindex(7, 7):
                weight = shader.chroma_phases[r, i] * shader.chroma_phases[q, j]
                total += weight * part(chroma, i - 3, j - 3)
        result[:, r::scale, q::scale] = total
    return 255 * result


def sharpened(weights: Weights) -> Weights:
    """The same with a base path that low-passes."""
    return replace(weights, spec=replace(weights.spec, alpha=0.4))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_luma(scale: int) -> None:
    weights = sharpened(network("fidelity", scale))
    picture = luma_picture(37, 26)
    shader = shader_network(weights, hook=Hook.LUMA)
    assert (shader.mid is None) == (scale == 2)
    got = evaluate(shader, picture[None])[0]
    assert np.abs(got - upscaled_luma(weights, picture)).max() < 0.02


def test_stream() -> None:
    weights, picture = network(variant="stream"), luma_picture(37, 26)
    got = evaluate(shader_network(weights, hook=Hook.LUMA), picture[None])[0]
    assert np.abs(got - upscaled_luma(weights, picture)).max() < 0.02


@pytest.mark.parametrize("filters", [False, True])
def test_colours(filters: bool) -> None:
    weights, picture = sharpened(network()), rgb_picture(37, 26)
    weights = replace(weights, spec=replace(weights.spec, filters_chroma=filters))
    shader = shader_network(weights, hook=Hook.RGB)
    assert (shader.mid is None) == filters == (shader.details == 1)
    assert np.abs(evaluate(shader, picture) - upscaled_rgb(weights, picture)).max() < 0.02


NUMBER = re.compile(r"-?(?:\d+\.\d*|\.\d+)(?:e-?\d+)?|-?\d+e-?\d+")


@pytest.mark.parametrize(
    ("name", "weights", "options"),
    [
        ("realtime_x2_luma_video_0.4", "video", ShaderOptions(strength=0.4)),
        ("realtime_x2_luma_video_0.4_half", "video", ShaderOptions(strength=0.4, half=True)),
        ("realtime_x2_luma_video_0.4_fragment", "video", ShaderOptions(strength=0.4, fragment=True)),
        ("realtime_x2_rgb_video_0.4", "video", ShaderOptions(strength=0.4, hook=Hook.RGB)),
        ("realtime_x2_luma_fidelity", "fidelity", ShaderOptions()),
    ],
)
def test_the_ready_made_files_are_of_these_weights(name: str, weights: str, options: ShaderOptions) -> None:
    """scripts/make_shaders.py writes them. Other machines may round a last digit otherwise."""
    shipped = (data_folder("filters") / f"{name}.glsl").read_text("ascii")
    made = emit_shader(load_weights(weights, variant="realtime", scale=2), options)
    assert NUMBER.sub("#", shipped) == NUMBER.sub("#", made)
    ours, theirs = (np.array(NUMBER.findall(each), float) for each in (shipped, made))
    np.testing.assert_allclose(ours, theirs, rtol=3e-4, atol=1e-7)
