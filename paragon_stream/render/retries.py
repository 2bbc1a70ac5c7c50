"""Decides which failures of a render are tried once more, from the last safe frame."""

from __future__ import annotations

import errno

from paragon_stream.errors import DISK_FULL, ConsumerGone, EngineError, InputError, OutputError
from paragon_stream.media.safekeeping.journal import Journal

PAUSE = 1.0
"""Seconds before the second try: drivers restart and network folders come back."""
_FURTHER = 100
"""Frames that must be done after a failure before another one is retried."""
_LASTING = (
    *DISK_FULL,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
)
"""System errors that a second try would meet again."""


class Retries:
    """One retry after each failure that may be temporary: of the decoder, the encoder, the engine, a disk.

    A failure that occurs again before `_FURTHER` more frames are done ends the render.
    """

    def __init__(self) -> None:
        self._failed_at: int | None = None
        """The number of stored frames at the previous failure."""
        self.left: list[str] = []
        """Warnings of the previous try about its unfinished file, until the next try has opened it."""

    def announce(self, error: BaseException, journal: Journal | None) -> str | None:
        """The warning that announces another try after `error`; None if there is no other try.

        Without a `journal` a render cannot be continued.
        """
        if journal is None or not _may_pass(error):
            return None
        if self._failed_at is not None and journal.count < self._failed_at + _FURTHER:
            return None
        self._failed_at = journal.count
        return f"{error}: trying once more, after {journal.count} frames"


def _may_pass(error: BaseException) -> bool:
    """Whether the failure may be temporary: errors of libraries and the system, which are the `__cause__` of
    this package's errors. Refusals of this package have none."""
    if isinstance(error, EngineError):
        return True
    if isinstance(error, ConsumerGone) or not isinstance(error, (InputError, OutputError)):
        return False
    cause = error.__cause__
    return cause is not None and getattr(cause, "errno", None) not in _LASTING
