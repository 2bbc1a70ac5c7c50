"""Exif's orientation: how a picture that is stored turned or mirrored is shown."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def swaps_sides(orientation: int) -> bool:
    """Whether rows are shown as columns."""
    return orientation >= 5


def as_stored(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of the upright picture, H×W or H×W×C, that has rows and columns where the turned one has them.

    Writing a stored picture into the view turns it. Meanings: CIPA DC-008, table "Orientation": 2 mirrored,
    3 by 180°, 4 upside down, 5 exchanged along the main diagonal, 6 to be turned clockwise, 7 along the
    other diagonal, 8 anticlockwise.
    """
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    return upright.swapaxes(0, 1) if swaps_sides(orientation) else upright
