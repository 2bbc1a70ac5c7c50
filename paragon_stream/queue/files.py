"""Finds the files of a run: those in folders, of globs and of lists, and single files."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paragon_stream.errors import InputError
from paragon_stream.media.facts.containers import is_readable_video_name
from paragon_stream.media.facts.image_kinds import HEIF_SUFFIXES, is_image_name, is_other_picture
from paragon_stream.media.facts.source import check_local, check_name
from paragon_stream.media.ffmpeg.errors import reason
from paragon_stream.number_text import counted

_NAMED = 8
"""Files that a message names."""
_WORK = ".paragon"
"""The suffix of folders of unfinished results."""


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A file to upscale. `relative` is its path below the folder or glob that it was found by."""

    path: Path
    relative: Path

    @property
    def is_picture(self) -> bool:
        return is_image_name(self.path) or self.path.suffix.lower() in HEIF_SUFFIXES


@dataclass(kw_only=True)
class Found:
    """`files` in order, without repetitions; `passed_over` has a sentence for each kind of other file."""

    files: list[SourceFile] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def find_files(
    sources: Sequence[str | Path], *, recursive: bool, leave_out: Path, may_be_none: bool
) -> Found:
    """The files of `sources`: names, folders, globs, and "@list.txt", a file with one of these on each line.

    Hidden files, unfinished results and the folder `leave_out` (of the results) are ignored. Raises
    InputError for a source without files, except with `may_be_none`; UsageError for addresses; OSError for a
    folder that cannot be read.
    """
    search = _Search(recursive, leave_out, may_be_none)
    for source in sources:
        search.add(source)
    once = {_key(file.path): file for file in reversed(search.found.files)}
    search.found.files = list(reversed(once.values()))
    return search.found


def is_many(source: str | Path) -> bool:
    """Whether a source is a folder, a glob or a list."""
    path = Path(source)
    if str(source).startswith("@"):
        return True
    return path.is_dir() or (not path.exists() and glob.has_magic(str(source)))


def _key(path: Path) -> str:
    return str(path.absolute())


class _Search:
    def __init__(self, recursive: bool, leave_out: Path, may_be_none: bool) -> None:
        self._recursive, self._may_be_none = recursive, may_be_none
        self._leave_out = leave_out.absolute()
        self.found = Found()

    def add(self, source: str | Path, *, below: Path | None = None) -> None:
        """Add one source. Sources in a list are relative to `below`, the folder of the list."""
        check_local(source)
        check_name(source)
        if str(source).startswith("@") and below is None:
            self._list(Path(str(source)[1:]))
            return
        path = Path(source) if below is None else below / source
        before = len(self.found.files)
        if path.is_dir():
            self._folder(path)
            what = f"the folder {path} holds no video and no picture"
        elif not path.exists() and glob.has_magic(str(path)):
            self._glob(path)
            what = f"no file matches {path}"
        else:
            given = Path(source)
            keeps = below is not None and not given.is_absolute() and ".." not in given.parts
            self.found.files.append(SourceFile(path=path, relative=given if keeps else Path(path.name)))
        if len(self.found.files) == before and not self._may_be_none:
            hint = (
                ""
                if self._recursive or not self.found.passed_over
                else (f" ({'; '.join(self.found.passed_over)})")
            )
            raise InputError(what + hint)

    def _list(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
        except OSError as error:
            raise InputError(f"the list {path} cannot be read: {reason(error)}") from error
        for line in text.splitlines():
            if line.strip() and not line.startswith("#"):
                self.add(line.strip(), below=path.parent)

    def _glob(self, pattern: Path) -> None:
        fixed = Path(*_until(pattern.parts))
        matches = sorted(Path(each) for each in glob.glob(str(pattern), recursive=True))  # noqa: PTH207
        matches = [each for each in matches if self._is_looked_at(each) and self._is_reached(each, fixed)]
        files = [each for each in matches if each.is_file()]
        media = [each for each in files if _is_media(each)]
        for each in media or files:
            self.found.files.append(SourceFile(path=each, relative=each.relative_to(fixed)))
        if self._recursive:
            for each in matches:
                if each.is_dir():
                    self._folder(each, root=fixed)

    def _folder(self, folder: Path, root: Path | None = None) -> None:
        root = folder if root is None else root
        other: list[str] = []
        inside: list[Path] = []
        for each in sorted(folder.iterdir()):
            if not self._is_looked_at(each):
                continue
            if each.is_dir():
                inside.append(each)
            elif _is_media(each):
                self.found.files.append(SourceFile(path=each, relative=each.relative_to(root)))
            elif is_other_picture(each):
                other.append(each.name)
        if other:
            more = f" and {len(other) - _NAMED} more" if len(other) > _NAMED else ""
            self._pass_over(f"not read in {folder}: {', '.join(other[:_NAMED])}{more}")
        if inside and not self._recursive:
            self._pass_over(
                f"passed over in {folder}: {counted(len(inside), 'folder')}, which --recursive takes"
            )
        for each in inside if self._recursive else ():
            try:
                self._folder(each, root)
            except OSError as error:
                self._pass_over(f"passed over: {each} cannot be read: {reason(error)}")

    def _pass_over(self, sentence: str) -> None:
        self.found.passed_over.append(sentence)

    def _is_reached(self, path: Path, root: Path) -> bool:
        """Whether no folder between `root` and `path` is ignored."""
        return all(self._is_looked_at(root.joinpath(*parts)) for parts in _beginnings(path, root))

    def _is_looked_at(self, path: Path) -> bool:
        return (
            not path.name.startswith(".")
            and path.suffix != _WORK
            and path.absolute() != self._leave_out
            and not (path.is_symlink() and path.is_dir() and self._recursive)  # they may form cycles
        )


def _beginnings(path: Path, root: Path) -> Iterator[tuple[str, ...]]:
    """The folders between `root` and `path`, outermost first."""
    inside = path.relative_to(root).parts[:-1]
    yield from (inside[:count] for count in range(1, len(inside) + 1))


def _is_media(path: Path) -> bool:
    named = is_image_name(path) or is_readable_video_name(path)
    return named and path.is_file()


def _until(parts: Iterable[str]) -> Iterator[str]:
    """The parts of a pattern before the first one that has a wildcard."""
    for part in parts:
        if glob.has_magic(part):
            return
        yield part
