"""Maps FFmpeg's exceptions to this package's; no other module depends on their details."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import av

from paragon_stream.errors import ParagonError

AV_ERRORS = (av.FFmpegError, OSError, ValueError, OverflowError, RuntimeError, AssertionError)
"""Exceptions of PyAV for errors of FFmpeg, of the operating system and of its own checks. (An
`av.FFmpegError` may also be a ValueError or an OSError; PyAV raises plain ones of these as well.)"""

_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "no such file or folder",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "part of the path is not a folder",
    errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC: "the disk quota is used up",
    errno.EIO: "the device reports an input/output error",
    errno.ENOMEM: "out of memory",
    errno.EMFILE: "too many open files",
    errno.ENAMETOOLONG: "the name is too long",
}


def reason(error: BaseException) -> str:
    """The cause in a few words, without FFmpeg's error numbers: "the disk is full"."""
    number = getattr(error, "errno", None)
    if number in _WORDS:
        return _WORDS[number]
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(words.split()).rstrip(".")


@contextmanager
def av_errors_as(kind: type[ParagonError], what: str) -> Iterator[None]:
    """Raise PyAV's errors of the block as `kind`, with the message "`what`: reason".

    Errors of our own tree pass through unchanged.
    """
    try:
        yield
    except AV_ERRORS as error:
        raise kind(f"{what}: {reason(error)}") from error
