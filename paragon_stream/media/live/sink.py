"""Opens a live session's output; the output to a server reconnects after interruptions."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter

from paragon_stream.errors import OutputError
from paragon_stream.frame import FrameData, Timing
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.live.attempts import Attempts
from paragon_stream.media.live.live_sink import LiveAnswers, LiveSink
from paragon_stream.media.live.plan import LivePlan, Where
from paragon_stream.media.live.soundtrack import SoundSource
from paragon_stream.media.live.writer import PATIENCE, LiveWriter, LiveY4mWriter

_SETTLED = 10.0
"""Seconds that a stream must last for its end to count as a new interruption. If a server accepts a stream
and disconnects at once, the attempts continue to count."""

logger = logging.getLogger(__name__)


class ReconnectingWriter(LiveAnswers):
    """A stream to a server. After an interruption, `reopen` begins a new stream, whose times begin at 0.

    `open` makes the writer of one connection; its argument is the time in seconds that the server may take to
    answer.
    """

    def __init__(self, open: Callable[[float], LiveWriter], name: str, seconds: float) -> None:
        """Raises the errors of `open`: the first connection has one attempt only."""
        self._events: deque[str] = deque()
        self._reconnects = 0
        self._away = False
        self._open, self._name, self._seconds = open, name, seconds
        self._stopped = threading.Event()
        self._attempts: Attempts | None = None
        self._back = 0.0
        self._past_bytes = 0
        self._writer = open(PATIENCE)

    @property
    def warnings(self) -> list[str]:
        return self._writer.warnings

    @property
    def bytes_written(self) -> int:
        return self._past_bytes + self._writer.bytes_written

    @property
    def sound_codec(self) -> str | None:
        return self._writer.sound_codec

    @property
    def away(self) -> bool:
        return self._away

    @property
    def reconnects(self) -> int:
        return self._reconnects

    def take_events(self) -> list[str]:
        return [self._events.popleft() for _ in range(len(self._events))]

    def attach(self, data: FrameData) -> None:
        self._writer.attach(data)

    def write(self, planes: Sequence[Plane], timing: Timing) -> None:
        self._writer.write(planes, timing)

    def reopen(self, broke: OutputError) -> bool:
        """See `LiveAnswers`. Raises `broke` if the server did not cause it, another OutputError if the server
        did not come back."""
        if not self._writer.broke or not self._seconds:
            raise broke
        self._away = True
        self._writer.abort()
        left = self._seconds
        if self._attempts is None or perf_counter() - self._back > _SETTLED:
            self._attempts = Attempts(self._seconds)
            self._events.append(f"{broke}: trying again for {self._seconds:g} s")
        else:
            left = self._attempts.wait(self._stopped)
        last = ""
        while left:
            try:
                writer = self._open(min(left, PATIENCE))
            except OutputError as error:
                last = f"; {error}"
                logger.info("%s", error)
                left = self._attempts.wait(self._stopped)
                continue
            self._past_bytes += self._writer.bytes_written
            writer.continues(self._writer)
            self._writer = writer
            self._away, self._back = False, perf_counter()
            self._reconnects += 1
            self._events.append(f"{self._name} is back after {self._attempts.passed:.1f} s")
            return True
        if self._stopped.is_set():
            return False
        raise OutputError(f"{broke} and did not come back within {self._seconds:g} s{last}") from broke

    def give_up(self) -> None:
        self._stopped.set()
        self._writer.give_up()

    def finish(self) -> None:
        self._writer.finish()

    def abort(self) -> None:
        self._writer.abort()


def open_live_sink(
    plan: LivePlan, sound: SoundSource | None, *, player: str | None, title: str, reconnect: float
) -> LiveSink:
    """The sink of `plan`; it tries to reconnect to a server for `reconnect` seconds.

    Raises OutputError.
    """
    if plan.where is Where.NETWORK:
        return ReconnectingWriter(
            lambda patience: LiveWriter(plan, sound, patience=patience), plan.name, reconnect
        )
    if plan.container is not None:
        return LiveWriter(plan, sound, player=player, title=title)
    return LiveY4mWriter(plan)
