"""Standard output and standard error wherever they lead: closed, to a full disk, to a terminal that is gone.

A message that cannot be shown ends no render, so standard error never fails. What standard output loses is a
failure, said once. Descriptors that are closed when the program begins lead to nowhere from then on: the next
file opened would get their numbers otherwise, and FFmpeg's messages would end up in it.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO, cast

_OUTPUT, _ERROR = 1, 2
_closed: set[int] = set()
_failures: list[OSError] = []


def prepare() -> None:
    """Set up both streams. Called once, before anything is written."""
    for descriptor in (0, _OUTPUT, _ERROR):
        try:
            os.fstat(descriptor)
        except OSError:
            _closed.add(descriptor)
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    sys.stdout = _text(_OUTPUT, sys.stdout, silent=False)
    sys.stderr = _text(_ERROR, sys.stderr, silent=True)


def output_is_closed() -> bool:
    """Whether the program was started without a standard output."""
    return _OUTPUT in _closed


def complaint(error: Exception) -> str | None:
    """What to say where `error` is that of standard output; None where it is another one.

    Nothing ("") if its reader has left: `head` has seen enough.
    """
    if error not in _failures:
        return None
    what = "" if isinstance(error, BrokenPipeError) else getattr(error, "strerror", "")
    return what and f"standard output cannot be written: {what}"


def _text(descriptor: int, before: TextIO | None, *, silent: bool) -> TextIO:
    if os.name == "nt" and isinstance(before, io.TextIOWrapper):
        before.reconfigure(errors="replace")  # a console of Windows' own kind takes no plain bytes
        return before
    raw = _Raw(descriptor, silent=silent)
    return io.TextIOWrapper(
        io.BufferedWriter(cast(io.RawIOBase, raw)),
        encoding=(before and before.encoding) or "utf-8",
        errors="replace",  # an arrow, or a film's title, in a code page without it
        line_buffering=silent or raw.isatty(),
    )


class _Raw(io.RawIOBase):
    """The bytes of one of the two. After a failure everything written vanishes."""

    def __init__(self, descriptor: int, *, silent: bool) -> None:
        self._descriptor, self._silent = descriptor, silent
        self._failed = False

    def write(self, data: io.BufferedIOBase | bytes | memoryview, /) -> int:  # type: ignore[override]
        """All of `data`. Raises OSError once, unless `silent`."""
        left = memoryview(data).cast("B")  # type: ignore[arg-type]
        size = len(left)
        while left and not self._failed:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                with contextlib.suppress(OSError):
                    os.set_blocking(self._descriptor, True)
            except OSError as error:
                self._failed = True
                if not self._silent:
                    _failures.append(error)
                    raise
        return size

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)
