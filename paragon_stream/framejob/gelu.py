"""GELU for shaders: one exponential and one division, no error function.

    GELU(x) = x·Φ(x) ≈ x / (1 + 2^(-t·(A + B·t² + C·t⁴))), t = x clamped to ±LIMIT

A, B and C are a minimax fit of the product's error over the whole axis. `ERROR` is the remaining error for
|x| below 9; beyond, the error grows with |x| by 3·10⁻⁷. The rounding of 16-bit features is larger.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

A, B, C = 2.30112147, 0.106775624, -0.00101426866
LIMIT = 5.0
ERROR = 2.6e-5
"""Largest absolute error for |x| < 9; tests/framejob/test_gelu.py checks it."""


def gelu(x: NDArray[Any]) -> NDArray[Any]:
    """The shaders' GELU in numpy, for tests and reports."""
    t = np.clip(x, -LIMIT, LIMIT)
    square = t * t
    return np.asarray(x / (1 + np.exp2(-t * (A + square * (B + C * square)))))
