"""A file system in user space that shows a folder, and fails when it is asked to.

    python faulty_disk.py FOLDER MOUNT CONTROL      stays until it is unmounted

CONTROL is a file with one word: "ok"; "gone", where every call gives EIO, as in a network folder whose server
is unplugged; "stale", where only files that were open before do; or "slow", where each call that moves data
takes 20 ms and each fsync 0.4 s.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mfusepy as fuse

FOLDER, MOUNT, CONTROL = map(Path, sys.argv[1:])


_CALLS = (
    *("getattr", "readdir", "statfs", "access", "mkdir", "rmdir", "unlink", "rename", "chmod", "utimens"),
    *("open", "create", "read", "write", "truncate", "flush", "fsync"),
)


class FaultyDisk(fuse.Operations):
    def __init__(self) -> None:
        self._opened: dict[int, float] = {}
        """When each file that is open was opened."""

        for name in _CALLS:
            setattr(self, name, self._failing(name, getattr(self, name)))

    def _failing(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        moves_data = name in ("read", "write", "fsync")

        def call(*arguments: Any) -> Any:
            state = CONTROL.read_text().strip()
            if state == "gone":
                raise fuse.FuseOSError(errno.EIO)
            if state == "slow" and moves_data:
                time.sleep(0.4 if name == "fsync" else 0.02)
            if state == "stale" and moves_data and self._opened[arguments[-1]] < CONTROL.stat().st_mtime:
                raise fuse.FuseOSError(errno.EIO)
            try:
                return method(*arguments)
            except OSError as error:
                raise fuse.FuseOSError(error.errno or errno.EIO) from error

        return call

    def _path(self, path: str) -> Path:
        return FOLDER / path.lstrip("/")

    def _remember(self, handle: int) -> int:
        self._opened[handle] = time.time()
        return handle

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = os.lstat(self._path(path))
        names = ("atime", "ctime", "gid", "mode", "mtime", "nlink", "size", "uid", "ino")
        return {f"st_{name}": getattr(found, f"st_{name}") for name in names}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *(each.name for each in self._path(path).iterdir())]

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._path(path))
        names = ("bavail", "bfree", "blocks", "bsize", "files", "ffree", "frsize", "namemax")
        return {f"f_{name}": getattr(found, f"f_{name}") for name in names}

    def access(self, path: str, mode: int) -> int:
        if not os.access(self._path(path), mode):
            raise fuse.FuseOSError(errno.EACCES)
        return 0

    def mkdir(self, path: str, mode: int) -> None:
        self._path(path).mkdir(mode)

    def rmdir(self, path: str) -> None:
        self._path(path).rmdir()

    def unlink(self, path: str) -> None:
        self._path(path).unlink()

    def rename(self, old: str, new: str) -> None:
        self._path(old).replace(self._path(new))

    def chmod(self, path: str, mode: int) -> None:
        self._path(path).chmod(mode)

    def utimens(self, path: str, times: Any = None) -> None:
        os.utime(self._path(path))

    def open(self, path: str, flags: int) -> int:
        # The offset comes with each call, and reading is needed where the kernel fills its cache.
        return self._remember(os.open(self._path(path), (flags & ~(os.O_APPEND | os.O_WRONLY)) | os.O_RDWR))

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        return self._remember(os.open(self._path(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode))

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        os.truncate(self._path(path), length)

    def flush(self, path: str, fh: int) -> None:
        return None

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        os.fsync(fh)

    def release(self, path: str, fh: int) -> None:
        self._opened.pop(fh, None)
        os.close(fh)


if __name__ == "__main__":
    fuse.FUSE(FaultyDisk(), str(MOUNT), foreground=True, nothreads=False, direct_io=True)
