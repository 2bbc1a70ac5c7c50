"""The GELU of shaders against the exact one."""

from __future__ import annotations

import math

import numpy as np

from paragon_stream.framejob import gelu


def test_the_error_is_what_is_said() -> None:
    x = np.linspace(-9, 9, 20001)
    exact = np.array([v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x])
    error = float(np.abs(gelu.gelu(x) - exact).max())
    assert 0.9 * gelu.ERROR < error <= gelu.ERROR


def test_far_out_it_is_zero_or_the_identity() -> None:
    x = np.array([-1000.0, -50.0, 50.0, 1000.0])
    np.testing.assert_allclose(gelu.gelu(x), np.maximum(x, 0), atol=1e-3)
    assert np.isfinite(gelu.gelu(np.array([-6e4, 6e4], np.float32))).all()
