"""The chapters of a file as one list sorted by time, as players show them and as every container stores
them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from paragon_stream.media.matroska.chapters import NANOSECOND, shown_chapters
from paragon_stream.media.matroska.source import MatroskaFacts


def chapter_list(source: Any, matroska: MatroskaFacts | None) -> list[Any]:
    """The chapters of the open `source`, as PyAV has them.

    For Matroska, FFmpeg returns all editions in one list, the last of several names, and hidden chapters too;
    so Matroska's chapters are read from the header itself.
    """
    if matroska is None or matroska.chapters is None:
        return list(source.chapters())
    shown = shown_chapters(matroska)
    length = round(Fraction(source.duration or 0, 1_000_000) / NANOSECOND)
    ends = [chapter.start for chapter in shown[1:]] + [length]
    return [
        {
            "id": number,
            "start": chapter.start,
            "end": max(chapter.start, following if chapter.end is None else chapter.end),
            "time_base": NANOSECOND,
            "metadata": {"title": chapter.title} if chapter.title else {},
        }
        for number, (chapter, following) in enumerate(zip(shown, ends, strict=True), 1)
    ]
