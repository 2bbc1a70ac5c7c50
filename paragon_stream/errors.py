"""The exception tree.

Every error that this package raises intentionally is a `ParagonError`. The module that imports a library maps
the library's exceptions to these.

    ParagonError                exit code 1
    ├── UsageError              exit code 2: the request is invalid (unknown variant, engine, codec …)
    ├── InputError              the source cannot be read, or holds nothing to upscale
    ├── OutputError             the destination cannot be written
    │   ├── CannotResume        an unfinished file that this render cannot continue; a new start replaces it
    │   └── ConsumerGone        the program that read the output has closed it
    ├── LossError               `strict` was given and something would be lost
    ├── FormatError             a pixel format, colour space or size that cannot be processed
    ├── CheckpointError         weights that are missing, damaged, or not of the stated network
    ├── EngineError             a runtime failed to compile or to run a frame job
    │   └── DeviceMemoryError   an accelerator does not have enough memory
    └── Interrupted             exit code 130: the user stopped the program

A message is one sentence: what failed, where and, if possible, what to do.
"""

from __future__ import annotations

import difflib
import errno
import sys
from collections.abc import Iterable, Iterator

_QUOTA = getattr(errno, "EDQUOT", errno.ENOSPC)  # Windows has no quotas

DISK_FULL = (errno.ENOSPC, _QUOTA)
"""The system's errors for a disk without free space, and for a user who has used up a quota."""

_WORDS = {
    _QUOTA: "the disk quota is used up",
    errno.ENOSPC: "the disk is full",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "no such file or folder",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "part of the path is not a folder",
    errno.EIO: "the device reports an input/output error",
    errno.ENOMEM: "out of memory",
    errno.EMFILE: "too many open files",
    errno.ENAMETOOLONG: "the name is too long",
}

_ALIKE = 0.7
"""Similarity from which on a name is suggested, by difflib's measure."""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """`error`, then the exceptions that led to it, as a traceback would show them: nearest first."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def reason(error: BaseException) -> str:
    """The cause of an error of the system or of FFmpeg in a few words: "the disk is full"."""
    number = getattr(error, "errno", None)
    if number in _WORDS:
        return _WORDS[number]
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(words.split()).rstrip(".")


def suggestion(name: str, known: Iterable[str]) -> str:
    """For messages: " (did you mean crf?)", the name in `known` that is most like `name`; "" without one."""
    close = difflib.get_close_matches(name, known, 1, _ALIKE)
    return f" (did you mean {close[0]}?)" if close else ""


class ParagonError(Exception):
    """Base of all errors that are raised intentionally; `str(error)` is one line for the user."""

    exit_code = 1


def explanation(error: Exception, source: object = "") -> str:
    """The line for the user about any error: that of a ParagonError, else a request to report it, for the
    file `source` if one is given."""
    if isinstance(error, ParagonError):
        return str(error)
    kind = type(error).__name__
    return f"{source}{': ' if source else ''}internal error, please report it: {kind}: {error or kind}"


def install_command(packages: str) -> str:
    """The command that installs packages for the Python that is running."""
    return f"{sys.executable or 'python'} -m pip install {packages}"


class UsageError(ParagonError):
    """The request itself is wrong: an unknown name, contradictory options, a value out of range."""

    exit_code = 2


class InputError(ParagonError):
    """The source cannot be opened or decoded, or has no video."""


class OutputError(ParagonError):
    """The destination cannot be written, exists already, or the encoder refused."""


class CannotResume(OutputError):
    """The unfinished file belongs to another render or encoder: only a new start helps."""


class ConsumerGone(OutputError):
    """The program that read the output has closed it: a window or a pipe was closed."""


class LossError(ParagonError):
    """`strict` was given, and a stream or a property cannot be carried over."""


class FormatError(ParagonError):
    """A pixel format, colour space or frame size that frame jobs cannot process correctly."""


class CheckpointError(ParagonError):
    """Weights that cannot be read, or whose tensors are not those of a known network."""


class EngineError(ParagonError):
    """A runtime is not installed, failed to compile a frame job, or failed while running one."""


class DeviceMemoryError(EngineError):
    """An accelerator does not have enough memory; smaller tiles may fit."""


class Interrupted(ParagonError):
    """The user stopped the program; there is no file under the final name."""

    exit_code = 130
