"""Decides which failures of a render are tried once more, from the last safe frame."""

from __future__ import annotations

import errno

from paragon_stream.errors import ConsumerGone, EngineError, InputError, OutputError
from paragon_stream.media.safekeeping.journal import Journal

PAUSE = 1.0
"""Seconds before the second try: drivers restart and network folders come back."""
_FURTHER = 100
"""Frames that a render must have gained to be tried again after another failure."""
_LASTING = (
    errno.ENOSPC,
    getattr(errno, "EDQUOT", errno.ENOSPC),
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
)
"""What the system says where the next try would fail the same way."""


class Retries:
    """One more try after each failure that may pass: of the decoder, the encoder, the engine, a disk.

    A failure that comes again before the render has got clearly further ends it.
    """

    def __init__(self) -> None:
        self._failed_at: int | None = None
        """Frames that were there at the failure before."""
        self.left: list[str] = []
        """What the try before said about the unfinished file, until the next one has it."""

    def announce(self, error: BaseException, journal: Journal | None) -> str | None:
        """The sentence that announces another try after `error`; None where there is none.

        Without a `journal` nothing can be continued.
        """
        if journal is None or not _may_pass(error):
            return None
        if self._failed_at is not None and journal.count < self._failed_at + _FURTHER:
            return None
        self._failed_at = journal.count
        return f"{error}: trying once more, after {journal.count} frames"


def _may_pass(error: BaseException) -> bool:
    """Whether something failed that is not ours. Our own refusals have no cause."""
    if isinstance(error, EngineError):
        return True
    if isinstance(error, ConsumerGone) or not isinstance(error, (InputError, OutputError)):
        return False
    cause = error.__cause__
    return cause is not None and getattr(cause, "errno", None) not in _LASTING
