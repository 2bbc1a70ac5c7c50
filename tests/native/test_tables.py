"""Tables that the kernels compute by: GELU's, and weights of convolutions with fewer products."""

from __future__ import annotations

import math

import numpy as np
import pytest

from paragon_stream.framejob.native.gelu import LENGTH, SEGMENTS, gelu_table
from paragon_stream.framejob.native.winograd import POINTS, TILE, products_of, transformed


@pytest.mark.parametrize(("terms", "error"), [(4, 5.3e-7), (3, 7.5e-5)])
def test_gelu_by_table(terms: int, error: float) -> None:
    """All coefficients, and without the last: what `gelu` in pointwise.h looks up."""
    table = gelu_table()[:terms].astype(np.float64)
    x = np.linspace(-8, 8, 40_001)
    places = np.minimum(np.abs(x) / LENGTH, SEGMENTS - 0.501)
    segments = np.rint(places).astype(int)
    rest = sum(row[segments] * (places - segments) ** power for power, row in enumerate(table))
    exact = np.array([value * math.erfc(-value / math.sqrt(2)) / 2 for value in x])
    assert np.abs(np.maximum(x, 0) - rest - exact).max() < error


@pytest.mark.parametrize("taps", [3, 4, 5])
def test_convolutions_by_fewer_products(taps: int) -> None:
    """Toom and Cook's matrices for pixels and results, as winograd.h makes them, with these weights."""
    count = products_of(taps)
    finite = POINTS[: count - 1]
    to = np.zeros((count, count))
    for row, point in enumerate(finite):
        to[row, :-1] = np.poly([other for other in finite if other != point])[::-1]
    to[-1] = np.poly(finite)[::-1]
    back = np.zeros((TILE, count))
    back[:, :-1] = np.array(finite) ** np.arange(TILE)[:, None]
    back[-1, -1] = 1
    rng = np.random.default_rng(taps)
    pixels, weights = rng.normal(size=count), rng.normal(size=taps)
    expected = [pixels[first : first + taps] @ weights for first in range(TILE)]
    np.testing.assert_allclose(back @ (transformed(weights) * (to @ pixels)), expected, atol=1e-12)
