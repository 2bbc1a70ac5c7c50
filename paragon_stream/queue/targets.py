"""The names of all results, chosen before the first render: no two files have one name."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from paragon_stream.media.facts.containers import is_readable_video_name, is_video_name
from paragon_stream.media.facts.image_kinds import is_image_name
from paragon_stream.queue.files import SourceFile, file_key
from paragon_stream.queue.request import Destination

_ROUNDS = 64
"""Attempts to find names; folders are not nested as deep."""


@dataclass(eq=False)
class _Candidate:
    """A file whose name is not final."""

    file: SourceFile
    name: Path
    suffix: str
    depth: int = 0
    """The number of folders above the file that the name contains."""

    def deepen(self) -> bool:
        """Put one more folder of the source before the name; False if there is none."""
        parents = Path(os.path.abspath(self.file.path)).parent.parts[1:]  # noqa: PTH100  (no "..")
        above = len(parents) - len(self.file.relative.parent.parts) - self.depth
        if above < 1:
            return False
        self.name = Path(parents[above - 1]) / self.name
        self.depth += 1
        return True

    def keep_suffix(self) -> bool:
        """film.avi becomes film.avi.mkv; False if both suffixes are equal, or this was done before."""
        wanted = self.file.relative.name + self.suffix
        if self.file.relative.suffix.lower() == self.suffix.lower() or self.name.name == wanted:
            return False
        self.name = self.name.with_name(wanted)
        return True

    def number(self, number: int) -> None:
        self.name = self.name.with_name(f"{self.name.stem} ({number}){self.name.suffix}")


def settle_names(
    files: Iterable[SourceFile], destination: Destination, given: Collection[tuple[str, Path]]
) -> dict[SourceFile, Path]:
    """The path of each file's result below the destination's folder.

    It is the file's relative path, with the suffix of what is written. Files that would have one name (on
    any system: letters' case does not count) get the folders above them, the source's own suffix, or a
    number. `given` are the names of earlier runs with the `file_key` of the source: they stay.
    """
    earlier = {(source, name.suffix.lower()): name for source, name in given}
    settled: dict[SourceFile, Path] = {}
    waiting: list[_Candidate] = []
    for file in files:
        name = plain_name(file, destination)
        kept = earlier.get((file_key(file.path), name.suffix.lower()))
        if kept is not None:
            settled[file] = kept
        else:
            waiting.append(_Candidate(file, name, name.suffix))
    taken = {_folded(name) for _, name in given}
    for _ in range(_ROUNDS):
        if not _part(waiting, taken):
            break
    settled |= {each.file: each.name for each in waiting}
    return settled


def plain_name(file: SourceFile, destination: Destination) -> Path:
    """The name of the file's result if no other file would have it."""
    suffix = _suffix(file, destination)
    if file.is_picture or is_readable_video_name(file.path):
        return file.relative.with_suffix(suffix)
    return file.relative.with_name(file.relative.name + suffix)  # "v1.2 final" ends with no suffix


def _part(waiting: list[_Candidate], taken: set[str]) -> bool:
    """Change the names that collide; False if none does."""
    groups: dict[str, list[_Candidate]] = defaultdict(list)
    for each in waiting:
        groups[_folded(each.name)].append(each)
    changed = False
    for name, group in groups.items():
        if len(group) == 1 and name not in taken:
            continue
        changed = True
        in_one_folder = len({Path(file_key(each.file.path)).parent for each in group}) == 1
        attempts = [each.keep_suffix() if in_one_folder else each.deepen() for each in group]
        if any(attempts):
            continue
        for number, each in enumerate(group, 2 if name in taken else 1):
            if number > 1:
                each.number(number)
    return changed


def _folded(path: Path) -> str:
    """Equal for two names that some system takes for one. macOS also disregards how an é is encoded."""
    return unicodedata.normalize("NFC", path.as_posix()).casefold()


def _suffix(file: SourceFile, destination: Destination) -> str:
    own = file.path.suffix
    if file.is_picture:
        return destination.picture or (own if is_image_name(file.path) else ".png")
    return destination.container or (own if is_video_name(file.path) else ".mkv")
