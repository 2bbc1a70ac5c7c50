"""Complete files or none: files are written under a temporary name and renamed when they are complete."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from paragon_stream.errors import OutputError, reason

_PART, _DIGITS = ".part", 8
"""The suffix of temporary names, and the number of random digits before it."""
_LONGEST_NAME = 255
"""The longest file name, in bytes, that all common file systems accept."""


def fitting(name: str, suffix: str) -> str:
    """`name` followed by `suffix`. If that is too long for a file name, the end of `name` is replaced by
    digits that distinguish it from other names with the same beginning."""
    whole = os.fsencode(name + suffix)
    if len(whole) <= _LONGEST_NAME:
        return name + suffix
    digits = f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    room = _LONGEST_NAME - len(digits) - len(os.fsencode(suffix))
    kept = os.fsencode(name)[:room].decode("utf-8", "ignore")
    return kept + digits + suffix


def behind_links(path: Path) -> Path:
    """The file that is written under the name `path`: what a symbolic link leads to, else `path` itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes have left of `path`. No other process may be writing it."""
    path = behind_links(path)
    with suppress(OSError):
        for each in path.parent.iterdir():
            if each.suffix == _PART and each.name == _passing_name(path, each.stem[-_DIGITS:]):
                each.unlink()


def _passing_name(path: Path, digits: str) -> str:
    return fitting(f".{path.name}", f".{digits}{_PART}")


def check_writable(path: Path, *, overwrite: bool) -> None:
    """Before long work, raise OutputError if `path` exists (without `overwrite`), or its folder takes no
    files."""
    _check_absent(path, overwrite=overwrite)
    folder = behind_links(path).absolute().parent
    if not folder.is_dir():
        raise OutputError(f"{path} cannot be written: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path} cannot be written: the folder {folder} is read-only")


def _check_absent(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already: use --overwrite to replace it")


@contextmanager
def whole_file(path: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A file for writing. It gets the name `path` when the block ends, and is removed if the block fails.

    If `path` is a symbolic link, the file that it points to is written. An existing file is replaced
    atomically; with `overwrite` False it is kept and an error is raised. Raises OutputError for that and for
    every OSError, including those of the block (a full disk).
    """
    path = behind_links(path)
    passing = path.with_name(_passing_name(path, secrets.token_hex(_DIGITS // 2)))
    try:
        try:
            with passing.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _check_absent(path, overwrite=overwrite)
            passing.replace(path)
        finally:
            passing.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {reason(error)}") from error
