"""Scene cuts: frames that show something else than the one before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CUT = 0.07
"""Mean difference of two small pictures, as a fraction of white, from which on it is a cut. Pans and fades
stay below."""

_COLUMNS, _ROWS = 32, 18


def small_picture(plane: NDArray[Any], peak: int) -> NDArray[np.float32]:
    """A frame's first plane (H×W, or H×W×C of packed formats) as 18×32 means, in 0…1. Cuts are found on it.

    Every fourth row is read: brightness counts, not detail. Smaller planes give fewer means.
    """
    return means(plane[:: row_step(plane.shape[0])], peak)


def row_step(rows: int) -> int:
    """Distance between the rows that `small_picture` reads, in a plane of `rows` rows."""
    return max(1, min(4, rows // _ROWS))


def means(rows: NDArray[Any], peak: int) -> NDArray[np.float32]:
    """`small_picture` of a plane's rows that it looks at."""
    height, width = max(1, rows.shape[0] // _ROWS), max(1, rows.shape[1] // _COLUMNS)
    down, across = min(_ROWS, rows.shape[0]), min(_COLUMNS, rows.shape[1])
    cells = rows[: down * height, : across * width].reshape(down, height, across, -1)
    return cells.mean((1, 3), dtype=np.float32) / np.float32(peak)


def is_cut(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Whether `after` begins a scene. It depends on two frames only, not on where reading began."""
    return before.shape != after.shape or float(np.abs(after - before).mean()) > CUT
