"""Scene cuts: frames that show something else than the one before."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANGE = 0.012
"""Mean difference of two small pictures, as a fraction of white, from which on it may be a cut."""
ALIKE = 0.5
"""Correlation of two small pictures from which on they show the same. Measured (`benchmarks/scene_cuts.py`):
pans, fades, flashes and noise have 0.63 and more, cuts 0.38 and less."""
FLAT = 0.002
"""Standard deviation of a small picture below which it counts as empty, such as black or white."""
FLAT_CHANGE = 0.15
"""The least difference of a cut to or from a flat picture; steps of fades are smaller."""
_SHIFTS = 2
"""Cells by which the picture may have moved from frame to frame, in each direction."""

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
    """Whether `after` begins a scene. It depends on two frames only, not on where reading began.

    Brightness and contrast may change, as in fades and flashes, and the picture may move: what counts is
    whether both show the same.
    """
    if before.shape != after.shape:
        return True
    change = float(np.abs(after - before).mean())
    if change <= CHANGE:
        return False
    before, after = _without_bars(before, after)
    if min(float(before.std()), float(after.std())) < FLAT:
        return change > FLAT_CHANGE
    if _correlation(before, after) >= ALIKE:
        return False
    rows, columns = (min(_SHIFTS, side // 8) for side in before.shape)
    return not any(
        _correlation(_moved(before, down, across), _moved(after, -down, -across)) >= ALIKE
        for down in range(-rows, rows + 1)
        for across in range(-columns, columns + 1)
    )


def _without_bars(
    before: NDArray[np.float32], after: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both pictures without the flat rows and columns at their edges that did not change, because black bars
    would make different pictures similar."""
    for axis in (0, 1):
        still = (np.abs(after - before) < FLAT).all(1 - axis)
        moves = np.flatnonzero(~(still & (np.ptp(before, axis=1 - axis) < FLAT)))
        if moves.size == 0:
            break
        inside = slice(int(moves[0]), int(moves[-1]) + 1)
        before, after = (each[inside] if axis == 0 else each[:, inside] for each in (before, after))
    return before, after


def _moved(picture: NDArray[np.float32], down: int, across: int) -> NDArray[np.float32]:
    """The part that remains inside when the picture moves."""
    height, width = picture.shape
    return picture[
        max(0, down) : height + min(0, down),
        max(0, across) : width + min(0, across),
    ]


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    power = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / power if power > 0 else 0.0
