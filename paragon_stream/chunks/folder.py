"""`OUT.paragon/chunks/`: the plan of a render in chunks, and every chunk that is done.

A chunk's file is written under a passing name, then its record; the record is what makes it count, and it
names the file with the digest of its content. So several processes may render one chunk at the same time, on
several machines: the record that comes last is complete, and so is its file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from paragon_stream.chunks.record import ChunkRecord
from paragon_stream.errors import OutputError, reason
from paragon_stream.media.encode.workdir import work_folder
from paragon_stream.media.safekeeping.locks import lock, still_there
from paragon_stream.wholefile import whole_file

_PLAN = "plan.json"
_MAKING = ".making-"
_LOCK = "lock"


class ChunkFolder:
    """The folder of the chunks of `destination`. Several processes may use it at the same time."""

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self.path = work_folder(destination) / "chunks"

    @property
    def plan_text(self) -> str | None:
        """The text that `write_plan` has written; None if there is no plan. Raises OutputError."""
        try:
            return (self.path / _PLAN).read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise OutputError(f"{self.path / _PLAN} cannot be read: {reason(error)}") from error

    def write_plan(self, text: str) -> None:
        """Raises OutputError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {self.destination}: {reason(error)}") from error
        with whole_file(self.path / _PLAN) as file:
            file.write(text.encode())

    def record(self, number: int, plan: str = "") -> ChunkRecord | None:
        """The record of a finished chunk whose file is complete; None otherwise, and for a chunk that was
        rendered for another plan than the one with the digest `plan`."""
        try:
            record = ChunkRecord.from_json(self._record(number).read_text("utf-8"))
            complete = not record.file or (self.path / record.file).stat().st_size == record.bytes
        except (OSError, ValueError, OutputError):
            return None
        is_other = bool(plan and record.plan and record.plan != plan)  # earlier versions stored no plan
        return record if complete and not is_other else None

    @property
    def is_busy(self) -> bool:
        """Whether a process is rendering chunks here; False on file systems without locks."""
        made = self.path.glob(f"{_MAKING}*")
        return any((path / _LOCK).exists() and not _is_abandoned(path) for path in made)

    def scratch(self) -> AbstractContextManager[Path]:
        """See `scratch_in`."""
        return scratch_in(self.path)

    def take(self, record: ChunkRecord, file: Path | bytes | None) -> None:
        """Keep a chunk: `file`, on this file system or in memory, is renamed, then its record is written.

        Raises OutputError; the chunk then does not count.
        """
        if isinstance(file, bytes):
            with whole_file(self.path / record.file) as target:
                target.write(file)
        elif file is not None:
            try:
                with file.open("rb+") as written:
                    os.fsync(written.fileno())
                file.replace(self.path / record.file)
            except OSError as error:
                raise OutputError(f"the chunk {record.file} cannot be stored: {reason(error)}") from error
        with whole_file(self._record(record.number)) as target:
            target.write(record.to_json().encode())

    def check(self, record: ChunkRecord) -> bool:
        """Whether the chunk's file is the one of its record, bit for bit."""
        if not record.file:
            return True
        try:
            return digest(self.path / record.file) == record.sha256
        except OSError:
            return False

    def forget(self, number: int) -> None:
        """The chunk does not count any more: it will be rendered again."""
        self._record(number).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder, and the work folder if it is empty then."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    def _record(self, number: int) -> Path:
        return self.path / f"{number:05}.json"


@contextmanager
def scratch_in(folder: Path) -> Iterator[Path]:
    """A folder in `folder` for a chunk in the making; it is removed with everything in it, and so are those
    that killed processes have left. Raises OutputError."""
    path, handle = _made(folder)
    try:
        with handle:
            if not _is_abandoned(path):  # locks work on this file system
                _sweep(folder)
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _made(folder: Path) -> tuple[Path, BinaryIO]:
    """A new folder, and the lock on it. Raises OutputError."""
    while True:
        try:
            path = Path(tempfile.mkdtemp(prefix=_MAKING, dir=folder))
            handle = (path / _LOCK).open("ab")
        except OSError as error:
            raise OutputError(f"cannot write into {folder}: {reason(error)}") from error
        if lock(handle) and still_there(handle, path / _LOCK):
            return path, handle
        handle.close()  # another process has swept it away before it was locked


def _sweep(folder: Path) -> None:
    for path in folder.glob(f"{_MAKING}*"):
        if _is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True)


def _is_abandoned(path: Path) -> bool:
    """Whether no process has the folder of a chunk in the making."""
    try:
        with (path / _LOCK).open("rb+") as handle:
            return lock(handle)
    except OSError:
        return False  # just made, or just removed


def file_name(number: int, sha256: str, suffix: str) -> str:
    """A chunk's file in the folder."""
    return f"{number:05}-{sha256[:12]}{suffix}"


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
