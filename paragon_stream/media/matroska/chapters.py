"""Matroska's chapters: editions, chapters in chapters, names in several languages (RFC 9559, 5.1.7).

Times are in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from paragon_stream.media.matroska import ids
from paragon_stream.media.matroska.ebml import Element
from paragon_stream.media.matroska.source import MatroskaFacts

NANOSECOND = Fraction(1, 1_000_000_000)


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter of a flat list; `end` is None if the chapter lasts until the next one begins."""

    start: int
    end: int | None
    title: str


def shown_chapters(facts: MatroskaFacts) -> list[Chapter]:
    """The chapters of the default edition as a flat list sorted by time, for containers that store only such
    a list.

    Hidden ones and those that play another file are left out; names are the first ones.
    """
    edition = _default_edition(facts)
    if edition is None:
        return []
    chapters = [
        Chapter(each.number_of(ids.CHAPTER_START), _end(each), _title(each))
        for each in edition.all(ids.CHAPTER)
        if not each.number_of(ids.CHAPTER_HIDDEN)
        and each.number_of(ids.CHAPTER_ENABLED, 1)
        and not _is_elsewhere(each, facts)
    ]
    return sorted(chapters, key=lambda chapter: chapter.start)


def kept_chapters(
    facts: MatroskaFacts, tracks: Mapping[int, int], begin: int = 0, end: int | None = None
) -> Element | None:
    """All chapters for another Matroska file, which contains the part from `begin` to `end`.

    `tracks` is the UID of a track in the source → that in the output. Chapters that play another file are
    left out. None if nothing is left.
    """
    if facts.chapters is None:
        return None
    cut = (begin, end) if begin or end is not None else None

    def keep(chapter: Element, fallback: int | None) -> Element | None:
        if _is_elsewhere(chapter, facts):
            return None
        if cut is not None:
            moved = _moved(chapter, fallback, *cut)
            if moved is None:
                return None
            chapter = moved
        inside = list(_kept(chapter, keep, fallback))
        return chapter.having(_with_tracks(inside, tracks))

    editions = []
    for edition in facts.chapters.all(ids.EDITION):
        children = list(_kept(edition, keep, end))
        if any(_is_elsewhere(chapter, facts) for chapter in _all_chapters(edition)):
            # Without those chapters the playback order would skip more than them.
            children = [child for child in children if child.id != ids.EDITION_ORDERED]
        if any(child.id == ids.CHAPTER for child in children):
            editions.append(edition.having(children))
    return facts.chapters.having(editions) if editions else None


def losses_when_flat(facts: MatroskaFacts) -> list[str]:
    """Sentences about the facts that a container with one flat list of chapters cannot store."""
    if facts.chapters is None:
        return []
    editions = list(facts.chapters.all(ids.EDITION))
    every = [chapter for edition in editions for chapter in _all_chapters(edition)]
    default = _default_edition(facts)
    top = list(default.all(ids.CHAPTER)) if default else []
    losses = []
    if len(editions) > 1:
        losses.append("further editions of the chapters")
    if any(chapter.first(ids.CHAPTER) for chapter in every):
        losses.append("chapters in chapters")
    if any(c.number_of(ids.CHAPTER_HIDDEN) or not c.number_of(ids.CHAPTER_ENABLED, 1) for c in top):
        losses.append("hidden chapters")
    if any(len(list(chapter.all(ids.CHAPTER_DISPLAY))) > 1 for chapter in top):
        losses.append("further names of chapters")
    if default is not None and default.number_of(ids.EDITION_ORDERED):
        losses.append("the order in which the chapters are to be played")
    return losses


def linked_losses(facts: MatroskaFacts) -> list[str]:
    """Sentences about links to other files, which are lost in every output."""
    losses = []
    every = [c for edition in _editions(facts) for c in _all_chapters(edition)]
    elsewhere = sum(_is_elsewhere(chapter, facts) for chapter in every)
    if elsewhere:
        what = "1 chapter plays" if elsewhere == 1 else f"{elsewhere} chapters play"
        losses.append(
            f"{what} a part of another file (linked segments) and cannot be carried over, nor can the order"
            " in which they are to be played"
        )
    if facts.linked:
        losses.append("the link to the file that plays before or after this one cannot be carried over")
    return losses


def uids(chapters: Element | None) -> set[int]:
    """The UIDs of all editions and chapters, which tags refer to."""
    editions = list(chapters.all(ids.EDITION)) if chapters else []
    found = {edition.number_of(ids.EDITION_UID) for edition in editions}
    return found | {c.number_of(ids.CHAPTER_UID) for edition in editions for c in _all_chapters(edition)}


def _editions(facts: MatroskaFacts) -> list[Element]:
    return [] if facts.chapters is None else list(facts.chapters.all(ids.EDITION))


def _default_edition(facts: MatroskaFacts) -> Element | None:
    editions = _editions(facts)
    default = (edition for edition in editions if edition.number_of(ids.EDITION_DEFAULT))
    return next(default, editions[0] if editions else None)


def _all_chapters(parent: Element) -> Iterator[Element]:
    for chapter in parent.all(ids.CHAPTER):
        yield chapter
        yield from _all_chapters(chapter)


def _is_elsewhere(chapter: Element, facts: MatroskaFacts) -> bool:
    """Whether it plays a part of another file."""
    segment = chapter.first(ids.CHAPTER_SEGMENT)
    return segment is not None and any(segment.data) and segment.data != facts.segment


def _title(chapter: Element) -> str:
    display = chapter.first(ids.CHAPTER_DISPLAY)
    return display.words_of(ids.CHAPTER_STRING) if display else ""


def _end(chapter: Element) -> int | None:
    found = chapter.first(ids.CHAPTER_END)
    return None if found is None else found.number


def _kept(
    parent: Element, keep: Callable[[Element, int | None], Element | None], end: int | None
) -> Iterator[Element]:
    """The children of an edition or chapter; a chapter without an end lasts until the next one begins."""
    starts = sorted(chapter.number_of(ids.CHAPTER_START) for chapter in parent.all(ids.CHAPTER))
    for child in parent.children:
        if child.id != ids.CHAPTER:
            yield child
            continue
        start = child.number_of(ids.CHAPTER_START)
        following = next((other for other in starts if other > start), end)
        if (kept := keep(child, following)) is not None:
            yield kept


def _moved(chapter: Element, fallback: int | None, begin: int, end: int | None) -> Element | None:
    """`chapter` on the clock of a part; None if it is outside."""
    start, own = chapter.number_of(ids.CHAPTER_START), _end(chapter)
    last = own if own is not None else fallback
    if (end is not None and start >= end) or (last is not None and last <= begin):
        return None
    changed = [Element.uint(ids.CHAPTER_START, max(0, start - begin))]
    if own is not None:
        changed.append(Element.uint(ids.CHAPTER_END, (own if end is None else min(own, end)) - begin))
    return chapter.put(*changed)


def _with_tracks(children: list[Element], tracks: Mapping[int, int]) -> Iterator[Element]:
    """`children` of a chapter, with the UIDs of the tracks that are left."""
    for child in children:
        if child.id != ids.CHAPTER_TRACKS:
            yield child
            continue
        left = [tracks[each.number] for each in child.all(ids.CHAPTER_TRACK_UID) if each.number in tracks]
        if left:
            yield child.having(Element.uint(ids.CHAPTER_TRACK_UID, uid) for uid in left)
