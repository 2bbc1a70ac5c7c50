"""GELU as shaders compute it: one exponential and one division, no error function.

    GELU(x) = x·Φ(x) ≈ x / (1 + 2^(-t·(A + B·t² + C·t⁴))),   t = x held to ±LIMIT

A, B and C are a minimax fit of the product's error over the whole axis. `ERROR` is what is left of it for |x|
below 9; beyond, the error grows with |x| by 3·10⁻⁷. Features in 16 bits are coarser than that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

A, B, C = 2.30112147, 0.106775624, -0.00101426866
LIMIT = 5.0
ERROR = 2.6e-5
"""Largest absolute error for |x| < 9; tests/framejob/test_gelu.py holds it."""


def gelu(x: NDArray[Any]) -> NDArray[Any]:
    """What shaders compute, for tests and reports."""
    t = np.clip(x, -LIMIT, LIMIT)
    square = t * t
    return np.asarray(x / (1 + np.exp2(-t * (A + square * (B + C * square)))))
