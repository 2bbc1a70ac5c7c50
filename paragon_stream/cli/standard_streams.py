"""Standard output and standard error in all states: closed, on a full disk, on a terminal that is gone.

A message that cannot be written does not end a render, so standard error never fails. A failure of standard
output is reported once. Descriptors that are closed at the start are opened on the null device: otherwise the
next opened file would get their number, and FFmpeg's messages would be written into it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from typing import TextIO, cast

import click

from paragon_stream.errors import reason

_LINE_ENDS = re.compile(r"\s*[\r\n]\s*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
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
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    sys.stdout = _text(_OUTPUT, sys.stdout, silent=False)
    sys.stderr = _text(_ERROR, sys.stderr, silent=True)


def one_line(text: str) -> str:
    """`text` as one line without control characters, which names of files may contain: they would move the
    cursor, clear the terminal or look like another message."""
    return _CONTROL.sub("\ufffd", _LINE_ENDS.sub(" ", text)).strip()


def print_line(text: str, depth: int = 0, *, err: bool = False) -> None:
    """Print `one_line` of `text` on standard output, or error, behind `depth` indentations."""
    click.echo("  " * depth + one_line(text), err=err)


def output_is_closed() -> bool:
    """Whether the program was started with a closed standard output."""
    return _OUTPUT in _closed


def complaint(error: Exception) -> str | None:
    """The message for an `error` of standard output; None for other errors.

    It is empty if the reader has closed the pipe, as `head` does.
    """
    if error not in _failures:
        return None
    if isinstance(error, BrokenPipeError):
        return ""
    return f"standard output cannot be written: {reason(error)}"


def _text(descriptor: int, before: TextIO | None, *, silent: bool) -> TextIO:
    if os.name == "nt" and isinstance(before, io.TextIOWrapper):
        before.reconfigure(errors="replace")  # a Windows console accepts no raw bytes
        return before
    raw = _Raw(descriptor, silent=silent)
    return io.TextIOWrapper(
        io.BufferedWriter(cast(io.RawIOBase, raw)),
        encoding=(before and before.encoding) or "utf-8",
        errors="replace",  # for characters that the code page lacks
        line_buffering=silent or raw.isatty(),
    )


class _Raw(io.RawIOBase):
    """The byte stream of one of the two. After a failure, further output is dropped."""

    def __init__(self, descriptor: int, *, silent: bool) -> None:
        self._descriptor, self._silent = descriptor, silent
        self._failed = False

    def write(self, data: io.BufferedIOBase | bytes | memoryview, /) -> int:  # type: ignore[override]
        """Write all of `data`. Raises OSError once, unless `silent`."""
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
