"""FFmpeg's log during an operation, which often is the only source of the reason for an error."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from av import logging as av_logging

_MOST = 3


@dataclass
class CapturedLog:
    """The lines of one `captured_log` block; complete when it is over."""

    log: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """The first few messages, without duplicates and without dumps of whole configurations."""
        messages = [
            re.sub(r" \(repeated \d+ more times\)$", "", message).strip().rstrip(".")
            for _, _, message in self.log
        ]
        return list(dict.fromkeys(line for line in messages if line and "\n" not in line))[:_MOST]


class _Listening:
    """FFmpeg has one log level for the process. Of several blocks that overlap in time the first one sets it,
    and the last one restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._levels: list[int] = []
        self._before: tuple[int | None, bool] = (None, True)

    def begin(self, level: int) -> None:
        with self._lock:
            if not self._levels:
                self._before = av_logging.get_level(), av_logging.get_skip_repeated()
                # Else the second error with the same message would have none.
                av_logging.set_skip_repeated(False)
            self._levels.append(level)
            av_logging.set_level(max(self._levels))

    def end(self, level: int) -> None:
        with self._lock:
            self._levels.remove(level)
            if self._levels:
                av_logging.set_level(max(self._levels))
                return
            before, skip_repeated = self._before
            av_logging.set_level(before)
            av_logging.set_skip_repeated(skip_repeated)


_listening = _Listening()


@contextmanager
def captured_log(level: int = av_logging.WARNING) -> Iterator[CapturedLog]:
    """Collect FFmpeg's messages of this thread, from `level` up. Several threads may do so at once."""
    captured = CapturedLog()
    _listening.begin(level)
    try:
        with av_logging.Capture() as log:
            captured.log = log
            yield captured
    finally:
        _listening.end(level)
