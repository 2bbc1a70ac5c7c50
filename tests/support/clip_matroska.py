"""Matroska clips with what FFmpeg's muxer cannot write: editions, nested chapters, levels of tags."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import av
import pytest
from clips import make_clip

from paragon_stream.media.facts.streams import matroska_facts
from paragon_stream.media.matroska import ids
from paragon_stream.media.matroska.ebml import Element
from paragon_stream.media.matroska.header import HeaderChange, TrackChange, write_header
from paragon_stream.media.matroska.source import MatroskaFacts

SECOND = 1_000_000_000
LINKED = bytes(range(16))
"""The UUID of a file that chapters may play a part of."""


def master(id: int, *children: Element) -> Element:
    return Element(id, children=children)


def chapter(
    uid: int, start: float, *names: str, end: float | None = None, inside: tuple[Element, ...] = ()
) -> Element:
    """A chapter; the first of its names is English, the second German."""
    displays = [
        master(ids.CHAPTER_DISPLAY, Element.text(ids.CHAPTER_STRING, name), Element.text(0x437C, language))
        for name, language in zip(names, ("eng", "ger"), strict=False)
    ]
    ends = [] if end is None else [Element.uint(ids.CHAPTER_END, round(end * SECOND))]
    begin = Element.uint(ids.CHAPTER_START, round(start * SECOND))
    return master(ids.CHAPTER, Element.uint(ids.CHAPTER_UID, uid), begin, *ends, *displays, *inside)


def edition(uid: int, *children: Element, default: bool = False, ordered: bool = False) -> Element:
    flags = [Element.uint(ids.EDITION_UID, uid), Element.uint(ids.EDITION_DEFAULT, int(default))]
    if ordered:
        flags.append(Element.uint(ids.EDITION_ORDERED, 1))
    return master(ids.EDITION, *flags, *children)


def tag(name: str, value: str, *target: Element) -> Element:
    simple = master(ids.SIMPLE_TAG, Element.text(ids.TAG_NAME, name), Element.text(ids.TAG_STRING, value))
    return master(ids.TAG, master(ids.TARGETS, *target), simple)


def make_matroska(
    path: Path,
    *,
    chapters: tuple[Element, ...] = (),
    tags: tuple[Element, ...] = (),
    tag_of_track: Mapping[int, tuple[str, str]] | None = None,
    tracks: Mapping[int, TrackChange] | None = None,
    **clip: object,
) -> Path:
    """A clip of `make_clip` with these `chapters` (editions), `tags`, and changes of its `tracks`.

    tag_of_track: number of a track → name and value of a tag of it.
    """
    options = {"metadata_header_padding": "4000"}
    make_clip(path, format="matroska", container_options=options, **clip)  # type: ignore[arg-type]
    made = matroska_facts(path, "matroska")
    assert made is not None
    own = {number: track.uid for number, track in enumerate(made.tracks)}
    tagged = [
        tag(name, value, Element.uint(ids.TAG_TRACK, own[number]))
        for number, (name, value) in (tag_of_track or {}).items()
    ]
    facts = MatroskaFacts(
        tracks=made.tracks,
        chapters=master(ids.CHAPTERS, *chapters) if chapters else None,
        tags=master(ids.TAGS, *tags, *tagged) if tags or tagged else None,
        attachments=made.attachments,
        segment=LINKED,  # chapters of it are written as well
    )
    change = HeaderChange(
        source=facts,
        amend=lambda name, value: value,
        tracks=dict(tracks or {}),
        source_tracks={uid: number for number, uid in own.items()},
        source_attachments={uid: number for number, uid in enumerate(made.attachments)},
    )
    assert write_header(path, change)
    return path


def mkvextract(path: Path, what: str) -> str:
    """The chapters or tags of a file as mkvtoolnix reads them; skips the test where that is not installed."""
    tool = shutil.which("mkvextract")
    if tool is None:
        pytest.skip("mkvtoolnix is not installed")
    done = subprocess.run([tool, str(path), what], capture_output=True, text=True, check=True)
    return done.stdout


def pictures(path: Path) -> int:
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))
