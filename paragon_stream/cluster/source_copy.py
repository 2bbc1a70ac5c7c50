"""The source on machines that do not see it: copied once per machine, in blocks, by Ray's object store."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paragon_stream.cluster.connection import load_ray
from paragon_stream.media.facts.fingerprint import fingerprint

BLOCK = 16 << 20
"""Bytes: what is on its way to a machine at a time."""
_KEPT = 3
"""Blocks that the machine of the file keeps in its object store."""


class BlockServer:
    """An actor's class, on the machine that has the file: puts its blocks into the object store as they are
    asked for. The latest ones stay there, so that Ray brings machines that ask at the same time one object,
    from any machine that has it."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._latest: OrderedDict[int, Any] = OrderedDict()

    def block(self, number: int) -> list[Any]:
        """A reference to the bytes from `number`·BLOCK on, fewer than BLOCK at the end of the file; none
        behind it. In a list, or Ray would send the bytes themselves."""
        if number not in self._latest:
            with self._path.open("rb") as file:
                file.seek(number * BLOCK)
                data = file.read(BLOCK)
            if not data:
                return []
            self._latest[number] = load_ray().put(data)
            while len(self._latest) > _KEPT:
                self._latest.popitem(last=False)
        return [self._latest[number]]


def fetch_block(server: Any, number: int) -> bytes:
    """Block `number` of the file of `server`, the actor of a `BlockServer`; b"" behind its end."""
    ray = load_ray()
    found = ray.get(server.block.remote(number))
    return bytes(ray.get(found[0])) if found else b""


class SourceCopy:
    """A copy of a file in this machine's temporary folder, which its worker processes share.

    The last process that closes its `SourceCopy` removes the file. One that was killed leaves it there, and
    the next render of the same source takes it.
    """

    def __init__(self, name: str, content: str, fetch: Callable[[int], bytes]) -> None:
        """`content` is the `fingerprint` of the file, `fetch` gives its blocks."""
        key = hashlib.sha256(content.encode()).hexdigest()[:16]
        self._folder = Path(tempfile.gettempdir()) / f"paragon-stream-{_user()}" / key
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = self._folder / name
        self.fetched = 0
        """Bytes that this process brought here."""
        self._lock: Any = (self._folder / "lock").open("a+b")
        _flock(self._lock, exclusive=True)
        if not (self.path.is_file() and fingerprint(self.path) == content):
            self._fetch(fetch)
        _flock(self._lock, exclusive=False)

    def close(self) -> None:
        """Let go of the copy."""
        if self._lock.closed:
            return
        with contextlib.suppress(OSError):
            _flock(self._lock, exclusive=True, wait=False)
            for path in (self.path, self._folder / "lock"):
                path.unlink(missing_ok=True)
            self._folder.rmdir()
        self._lock.close()

    def _fetch(self, fetch: Callable[[int], bytes]) -> None:
        passing = self._folder / "passing"
        with passing.open("wb") as file:
            number = 0
            while block := fetch(number):
                file.write(block)
                self.fetched += len(block)
                number += 1
        passing.replace(self.path)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid()) if hasattr(os, "getuid") else "user"


def _flock(file: Any, *, exclusive: bool, wait: bool = True) -> None:
    """A lock that ends with the process; where there is none (Windows), each process fetches for itself.

    Raises OSError if another process has it and it is not waited for.
    """
    if os.name == "nt":
        return
    import fcntl

    fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
