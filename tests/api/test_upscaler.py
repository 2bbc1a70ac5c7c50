"""`Upscaler`: planes in, planes out, the same kind back, clear words for wrong ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import scene

import paragon_stream
from paragon_stream import ColorSpec, Upscaler, report
from paragon_stream.errors import CheckpointError, FormatError, UsageError
from paragon_stream.frame import Matrix, pixel_format


@pytest.mark.parametrize(
    "name", ["yuv420p", "yuv420p10le", "yuv422p", "yuv444p", "gray", "gbrp", "rgb24", "rgb48", "yuvj420p"]
)
def test_the_same_kind_comes_back_twice_as_large(name: str) -> None:
    fmt = pixel_format(name)
    planes = scene(3, 48, 32, fmt.name)
    frame = planes[0] if len(planes) == 1 and name.startswith("rgb") else planes
    with Upscaler(width=48, height=32, pixel_format=name) as up:
        result = up(frame)
        again = up(frame)
    results = result if isinstance(result, tuple) else (result,)
    assert isinstance(result, tuple) == isinstance(frame, tuple)
    assert tuple(p.shape for p in results) == fmt.plane_shapes(96, 64)
    for small, large, twin in zip(
        planes, results, again if isinstance(again, tuple) else (again,), strict=True
    ):
        assert large.dtype == small.dtype
        assert np.array_equal(large, twin)
        plain = small.repeat(2, axis=0).repeat(2, axis=1).astype(float)
        assert np.abs(large - plain).mean() < 0.03 * fmt.peak  # it is the same picture


def test_a_bare_gray_array_will_do() -> None:
    (plane,) = scene(0, 32, 32, "gray")
    with Upscaler(width=32, height=32, pixel_format="gray") as up:
        result = up(plane)
        assert isinstance(result, np.ndarray)
        assert result.shape == (64, 64)


def test_deeper_output_comes_from_the_float_result() -> None:
    planes = scene(1, 48, 32)
    with (
        Upscaler(width=48, height=32, precision="fp32") as shallow,
        Upscaler(width=48, height=32, precision="fp32", output_pixel_format="yuv420p10le") as deep,
    ):
        eight, ten = shallow(planes), deep(planes)
    for low, high in zip(eight, ten, strict=True):
        assert high.dtype == np.uint16
        assert np.abs(high / 4 - low).max() <= 0.5 + 0.25 / 2
        assert (high % 4 != 0).mean() > 0.5  # the low bits carry something


@pytest.mark.parametrize("strength", [float("nan"), 5, -0.1, "high"])
def test_a_strength_is_checked(strength: float | str) -> None:
    planes = scene(1, 48, 32)
    with Upscaler(width=48, height=32, strength=0.5) as up:
        with pytest.raises(UsageError, match="invalid strength"):
            up(planes, strength=strength)
        assert all(np.array_equal(a, b) for a, b in zip(up(planes, strength="auto"), up(planes), strict=True))


def test_views_and_borrowed_memory_are_read_rightly() -> None:
    y, u, v = scene(2, 48, 32)
    padded = np.zeros((32, 64), np.uint8)
    padded[:, :48] = y
    padded.flags.writeable = False
    with Upscaler(width=48, height=32) as up:
        for a, b in zip(up((y, u, v)), up((padded[:, :48], u[::-1][::-1], v)), strict=True):
            assert np.array_equal(a, b)


def test_the_matrix_matters() -> None:
    planes = scene(2, 48, 32)
    with (
        Upscaler(width=48, height=32, color=ColorSpec(matrix=Matrix.BT709)) as hd,
        Upscaler(width=48, height=32) as guessed,
    ):
        assert guessed.source.color.matrix is Matrix.SMPTE170M
        assert any((a != b).any() for a, b in zip(hd(planes), guessed(planes), strict=True))


def test_wrong_planes_are_refused_in_words() -> None:
    y, u, v = scene(0, 48, 32)
    with Upscaler(width=48, height=32) as up:
        for frame in ((y, u), (y, v, u[:8]), (y.astype(np.uint16), u, v), y):
            with pytest.raises(FormatError, match=r"48x32 yuv420p takes planes of shape"):
                up(frame)


@pytest.mark.parametrize(
    ("options", "error", "word"),
    [
        ({"variant": "ultra"}, UsageError, "ultra"),
        ({"scale": 5}, UsageError, "5"),
        ({"engine": "warp"}, UsageError, "warp"),
        ({"precision": "fp8"}, UsageError, "fp8"),
        ({"threads": 0}, UsageError, "threads"),
        ({"weights": "nonesuch"}, UsageError, "nonesuch"),
        ({"weights": Path("missing.safetensors")}, CheckpointError, "missing.safetensors"),
        ({"pixel_format": "xyz12"}, FormatError, "xyz12"),
        ({"width": 0}, FormatError, "0×32"),
    ],
)
def test_wrong_options_are_refused_in_words(
    options: dict[str, object], error: type[Exception], word: str
) -> None:
    with pytest.raises(error, match=word):
        Upscaler(**{"width": 48, "height": 32, **options})  # type: ignore[arg-type]


def test_names_can_be_found_by_looking_around() -> None:
    found = dir(paragon_stream)
    assert {"upscale", "upscale_images", "live", "Upscaler", "__version__"} <= set(found)
    assert all(getattr(paragon_stream, name) is not None for name in paragon_stream.__all__)
    reports = {name for name in vars(report) if name.endswith(("Report", "Result"))} - {"JsonReport"}
    assert reports <= set(found)
