"""Finds the files of a run: those in folders, of globs and of lists, and single files."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from paragon_stream.errors import InputError, reason
from paragon_stream.media.facts.containers import is_readable_video_name
from paragon_stream.media.facts.image_kinds import HEIF_SUFFIXES, is_image_name, is_other_picture
from paragon_stream.media.source.opening import check_local, check_name
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
    unreadable: list[str] = field(default_factory=list)
    """A sentence for each source that is not there or cannot be read now; only with `may_be_none`."""


def find_files(
    sources: str | Path | Sequence[str | Path], *, recursive: bool, leave_out: Path, may_be_none: bool
) -> Found:
    """The files of `sources`: names, folders, globs, and "@list.txt", a file with one of these on each line.

    Hidden files, unfinished results and the folder `leave_out` (of the results, under any name) are ignored.
    Raises UsageError for addresses; InputError for a source without files and for a list that cannot be read,
    and OSError for a folder that cannot be read, except with `may_be_none`.
    """
    search = _Search(recursive, leave_out, may_be_none)
    for source in [sources] if isinstance(sources, str | Path) else sources:
        search.add(source)
    real = cache(os.path.realpath)  # of the few folders of many files
    once = {file_key(file.path, real): file for file in reversed(search.found.files)}
    search.found.files = list(reversed(once.values()))
    return search.found


def is_many(source: str | Path) -> bool:
    """Whether a source is a folder, a glob or a list."""
    path = Path(source)
    if str(source).startswith("@"):
        return True
    return path.is_dir() or (not path.exists() and glob.has_magic(str(source)))


def file_key(path: Path, real: Callable[[Path], str] = os.path.realpath) -> str:
    """The absolute path of a file, which is the same for all ways to its folder."""
    return str(Path(real(path.parent), path.name))


class _Search:
    def __init__(self, recursive: bool, leave_out: Path, may_be_none: bool) -> None:
        self._recursive, self._may_be_none = recursive, may_be_none
        self._leave_out: os.stat_result | None = None
        with suppress(OSError):  # it does not exist yet
            self._leave_out = leave_out.stat()
        self._looked_at: dict[Path, bool] = {}
        """Folders on the way to the matches of globs, and whether their files count."""
        self.found = Found()

    def add(self, source: str | Path, *, below: Path | None = None) -> None:
        """Add one source. Sources in a list are relative to `below`, the folder of the list."""
        try:
            self._add(source, below)
        except (InputError, OSError) as error:
            if not self._may_be_none:
                raise
            why = f"{source} cannot be read: {reason(error)}" if isinstance(error, OSError) else str(error)
            self.found.unreadable.append(why)

    def _add(self, source: str | Path, below: Path | None) -> None:
        check_local(source)
        check_name(source)
        if str(source).startswith("@") and below is None:
            self._list(Path(str(source)[1:]))
            return
        path = Path(source) if below is None else below / source
        before = len(self.found.files)
        if path.is_dir():
            self._folder(path, Path())
            what = f"the folder {path} holds no video and no picture"
        elif not path.exists() and glob.has_magic(str(source)):
            self._glob(source, below or Path())
            what = f"no file matches {path}"
        elif self._may_be_none and not path.exists():
            raise InputError(f"{path} does not exist")
        elif path.exists() and not path.is_file():  # it can be read once, but the queue measures files first
            raise InputError(
                f"{path} is a pipe or a device: render it alone, and name the file of the result"
            )
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
        if "\0" in text:
            raise InputError(f"the list {path} is not a text in UTF-8: save it in this encoding")
        for line in text.split("\n"):  # names may contain the other characters at which `splitlines` cuts
            if line.strip() and not line.startswith("#"):
                self.add(_listed(line.removesuffix("\r"), path.parent), below=path.parent)

    def _glob(self, source: str | Path, below: Path) -> None:
        """Add the matches of `source`, a pattern relative to the folder `below`, which is no pattern."""
        fixed = below / Path(*_until(Path(source).parts))
        pattern = str(Path(glob.escape(str(below))) / source)
        matches = sorted(Path(each) for each in glob.glob(pattern, recursive=True))  # noqa: PTH207
        matches = [each for each in matches if self._is_looked_at(each) and self._is_reached(each, fixed)]
        files = [each for each in matches if each.is_file()]
        media = [each for each in files if _is_media_name(each)]
        for each in media or files:
            self.found.files.append(SourceFile(path=each, relative=each.relative_to(fixed)))
        if self._recursive:
            for each in matches:
                if each.is_dir():
                    self._folder(each, each.relative_to(fixed))

    def _folder(self, folder: Path, relative: Path) -> None:
        """The files in `folder`, whose path below its source is `relative`.

        A watched folder is read every few seconds. `os.scandir` does not ask the file system about each file.
        """
        other: list[str] = []
        inside: list[str] = []
        links = 0
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            path = folder / entry.name
            if entry.name.startswith(".") or path.suffix == _WORK:
                continue
            if _is_folder(entry):
                if not self._is_results(path):
                    links += entry.is_symlink()
                    inside += [] if entry.is_symlink() and self._recursive else [entry.name]
            elif _is_media_name(path):
                if entry.is_file():
                    self.found.files.append(SourceFile(path=path, relative=relative / entry.name))
            elif is_other_picture(path):
                other.append(entry.name)
        if other:
            more = f" and {len(other) - _NAMED} more" if len(other) > _NAMED else ""
            self._pass_over(f"not read in {folder}: {', '.join(other[:_NAMED])}{more}")
        if links and self._recursive:  # they may form cycles
            what = counted(links, "linked folder")
            self._pass_over(f"passed over in {folder}: {what}, which INPUT can name")
        if inside and not self._recursive:
            self._pass_over(
                f"passed over in {folder}: {counted(len(inside), 'folder')}, which --recursive takes"
            )
        for name in inside if self._recursive else ():
            try:
                self._folder(folder / name, relative / name)
            except OSError as error:
                self._pass_over(f"passed over: {folder / name} cannot be read: {reason(error)}")

    def _pass_over(self, sentence: str) -> None:
        self.found.passed_over.append(sentence)

    def _is_reached(self, path: Path, root: Path) -> bool:
        """Whether no folder between `root` and `path` is ignored."""
        return all(self._is_looked_at(root.joinpath(*parts)) for parts in _beginnings(path, root))

    def _is_looked_at(self, path: Path) -> bool:
        if path.name.startswith(".") or path.suffix == _WORK:
            return False
        if path not in self._looked_at:
            is_folder = path.is_dir()
            looped = is_folder and self._recursive and path.is_symlink()  # links may form cycles
            self._looked_at[path] = not (looped or (is_folder and self._is_results(path)))
        return self._looked_at[path]

    def _is_results(self, folder: Path) -> bool:
        """Whether `folder` is the folder of the results, under any name."""
        try:
            return self._leave_out is not None and os.path.samestat(self._leave_out, folder.stat())
        except OSError:
            return False


def _beginnings(path: Path, root: Path) -> Iterator[tuple[str, ...]]:
    """The folders between `root` and `path`, outermost first."""
    inside = path.relative_to(root).parts[:-1]
    yield from (inside[:count] for count in range(1, len(inside) + 1))


def _listed(line: str, folder: Path) -> str:
    """The name on a line of a list in `folder`. Spaces around it belong to it if there is such a file."""
    name = line.strip()
    with suppress(OSError, ValueError):
        if name != line and (folder / line).exists():
            return line
    return name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, or to a place that cannot be read
        return False


def _is_media_name(path: Path) -> bool:
    return is_image_name(path) or is_readable_video_name(path)


def _until(parts: Iterable[str]) -> Iterator[str]:
    """The parts of a pattern before the first one that has a wildcard."""
    for part in parts:
        if glob.has_magic(part):
            return
        yield part
