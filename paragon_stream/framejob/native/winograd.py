"""Weights of convolutions that the kernels compute by fewer products: see `native/src/winograd.h`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paragon_stream.framejob.conv import Doubles

TILE = 4
"""Results that are made at once."""

TAPS = (4, 5)
"""Taps of a tail along a row that are computed in tiles; others are computed directly."""

POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
"""The interpolation points, as `POINTS` in winograd.h; infinity follows as the last."""


def products_of(taps: int) -> int:
    """The number of products that `TILE` results need."""
    return TILE + taps - 1


def transformed(weight: NDArray[np.floating]) -> Doubles:
    """(…, taps) as (…, products)."""
    taps = weight.shape[-1]
    points = np.array(POINTS[: products_of(taps) - 1])
    distances = points[:, None] - points
    np.fill_diagonal(distances, 1.0)
    matrix = points[:, None] ** np.arange(taps) / distances.prod(axis=1)[:, None]
    matrix = np.concatenate([matrix, np.eye(taps)[-1:]])
    products: Doubles = weight.astype(np.float64) @ matrix.T
    return products
