"""The journal of a folder of results: a line of JSON for each change of a file's state.

A line is on the disk before the next step. So after a kill or a power cut the next run finds every file
that was finished, that failed, and the one that was being rendered.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from paragon_stream.errors import OutputError, reason
from paragon_stream.json_text import json_text
from paragon_stream.media.safekeeping.locks import lock, still_there

NAME = "paragon-stream.journal"
_VERSION = 1


class State(StrEnum):
    """The state of a file."""

    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """Facts that show whether a file has changed. `content` is the `fingerprint`, or "" if it was not
    computed."""

    size: int
    mtime_ns: int
    content: str = ""

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Size and time of the file at `path`; None if there is no file."""
        try:
            status = path.stat()
        except OSError:
            return None
        return cls(size=status.st_size, mtime_ns=status.st_mtime_ns)

    def same_times(self, other: FileFacts | None) -> bool:
        """Whether size and time of change are equal."""
        return other is not None and (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One line. `source` is the `file_key`, `destination` a path below the folder of the journal."""

    state: State
    job: str
    """The name of the attempt, the same in "started" and in the record that ends it."""
    source: str
    destination: str
    time: float = field(default_factory=time.time)
    """Seconds since 1970."""
    read: FileFacts | None = None
    """The source when the attempt began."""
    written: FileFacts | None = None
    """The result, if there is one: also that of an earlier attempt, which is still there."""
    before: FileFacts | None = None
    """The file with the result's name when the attempt began. After a kill it shows whether there is a new
    one; times do not, because a file server's clock may be wrong."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The options that change the result: `QueueRequest.choices`."""
    message: str = ""
    """The reason of a failure."""


class Journal:
    """The journal in `folder`, held by this process alone until `close`; or use `with`.

    `records` are the last ones of each result, by the `file_key` of its source and its destination. Raises
    OutputError if another run holds it, or it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.records: dict[tuple[str, str], Record] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
        except OSError as error:
            raise OutputError(f"the journal {self.path} cannot be opened: {reason(error)}") from error
        try:
            if not lock(self._file):
                raise OutputError(f"another run works on {folder} right now (it holds {self.path.name})")
            self._file.seek(0)
            text = self._file.read()
            for line in text.splitlines():
                self._take(line)
            if text and not text.endswith(b"\n"):  # what a power cut left of the last line
                self._file.write(b"\n")
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):
                raise OutputError(f"the journal {self.path} cannot be read: {reason(error)}") from error
            raise

    def write(self, record: Record) -> None:
        """Add a line, and have it on the disk. Raises OutputError, also if the journal was removed: then the
        folder was deleted or unmounted, or another run could use it."""
        if not still_there(self._file, self.path):
            raise OutputError(
                f"{self.path} is gone: the folder was deleted, moved or unmounted during the run"
            )
        self.records[record.source, record.destination] = record
        line = json_text({"version": _VERSION, **asdict(record)}, indent=None)
        try:
            self._file.write(line.encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(f"the journal {self.path} cannot be written: {reason(error)}") from error

    def close(self) -> None:
        """Close the journal. An empty one is removed."""
        empty = False
        with contextlib.suppress(OSError):  # `write` reports it
            empty = not self.records and os.fstat(self._file.fileno()).st_size == 0
            empty = empty and still_there(self._file, self.path)
            self._file.close()
        if empty:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, line: bytes) -> None:
        """Read a line; incomplete lines, and lines of later versions, are ignored."""
        try:
            found = json.loads(line)
            if found.pop("version") != _VERSION:
                return
            known = {each.name for each in fields(Record)}
            values = {name: value for name, value in found.items() if name in known}
            for name in ("read", "written", "before"):
                values[name] = values.get(name) and FileFacts(**values[name])
            record = Record(**{**values, "state": State(found["state"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            return
        self.records[record.source, record.destination] = record
