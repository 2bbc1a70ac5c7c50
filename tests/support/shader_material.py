"""Pictures, what our engine makes of them, and what a shader makes of them in another program."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from places import PROGRAMS

from paragon_stream.checkpoint import Weights, at_strength, load_weights
from paragon_stream.frame import ColorRange, ColorSpec, FrameFormat, Matrix, pixel_format
from paragon_stream.framejob import allocate_planes, build_job
from paragon_stream.runtimes import Precision, SessionOptions, runtime

STRENGTH = 0.4

ICDS = sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))
"""Mesa's Vulkan for CPUs, lavapipe."""

needs_lavapipe = pytest.mark.skipif(
    not ICDS, reason="needs a software Vulkan: apt-get install mesa-vulkan-drivers"
)
needs_placebo = pytest.mark.skipif(
    not {"vapoursynth", "vs-placebo"} <= {each.name.replace("_", "-").lower() for each in distributions()},
    reason="needs vs-placebo: pip install vs-placebo",
)


def environment() -> dict[str, str]:
    return {**os.environ, **({"VK_ICD_FILENAMES": str(ICDS[0])} if ICDS else {})}


def network(name: str = "video", scale: int = 2, variant: str = "realtime") -> Weights:
    """A shipped set, without its input for the strength."""
    weights = load_weights(name, variant=variant, scale=scale)
    return at_strength(weights, STRENGTH) if weights.spec.conditioned else weights


def luma_picture(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """Soft waves, edges and a little noise, clear of black and white."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    noise = np.random.default_rng(seed).uniform(-0.05, 0.05, x.shape)
    value = 0.5 + 0.3 * np.sin((x * x + y * y) / 800) + 0.12 * np.sin(x / 3 + y / 7 + seed) + noise
    value += 0.1 * np.where((x // 9 + y // 7) % 2, 1, -1)
    return np.clip(np.rint(16 + 219 * value), 20, 230).astype(np.uint8)


def rgb_picture(width: int, height: int) -> NDArray[np.uint8]:
    """(3, height, width): R, G, B that differ, in reach of 0…255 after enlargement."""
    planes = np.stack([luma_picture(width, height, seed) for seed in range(3)]).astype(float)
    planes[1] = 0.8 * planes[1] + 20 * np.sin(np.arange(width) / 20) + 20
    return np.clip(np.rint(0.6 * planes + 50), 30, 225).astype(np.uint8)


def upscaled_luma(weights: Weights, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The result of our fp32 frame job for limited luma, in 8-bit codes with their fractions."""
    color = ColorSpec(matrix=Matrix.BT709, range=ColorRange.LIMITED)
    (plane,) = _upscaled(weights, [picture], "gray", "gray16le", color)
    return plane / 256.0


def upscaled_rgb(weights: Weights, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The same for R'G'B' of full range, (3, height, width)."""
    color = ColorSpec(matrix=Matrix.RGB, range=ColorRange.FULL)
    red, green, blue = picture
    green_, blue_, red_ = _upscaled(weights, [green, blue, red], "gbrp", "gbrp16le", color)
    return np.stack([red_, green_, blue_]) / 257.0


def _upscaled(
    weights: Weights, planes: list[NDArray[np.uint8]], source: str, target: str, color: ColorSpec
) -> tuple[NDArray[Any], ...]:
    height, width = planes[0].shape
    format = FrameFormat(width=width, height=height, pixel_format=pixel_format(source), color=color)
    job = build_job(weights, format, pixel_format=pixel_format(target))
    session = runtime("openvino").compile(job, SessionOptions(precision=Precision.FP32))
    outputs = allocate_planes(job.target)
    session.run(tuple(map(np.ascontiguousarray, planes)), outputs, 0.0).wait()
    return outputs


def psnr(got: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    """PSNR of unclipped samples, in dB against 255."""
    inside = (wanted > 1) & (wanted < 254)
    assert inside.mean() > 0.9
    return float(10 * np.log10(255**2 / np.square(got - wanted)[inside].mean()))


_BT709 = np.array(
    [
        [0.2126, 0.7152, 0.0722],
        [-0.2126 / 1.8556, -0.7152 / 1.8556, 0.5],
        [0.5, -0.7152 / 1.5748, -0.0722 / 1.5748],
    ]
)


def placebo_luma(folder: Path, shader: str, picture: NDArray[np.uint8], scale: int) -> NDArray[np.float64]:
    """Luma of `picture` through vs-placebo, in 8-bit codes with their fractions."""
    wide = picture.astype(np.uint16) * 257
    planes = np.stack([wide, np.full_like(wide, 1 << 15), np.full_like(wide, 1 << 15)])
    return _placebo(folder, shader, planes, scale)[0] / 257.0


def placebo_rgb(folder: Path, shader: str, picture: NDArray[np.uint8], scale: int) -> NDArray[np.float64]:
    """R'G'B' through vs-placebo, which takes and gives YUV: BT.709 of limited range, 16 bits."""
    yuv = np.tensordot(_BT709, picture / 255, 1)
    codes = np.stack([16 + 219 * yuv[0], 128 + 224 * yuv[1], 128 + 224 * yuv[2]])
    got = _placebo(folder, shader, np.rint(codes * 256).astype(np.uint16), scale) / 256.0
    back = np.stack([(got[0] - 16) / 219, (got[1] - 128) / 224, (got[2] - 128) / 224])
    return 255 * np.tensordot(np.linalg.inv(_BT709), back, 1)


def _placebo(folder: Path, shader: str, planes: NDArray[np.uint16], scale: int) -> NDArray[np.uint16]:
    """Runs in a separate process: the driver is chosen by the environment, and stays for a process's life."""
    text, came, went = folder / "shader.glsl", folder / "came.npy", folder / "went.npy"
    text.write_text(shader, encoding="ascii")
    np.save(came, planes)
    program = PROGRAMS / "through_placebo.py"
    done = subprocess.run(
        [sys.executable, program, text, came, went, str(scale)],
        env=environment(), capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return np.load(went)
