"""Requests to end a program: Ctrl-C and the signals with the same effect are recorded, and raised later."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

REQUESTS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
"""Signals that request the end of a program."""


def raise_on_requests() -> None:
    """Let every one of REQUESTS raise KeyboardInterrupt, in this process and from the main thread.

    Ignored SIGINT and SIGHUP stay ignored: a shell sets that for jobs in the background, nohup for programs
    that shall outlive their terminal.
    """
    for number in REQUESTS:
        if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGTERM:
            signal.signal(number, signal.default_int_handler)


class HeldInterrupt:
    """Within this context Ctrl-C raises nothing; it sets `pending`, and the owner decides when to give in.

    Python raises KeyboardInterrupt between any two bytecodes: in the middle of a lock's `__enter__`, or of
    the very clean-up that a first Ctrl-C had begun. Holding it is the only way to promise that all threads
    are joined. The same holds for each of REQUESTS that raises KeyboardInterrupt. Nothing is held outside
    the main thread (where signals never arrive), nor where the program has a handler of its own, whose
    meaning is not known here.
    """

    def __init__(self) -> None:
        self.count = 0
        """How often the program was asked to end."""
        self._held: list[signal.Signals] = []

    @property
    def pending(self) -> bool:
        return self.count > 0

    def __enter__(self) -> HeldInterrupt:
        if threading.current_thread() is threading.main_thread():
            for number in REQUESTS:
                if signal.getsignal(number) is signal.default_int_handler:
                    self._held.append(number)
                    signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self._held:
            signal.signal(number, signal.default_int_handler)
        self._held.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
