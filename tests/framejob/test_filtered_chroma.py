"""Weights that leave chroma to a filter: U and V are its, on their own grid; luma is the network's."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from paragon_stream.checkpoint import load_weights, save_weights
from paragon_stream.frame import ChromaLocation, ColorRange, ColorSpec, Matrix, pixel_format
from paragon_stream.framejob.taps import FilterBank, chroma_enlarged
from paragon_stream.upscaler import Upscaler

SIZE = 48
LEFT, TOPLEFT = ChromaLocation.LEFT, ChromaLocation.TOPLEFT


def weights(folder: Path, scale: int, *, filters: bool) -> Path:
    shipped = load_weights("fidelity", scale=scale)
    absent = dict.fromkeys(("recipe", "data_licences", "name"), "test")
    facts = {"generation": "p2head", "variant": "realtime", "scale": str(scale), "upsampler_alpha": "0.0"}
    metadata = absent | facts
    path = folder / f"{filters}.safetensors"
    save_weights(path, shipped.tensors, metadata | {"filters_chroma": str(filters).lower()})
    assert load_weights(path).spec.filters_chroma is filters
    return path


def upscaled(path: Path, pixels: str, location: ChromaLocation, planes: list[np.ndarray], **more: object):  # type: ignore[no-untyped-def]
    color = ColorSpec(matrix=Matrix.BT709, range=ColorRange.LIMITED, chroma_location=location)
    with Upscaler(
        width=SIZE,
        height=SIZE,
        pixel_format=pixels,
        color=color,
        weights=path,
        precision="fp32",
        **more,  # type: ignore[arg-type]
    ) as upscaler:
        return upscaler(tuple(planes))


def source(pixels: str) -> list[np.ndarray]:
    kind = pixel_format(pixels)
    rng = np.random.default_rng(5)
    store = np.uint8 if kind.depth == 8 else np.uint16
    shapes = kind.plane_shapes(SIZE, SIZE)
    return [rng.integers(40, 200, shape).astype(store) * (kind.peak // 255) for shape in shapes]


def along(plane: np.ndarray, bank: FilterBank, axis: int) -> np.ndarray:
    """A filter bank of step 1 with edges replicated, in double precision."""
    plane = np.moveaxis(plane.astype(np.float64), axis, 0)
    size, count = len(plane), len(bank.phases)
    out = np.zeros((size * count, *plane.shape[1:]))
    for phase, taps in enumerate(bank.phases):
        for offset, weight in taps.items():
            out[phase::count] += float(weight) * plane[np.clip(np.arange(size) + offset, 0, size - 1)]
    return np.moveaxis(out, 0, axis)


@pytest.mark.parametrize(
    ("pixels", "location", "scale"),
    [
        ("yuv420p", LEFT, 2),
        ("yuv420p10le", TOPLEFT, 2),
        ("yuv422p", LEFT, 2),
        ("yuv444p", LEFT, 2),
        ("yuv420p", LEFT, 3),
        ("yuv420p", LEFT, 4),
    ],
)
def test_chroma_is_the_filters_and_luma_the_networks(
    tmp_path: Path, pixels: str, location: ChromaLocation, scale: int
) -> None:
    planes = source(pixels)
    plain, filtered = (
        upscaled(weights(tmp_path, scale, filters=f), pixels, location, planes) for f in (False, True)
    )
    assert np.abs(plain[0].astype(int) - filtered[0]).max() <= 1
    kind = pixel_format(pixels)
    across, down = (1 << shift for shift in kind.subsampling)
    rows = chroma_enlarged(scale, down, location.vertical)
    columns = chroma_enlarged(scale, across, location.horizontal)
    for low, made in zip(planes[1:], filtered[1:], strict=True):
        expected = np.clip(np.rint(along(along(low, rows, 0), columns, 1)), 0, kind.peak)
        assert np.abs(made - expected).max() <= 1
        assert (np.abs(made - expected) > 0).mean() < 0.01


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("pixels", ["rgb24", "gbrp"])
def test_gray_stays_gray(tmp_path: Path, pixels: str, scale: int) -> None:
    """Colours that the network would invent do not get through."""
    low = np.random.default_rng(5).integers(40, 200, (SIZE, SIZE)).astype(np.uint8)
    given = (np.dstack([low] * 3),) if pixels == "rgb24" else (low, low, low)
    path = weights(tmp_path, scale, filters=True)
    with Upscaler(width=SIZE, height=SIZE, pixel_format=pixels, weights=path, precision="fp32") as upscaler:
        made = upscaler(given)
    red, green, blue = made if pixels == "gbrp" else np.moveaxis(made[0], 2, 0)
    np.testing.assert_array_equal(red, green)
    np.testing.assert_array_equal(red, blue)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("position", [Fraction(0), Fraction(1, 2), Fraction(1)])
def test_the_filter_keeps_constants_and_slopes_where_they_are(
    scale: int, factor: int, position: Fraction
) -> None:
    bank = chroma_enlarged(scale, factor, position)
    offset = position * (factor - 1)
    for phase, taps in enumerate(bank.phases):
        assert sum(taps.values()) == 1
        # Luma positions of the target sample, on the source's luma grid, and of the taps.
        place = (factor * phase + offset + Fraction(1, 2)) / scale - Fraction(1, 2)
        centre = sum(weight * (factor * k + offset) for k, weight in taps.items())
        assert abs(centre - place) < Fraction(factor, 25)
