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

    Ignored SIGINT and SIGHUP stay ignored: shells ignore SIGINT for background jobs, nohup ignores SIGHUP.
    """
    for number in REQUESTS:
        if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGTERM:
            signal.signal(number, signal.default_int_handler)


class HeldInterrupt:
    """A context in which Ctrl-C does not raise; it sets `pending`, and the owner decides when to stop.

    Python raises KeyboardInterrupt between any two bytecodes, also inside a lock's `__enter__` and during the
    clean-up after a first Ctrl-C. Only a deferred interrupt guarantees that all threads are joined. The same
    applies to each of REQUESTS that raises KeyboardInterrupt. Nothing is deferred outside the main thread
    (signals arrive only there), or if the program has installed its own handler.
    """

    def __init__(self) -> None:
        self.count = 0
        """The number of requests to end."""
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
