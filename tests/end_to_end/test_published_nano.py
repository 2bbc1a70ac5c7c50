"""2xParagonSR2_Nano_Pretrain as its author published it: at α = 1 its recorded answers, inside the border, in
pictures and videos from the command line, in the VapourSynth filter and in `Upscaler`."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from reading import read_all
from safetensors.numpy import load_file

from paragon_stream import Upscaler
from paragon_stream.cli.main import run

pytest.importorskip("onnxruntime")

type Picture = NDArray[np.uint8]
"""Rows, columns, R G B."""

BORDER = 54
"""HR pixels that the border's handling reaches: 27 source pixels are seen to each side."""


class Nano(NamedTuple):
    weights: Path
    source: Picture
    answer: NDArray[np.float64]
    """The result in codes, not rounded."""


@pytest.fixture(scope="module")
def nano() -> Iterator[Nano]:
    from places import SHARED

    folder = SHARED / "reference" / "golden" / "real"
    if not folder.is_dir():
        pytest.skip("needs ../shared")
    answers = load_file(folder / "2xParagonSR2_Nano_Pretrain_io.safetensors")
    source, answer = (255 * answers[key][0].astype(np.float64).transpose(1, 2, 0) for key in ("in", "out"))
    assert np.abs(source - source.round()).max() < 1e-3  # it is a picture of 8 bits
    yield Nano(folder / "2xParagonSR2_Nano_Pretrain.safetensors", source.round().astype(np.uint8), answer)


def assert_answer(found: Picture, nano: Nano, *, peak: int = 255) -> None:
    inside = slice(BORDER, -BORDER)
    error = np.abs(found.astype(np.float64) - (nano.answer * peak / 255).clip(0, peak))[inside, inside]
    assert found.shape == nano.answer.shape
    assert error.max() < 0.51  # of rounding to codes, which is 0.5


def test_a_picture_from_the_command_line(nano: Nano, tmp_path: Path) -> None:
    source, out = tmp_path / "in.png", tmp_path / "out.png"
    Image.fromarray(nano.source).save(source)
    arguments = [str(source), str(out), "--weights", str(nano.weights), "--alpha", "1", "--scale", "2"]
    assert run([*arguments, "--precision", "fp32"]) == 0
    with Image.open(out) as picture:
        assert_answer(np.asarray(picture), nano)


def test_a_video_from_the_command_line(nano: Nano, tmp_path: Path) -> None:
    source, out = tmp_path / "in.mkv", tmp_path / "out.mkv"
    height, width = nano.source.shape[:2]
    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
        frame = av.VideoFrame.from_ndarray(nano.source, "rgb24").reformat(format="bgr0")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    arguments = [str(source), str(out), "--weights", str(nano.weights), "--alpha", "1", "--scale", "2"]
    assert run([*arguments, "--precision", "fp32", "--codec", "ffv1", "--pix-fmt", "gbrp10le"]) == 0
    ((_, planes),), _ = read_all(out)
    assert_answer(np.stack([planes[2], planes[0], planes[1]], -1), nano, peak=1023)


def test_the_filter(nano: Nano) -> None:
    vs = pytest.importorskip("vapoursynth")
    import paragon_stream.vapoursynth as paragon

    height, width = nano.source.shape[:2]
    blank = vs.core.std.BlankClip(width=width, height=height, format=vs.RGB24, length=1)

    def paint(n: int, f: object) -> object:
        frame = f.copy()  # type: ignore[attr-defined]
        for index in range(3):
            np.copyto(np.asarray(frame[index]), nano.source[..., index])
        return frame

    out = paragon.upscale(
        blank.std.ModifyFrame(blank, paint), weights=str(nano.weights), alpha=1.0, scale=2, precision="fp32"
    )
    with out.get_frame(0) as frame:
        assert_answer(np.stack([np.asarray(frame[index]) for index in range(3)], -1), nano)


def test_the_upscaler(nano: Nano) -> None:
    height, width = nano.source.shape[:2]
    with Upscaler(
        width=width,
        height=height,
        pixel_format="rgb24",
        weights=nano.weights,
        alpha=1.0,
        scale=2,
        precision="fp32",
    ) as upscaler:
        assert_answer(upscaler(nano.source), nano)
