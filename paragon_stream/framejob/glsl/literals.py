"""Weights as short GLSL literals: a player parses the text at every start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIGITS = 5
"""Significant digits of a weight: ten times finer than the 11 bits of the features that it multiplies."""


def number(value: float | np.floating[Any], digits: int = _DIGITS) -> str:
    """The shortest float literal: `.0123`, `-4.`, `1e-6`."""
    text = f"{float(value):.{digits}g}"
    mantissa, e, exponent = text.partition("e")
    if e:
        return f"{mantissa}e{int(exponent)}"
    if "." not in text:
        return f"{text}."
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def vector(values: Iterable[float | np.floating[Any]]) -> str:
    """Four numbers as `V4(…)`."""
    return f"V4({','.join(map(number, values))})"


def matrix(weights: NDArray[Any]) -> str:
    """weights (4 outputs, 4 inputs) as `M4(…)`, column by column, for `M4(…) * inputs`."""
    return f"M4({','.join(number(each) for each in weights.T.reshape(-1))})"
