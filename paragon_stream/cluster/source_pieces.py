"""The source on machines that cannot access it: the parts that they read come through Ray's object store."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paragon_stream.cluster.connection import load_ray
from paragon_stream.errors import EngineError, reason
from paragon_stream.media.safekeeping.locks import still_there
from paragon_stream.runtimes.disk_cache import temporary_folder

BLOCK = 1 << 20
"""Bytes of a block. A chunk of a long film needs tens of MB, and a few blocks elsewhere to find its
beginning."""
_KEPT = 32
"""Number of blocks that the machine with the file keeps in its object store."""


class BlockServer:
    """The class of an actor on the machine with the file. It puts requested blocks into the object store. The
    latest blocks stay there, so machines that request a block at the same time get one object, from any
    machine that has it."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._latest: OrderedDict[int, Any] = OrderedDict()

    def block(self, number: int) -> list[Any]:
        """A reference to block `number`, in a list, because Ray would send the bytes of a bare reference."""
        if number not in self._latest:
            with self._path.open("rb") as file:
                file.seek(number * BLOCK)
                data = file.read(BLOCK)
            self._latest[number] = load_ray().put(data)
            while len(self._latest) > _KEPT:
                self._latest.popitem(last=False)
        return [self._latest[number]]


def fetch_block(server: Any, number: int) -> bytes:
    """Block `number` of the file of `server`, the actor of a `BlockServer`. Raises EngineError."""
    ray = load_ray()
    try:
        return bytes(ray.get(ray.get(server.block.remote(number))[0]))
    except ray.exceptions.RayError as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EngineError(f"a piece of the source did not arrive: {why}") from error


class SourcePieces:
    """A file of another machine (a `Content`). Blocks that are read are fetched, and kept in this machine's
    temporary folder for its other worker processes.

    The last process that closes its `SourcePieces` removes what was kept; what killed ones have left, the
    next one does, for every file.
    """

    def __init__(self, name: str, size: int, content: str, fetch: Callable[[int], bytes]) -> None:
        """`content` is the `fingerprint` of the file, `size` its length in bytes, `fetch` gives its blocks.

        Raises EngineError where the temporary folder cannot be written.
        """
        self.size = size
        self.fetched = 0
        """Bytes that this process brought here."""
        self._fetch = fetch
        self._here = bytearray(-(-size // BLOCK))
        """One byte for each block: 1 if the block is known to be in the folder."""
        self._turn = threading.Lock()
        try:
            root = temporary_folder()
            _sweep(root)
            self._folder = root / hashlib.sha256(f"{content}{_suffix()}".encode()).hexdigest()[:16]
            self._lock, first = _enter(self._folder)
            mode = "w+b" if first else "r+b"
            self._data: Any = (self._folder / "data").open(mode, buffering=0)
            self._map: Any = (self._folder / "map").open(mode, buffering=0)
            if first:
                self._map.truncate(len(self._here))
                _flock(self._lock, exclusive=False)
        except OSError as error:
            where = f" in {error.filename}" if error.filename else ""
            raise EngineError(f"pieces of the source cannot be stored{where}: {reason(error)}") from error
        self.path = self._folder / "source" / name
        """The name of the source in this process. There is no file at this path."""

    def read_at(self, position: int, length: int) -> bytes:
        """See `Content`. Raises EngineError."""
        length = max(0, min(length, self.size - position))
        if not length:
            return b""
        try:
            for number in range(position // BLOCK, (position + length - 1) // BLOCK + 1):
                if not self._here[number]:
                    self._bring(number)
            with self._turn:
                return _read(self._data, position, length)
        except OSError as error:
            raise EngineError(f"pieces of the source in {self._folder}: {reason(error)}") from error

    def close(self) -> None:
        """Close the files, and remove them if no other process uses them."""
        if self._lock.closed:
            return
        self._data.close()
        self._map.close()
        with contextlib.suppress(OSError):
            _flock(self._lock, exclusive=True, wait=False)
            shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    def _bring(self, number: int) -> None:
        """Fetch a block, unless another process or thread has."""
        with self._turn, _own(self._map, number):
            if _read(self._map, number, 1) != b"\1":
                data = self._fetch(number)
                if len(data) != min(BLOCK, self.size - number * BLOCK):
                    raise EngineError("the length of the source has changed since the render began")
                self._data.seek(number * BLOCK)
                if self._data.write(data) != len(data):
                    raise EngineError(f"pieces of the source cannot be stored in {self._folder}: disk full")
                self._map.seek(number)
                self._map.write(b"\1")
                self.fetched += len(data)
            self._here[number] = 1


def _enter(folder: Path) -> tuple[Any, bool]:
    """Create `folder` and lock it. Returns the open lock, and whether this process is the only one that has
    it. Then the lock is exclusive, and other processes wait until the files exist."""
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            lock = (folder / "lock").open("a+b")
        except FileNotFoundError:
            continue
        first = True
        try:
            _flock(lock, exclusive=True, wait=False)
        except OSError:
            first = False
            _flock(lock, exclusive=False)
        if still_there(lock, folder / "lock"):
            return lock, first
        lock.close()  # the process that had it has removed the folder meanwhile


def _sweep(root: Path) -> None:
    """Remove what killed processes have left."""
    if os.name == "nt":  # where nothing says whether they run
        return
    for folder in root.iterdir():
        with contextlib.suppress(OSError), (folder / "lock").open("r+b") as lock:
            _flock(lock, exclusive=True, wait=False)
            if still_there(lock, folder / "lock"):
                shutil.rmtree(folder, ignore_errors=True)


def _read(file: Any, position: int, length: int) -> bytes:
    file.seek(position)
    data: bytes = file.read(length)
    return data


if os.name == "nt":  # each process fetches for itself

    def _suffix() -> str:
        return str(os.getpid())

    def _flock(file: Any, *, exclusive: bool, wait: bool = True) -> None:
        pass

    @contextmanager
    def _own(file: Any, number: int) -> Iterator[None]:
        yield

else:
    import fcntl

    def _suffix() -> str:
        return ""

    def _flock(file: Any, *, exclusive: bool, wait: bool = True) -> None:
        """A lock that ends with the process. Raises OSError if another one has it, without `wait`."""
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))

    @contextmanager
    def _own(file: Any, number: int) -> Iterator[None]:
        """Lock byte `number` of `file`; other processes wait for it."""
        fcntl.lockf(file, fcntl.LOCK_EX, 1, number)
        try:
            yield
        finally:
            fcntl.lockf(file, fcntl.LOCK_UN, 1, number)
