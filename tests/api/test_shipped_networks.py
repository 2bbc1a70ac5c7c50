"""The shipped networks on pictures that no camera makes: whatever comes in, a picture comes out."""

from __future__ import annotations

import numpy as np
import pytest
from network_reference import network

from paragon_stream.checkpoint import ShippedSet, list_shipped, load_weights

SIDE = 28


def patterns() -> dict[str, np.ndarray]:
    """The hardest there is for products of products: full contrast from pixel to pixel, values 0…1."""
    rows, columns = np.indices((SIDE, SIDE))
    return {
        "grid": np.maximum(rows % 2, columns % 2),
        "stripes": rows % 2,
        "checkerboard": (rows + columns) % 2,
        "noise": np.random.default_rng(0).random((SIDE, SIDE)),
    }


@pytest.mark.parametrize("shipped", list_shipped(), ids=lambda shipped: shipped.path.stem)
def test_patterns_of_full_contrast_stay_pictures(shipped: ShippedSet) -> None:
    """Without a limit on its products Stream answers some of them with 10⁵ and more."""
    weights = load_weights(shipped.path)
    for name, pattern in patterns().items():
        result = network(weights, np.stack([np.float64(pattern)] * 3))
        assert np.abs(result).max() < 8, name
        assert abs(float(result.mean() - pattern.mean())) < 0.3, name
