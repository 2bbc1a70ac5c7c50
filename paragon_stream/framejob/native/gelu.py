"""GELU by table, for kernels that look up coefficients: see `gelu` in `native/src/pointwise.h`.

GELU is max(x, 0) − r(|x|) with r(t) = t (1 − Φ(t)). Each of 32 segments has a polynomial of degree 3 in the
distance from its centre, −1/2 … 1/2 of its length. Beyond the last segment r is taken as its end.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.polynomial import chebyshev, polynomial

from paragon_stream.framejob.conv import Floats

SEGMENTS = 32
LENGTH = 5.2 / 31.5
"""The length of a segment. The first begins at its centre: 31.5 of them reach to 5.2, where r is 5·10⁻⁷, as
large as the error within the segments."""

_DEGREE = 3


@functools.cache
def gelu_table() -> Floats:
    """The coefficients (4, 32), the constant first."""
    places = chebyshev.chebpts1(_DEGREE + 1) / 2
    values = [[_rest((segment + place) * LENGTH) for segment in range(SEGMENTS)] for place in places]
    return polynomial.polyfit(places, np.array(values), _DEGREE).astype(np.float32)


def _rest(t: float) -> float:
    return t * math.erfc(t / math.sqrt(2)) / 2
