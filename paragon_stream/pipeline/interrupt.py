"""Ctrl-C, noted instead of raised."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class HeldInterrupt:
    """Within this context Ctrl-C raises nothing; it sets `pending`, and the owner decides when to give in.

    Python raises KeyboardInterrupt between any two bytecodes: in the middle of a lock's `__enter__`, or of
    the very clean-up that a first Ctrl-C had begun. Holding it is the only way to promise that all threads
    are joined. Nothing is held outside the main thread (where Ctrl-C never arrives), nor where the program
    has a Ctrl-C handler of its own, whose meaning we cannot know.
    """

    def __init__(self) -> None:
        self.count = 0
        """How often Ctrl-C has come."""
        self._holds = False

    @property
    def pending(self) -> bool:
        return self.count > 0

    def __enter__(self) -> HeldInterrupt:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._holds = True
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._holds:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
