"""Matroska's tags, each with its target: a collection, a track, an edition … (RFC 9559, 5.1.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from paragon_stream.media.matroska import ids
from paragon_stream.media.matroska.ebml import Element

type Amend = Callable[[str, str], str | None]
"""The value of a tag, by its name and old value, in the new file; None leaves it out."""
_OF_THE_NEW_FILE = frozenset({"DURATION", "ENCODER"})
"""Tags that FFmpeg writes for each track."""
_TARGETS = (ids.TAG_TRACK, ids.TAG_EDITION, ids.TAG_CHAPTER, ids.TAG_ATTACHMENT)


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The targets of a source's tags in the output: UIDs of the source → UIDs of the output, by ID of the
    target."""

    tracks: Mapping[int, int]
    attachments: Mapping[int, int]
    chapters: frozenset[int]
    """UIDs of the editions and chapters that are kept."""

    def of(self, id: int, uid: int) -> int | None:
        """The number in the output of the element `uid` of the kind `id`; None if it is not in the output. 0
        stands for all elements of a kind."""
        if uid == 0:
            return 0
        if id == ids.TAG_TRACK:
            return self.tracks.get(uid)
        if id == ids.TAG_ATTACHMENT:
            return self.attachments.get(uid)
        return uid if uid in self.chapters else None


def kept_tags(source: Element | None, written: Element | None, targets: Targets, amend: Amend) -> Element:
    """The tags of the `source`, and those of FFmpeg's `written` tags that are about the new file, added files
    and attachments. FFmpeg's copies of the source's tags are left out, because they have lost their
    targets. A timecode that the source has in its video only, not as a tag, is kept."""
    tags = list(_of_source(source, targets, amend)) if source else []
    ours = set(targets.tracks.values())
    timed = [_target_uids(tag) for tag in tags if any(map(_is_timecode, tag.children))]
    for tag in written.all(ids.TAG) if written else ():
        about = _target_uids(tag)
        if not about or about & ours:
            new = bool(about) and not any(not uids or uids & about for uids in timed)
            tag = tag.having(
                child for child in tag.children if not _is_copied(child) or (new and _is_timecode(child))
            )
        if tag.first(ids.SIMPLE_TAG) is not None:
            tags.append(tag)
    return Element(ids.TAGS, children=tuple(tags))


def _is_copied(child: Element) -> bool:
    return child.id == ids.SIMPLE_TAG and child.words_of(ids.TAG_NAME) not in _OF_THE_NEW_FILE


def _is_timecode(child: Element) -> bool:
    return child.id == ids.SIMPLE_TAG and child.words_of(ids.TAG_NAME).casefold() == "timecode"


def _target_uids(tag: Element) -> set[int]:
    target = tag.first(ids.TARGETS)
    return {child.number for child in target.children if child.id in _TARGETS} if target else set()


def _of_source(source: Element, targets: Targets, amend: Amend) -> Iterator[Element]:
    for tag in source.all(ids.TAG):
        children: list[Element] = []
        for child in tag.children:
            if child.id == ids.TARGETS:
                moved = _moved(child, targets)
                if moved is None:
                    children.clear()
                    break
                children.append(moved)
            elif child.id == ids.SIMPLE_TAG:
                children += _amended(child, amend)
        if any(child.id == ids.SIMPLE_TAG for child in children):
            yield tag.having(children)


def _moved(target: Element, targets: Targets) -> Element | None:
    """`target` with the UIDs of the output; None if the output has none of its elements."""
    children, gone, left = [], False, False
    for child in target.children:
        if child.id not in _TARGETS:
            children.append(child)
            continue
        uid = targets.of(child.id, child.number)
        if uid is None:
            gone = True
        else:
            left = True
            children.append(Element.uint(child.id, uid))
    return None if gone and not left else target.having(children)


def _amended(tag: Element, amend: Amend) -> Iterator[Element]:
    text = tag.first(ids.TAG_STRING)
    value = amend(tag.words_of(ids.TAG_NAME), text.words if text else "")
    if value is None:
        return
    yield tag if text is None or value == text.words else tag.put(Element.text(ids.TAG_STRING, value))
