"""Captions: lines of text as pixels, from a picture of letters that is part of this package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paragon_stream.media.browser import gray_png

_LETTERS = Path(__file__).with_name("letters.png")
"""The printable letters of ASCII side by side; white pixels of the first row are where they begin. See
scripts/make_letters.py."""
_PAPER, _MARGIN = 20, 4
"""Code of the background, and pixels around the text."""


def caption(lines: list[str], width: int) -> NDArray[np.uint8]:
    """`lines` in white on black, rows × `width`. Too long lines end in dots; letters outside of ASCII become
    question marks."""
    letters = _letters()
    height = letters[0].shape[0]
    picture = np.zeros((len(lines) * height + 2 * _MARGIN, width), np.uint8)
    for number, line in enumerate(lines):
        drawn = np.hstack([letters[_index(letter)] for letter in _fitting(line, width - 2 * _MARGIN) or " "])
        top = _MARGIN + number * height
        picture[top : top + height, _MARGIN : _MARGIN + drawn.shape[1]] = drawn[:, : width - _MARGIN]
    return np.maximum(picture, _PAPER)


def _fitting(line: str, width: int) -> str:
    """`line`, or its beginning with dots, in at most `width` pixels."""
    wide = [letter.shape[1] for letter in _letters()]

    def length(text: str) -> int:
        return sum(wide[_index(letter)] for letter in text)

    if length(line) <= width:
        return line
    while line and length(line + "...") > width:
        line = line[:-1]
    return line + "..."


def _index(letter: str) -> int:
    return ord(letter) - 32 if " " <= letter <= "~" else ord("?") - 32


@cache
def _letters() -> list[NDArray[np.uint8]]:
    strip = gray_png(_LETTERS.read_bytes())
    return np.split(strip[1:], np.flatnonzero(strip[0] == 255)[1:], axis=1)
