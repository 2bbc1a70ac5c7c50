"""Maps FFmpeg's exceptions to this package's; no other module depends on their details."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import av

from paragon_stream.errors import ParagonError, reason

AV_ERRORS = (av.FFmpegError, OSError, ValueError, OverflowError, RuntimeError, AssertionError)
"""Exceptions of PyAV for errors of FFmpeg, of the operating system and of its own checks. (An
`av.FFmpegError` may also be a ValueError or an OSError; PyAV raises plain ones of these as well.)"""


@contextmanager
def av_errors_as(kind: type[ParagonError], what: str) -> Iterator[None]:
    """Raise PyAV's errors of the block as `kind`, with the message "`what`: reason".

    Errors of our own tree pass through unchanged.
    """
    try:
        yield
    except AV_ERRORS as error:
        raise kind(f"{what}: {reason(error)}") from error
