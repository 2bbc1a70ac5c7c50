"""A disk cache of compiled engines and kernels, keyed by the facts that they depend on.

One file per entry: a line of JSON (the facts, the content's SHA-256), then the content. Files are written
atomically; while one process makes an entry, others that need it wait.
"""

from __future__ import annotations

import errno
import getpass
import hashlib
import json
import logging
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from paragon_stream.errors import OutputError, reason
from paragon_stream.wholefile import whole_file

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20  # more than the line of JSON


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of the cache. `made` is in seconds since 1970; `facts` are empty if the file is damaged."""

    path: Path
    size: int
    made: float
    facts: Mapping[str, str]


def default_cache_folder(name: str) -> Path:
    """This user's cache folder for entries of the kind `name`; its files may be deleted at any time.

    A user without a home folder (in a container, with a number that has no name) has one among the temporary
    files.
    """
    folder = Path()
    with suppress(RuntimeError):
        folder = Path(platformdirs.user_cache_dir("paragon-stream", appauthor=False))
    if not folder.is_absolute():  # older versions of platformdirs return "~/.cache" then
        try:
            folder = temporary_folder() / "cache"
        except OSError:
            folder = Path(os.devnull)  # nothing can be stored there, and `put` reports that
    return folder / name


def temporary_folder() -> Path:
    """This user's folder among the temporary files, the same for all processes; created if necessary.

    Raises OSError if that fails, or if another user has created the folder or may write into it: what is read
    from there could then be that user's code.
    """
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a number without a name
        user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"paragon-stream-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid"):
        status = folder.lstat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022 or not stat.S_ISDIR(status.st_mode):
            raise PermissionError(errno.EPERM, "other users can write into it: remove it", str(folder))
    return folder


class DiskCache:
    """Entries in `folder`, as files with `suffix`. Any number of processes may share one."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self.folder = folder
        self._suffix = suffix

    def path(self, facts: Mapping[str, str]) -> Path:
        """The path of the entry of `facts`, which may not exist."""
        return self.folder / f"{_digest(facts)}{self._suffix}"

    def get(self, facts: Mapping[str, str]) -> bytes | None:
        """The content, or None. A damaged file is removed, with a warning."""
        path = self.path(facts)
        try:
            head, _, content = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("%s cannot be read and is made again: %s", path, reason(error))
            return None
        if _facts_of(head) == dict(facts) and _checksum_of(head) == hashlib.sha256(content).hexdigest():
            return content
        logger.warning("%s is damaged and is made again", path)
        self.remove(facts)
        return None

    def put(self, facts: Mapping[str, str], content: bytes) -> None:
        """Store `content`. If the disk is full or read-only, a log message is written and the entry is made
        again next time."""
        head = {"facts": dict(facts), "sha256": hashlib.sha256(content).hexdigest()}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self.path(facts)) as file:
                file.write(json.dumps(head, ensure_ascii=True).encode() + b"\n" + content)
        except (OSError, OutputError) as error:
            logger.warning("nothing can be stored in %s: %s", self.folder, error)

    def get_or_make(self, facts: Mapping[str, str], make: Callable[[], bytes]) -> tuple[bytes, bool]:
        """The content, and whether it was cached; `make` runs in one process at a time for the same facts."""
        content = self.get(facts)
        if content is not None:
            return content, True
        with self._locked(facts):
            content = self.get(facts)  # another process may have made it meanwhile
            if content is not None:
                return content, True
            content = make()
            self.put(facts, content)
            return content, False

    def remove(self, facts: Mapping[str, str]) -> None:
        """Remove an entry that is not usable; a read-only cache keeps it."""
        with suppress(OSError):
            self.path(facts).unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """All entries, the latest last."""
        found = []
        for path in self.folder.glob(f"*{self._suffix}"):
            try:
                with path.open("rb") as file:
                    head = file.read(_CHUNK).partition(b"\n")[0]
                status = path.stat()
            except OSError:
                continue  # removed by another process
            facts = _facts_of(head)
            found.append(Entry(path=path, size=status.st_size, made=status.st_mtime, facts=facts))
        return sorted(found, key=lambda entry: entry.made)

    def clear(self) -> int:
        """Remove all entries; returns how many there were."""
        entries = self.entries()
        for entry in entries:
            entry.path.unlink(missing_ok=True)
        for leftover in (*self.folder.glob("*.part"), *self.folder.glob("*.lock")):
            leftover.unlink(missing_ok=True)
        return len(entries)

    @contextmanager
    def _locked(self, facts: Mapping[str, str]) -> Iterator[None]:
        """Inside the block no other process makes the same entry, if the file system supports locks."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = self.path(facts).with_suffix(".lock").open("ab")
        except OSError:
            yield
            return
        with file:
            with suppress(OSError):
                _lock(file.fileno())
            yield  # closing the file unlocks it, and so does the end of the process


def _lock(descriptor: int) -> None:
    """Wait for the lock of an open file."""
    if sys.platform == "win32":
        import msvcrt

        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return
            except OSError:
                time.sleep(0.1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _digest(facts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(facts.items())).encode()).hexdigest()[:32]


def _facts_of(head: bytes) -> dict[str, str]:
    try:
        return {str(name): str(value) for name, value in json.loads(head)["facts"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _checksum_of(head: bytes) -> str:
    try:
        return str(json.loads(head)["sha256"])
    except (ValueError, KeyError, TypeError):
        return ""
