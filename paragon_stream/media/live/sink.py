"""Where the frames of a live session go, and what happens when that breaks off."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter

from paragon_stream.errors import OutputError
from paragon_stream.frame import Timing
from paragon_stream.media.encode.workdir import WorkDir
from paragon_stream.media.encode.y4m import Y4mWriter
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.live.attempts import Attempts
from paragon_stream.media.live.plan import LivePlan, Where
from paragon_stream.media.live.soundtrack import SoundSource
from paragon_stream.media.live.writer import PATIENCE, LiveWriter, LiveY4mWriter

_SETTLED = 10.0
"""Seconds that a stream must have gone on for another end to count as another interruption: a server that
accepts a stream and hangs up is not tried for ever."""

_log = logging.getLogger(__name__)


class ReconnectingWriter:
    """A stream to a server, which is begun anew where it breaks off: as a new one, whose times begin at 0.

    A `Sink`, but for `reopen`, which whoever writes calls after an error. `open` makes the writer of one
    connection, given the seconds that the server may take to answer.
    """

    def __init__(self, open: Callable[[float], LiveWriter], name: str, seconds: float) -> None:
        """Raises what `open` raises: the first connection is not tried again."""
        self.events: deque[str] = deque()
        """Sentences about what happened, oldest first; whoever tells them takes them out."""
        self.reconnects = 0
        self.away = False
        """Whether it is being tried again just now."""
        self._open, self._name, self._seconds = open, name, seconds
        self._stopped = threading.Event()
        self._attempts: Attempts | None = None
        self._back = 0.0
        self._past_bytes = 0
        self._past_warnings: list[str] = []
        self._writer = open(PATIENCE)

    @property
    def warnings(self) -> list[str]:
        return list(dict.fromkeys([*self._past_warnings, *self._writer.warnings]))

    @property
    def bytes_written(self) -> int:
        return self._past_bytes + self._writer.bytes_written

    @property
    def sound_codec(self) -> str | None:
        return self._writer.sound_codec

    def write(self, planes: Sequence[Plane], timing: Timing) -> None:
        """See `LiveWriter.write`."""
        self._writer.write(planes, timing)

    def reopen(self, broke: OutputError) -> bool:
        """Begin the stream anew, which `broke` off; waits until that has succeeded.

        False if `give_up` ended that. Raises OutputError: `broke` if the server had no part in it, another
        sentence if the server did not come back.
        """
        if not self._writer.broke or not self._seconds:
            raise broke
        self._past_bytes += self._writer.bytes_written
        self._past_warnings += self._writer.warnings
        self.away = True
        self._writer.abort()
        left = self._seconds
        if self._attempts is None or perf_counter() - self._back > _SETTLED:
            self._attempts = Attempts(self._seconds)
            self.events.append(f"{broke}: trying again for {self._seconds:g} s")
        else:
            left = self._attempts.wait(self._stopped)
        last = ""
        while left:
            try:
                self._writer = self._open(min(left, PATIENCE))
            except OutputError as error:
                last = f"; {error}"
                _log.info("%s", error)
                left = self._attempts.wait(self._stopped)
                continue
            self.away, self._back = False, perf_counter()
            self.reconnects += 1
            self.events.append(f"{self._name} is back after {self._attempts.passed:.1f} s")
            return True
        if self._stopped.is_set():
            return False
        raise OutputError(f"{broke} and did not come back within {self._seconds:g} s{last}") from broke

    def give_up(self) -> None:
        """Try no more, and wait for nobody. From any thread."""
        self._stopped.set()
        self._writer.give_up()

    def finish(self) -> None:
        """End the stream properly, if it is there."""
        self._writer.finish()

    def abort(self) -> None:
        self._writer.abort()


type LiveSink = LiveWriter | ReconnectingWriter | LiveY4mWriter | Y4mWriter


def open_live_sink(
    plan: LivePlan, sound: SoundSource | None, *, player: str | None, title: str, reconnect: float
) -> LiveSink:
    """The sink that carries out `plan`; a server that breaks off is tried again for `reconnect` seconds.

    Raises OutputError.
    """
    if plan.where is Where.NETWORK:
        return ReconnectingWriter(
            lambda patience: LiveWriter(plan, sound, patience=patience), plan.name, reconnect
        )
    if plan.container is not None:
        return LiveWriter(plan, sound, player=player, title=title)
    if plan.path is not None:
        return Y4mWriter(plan.target, plan.rate, work=WorkDir(plan.path, overwrite=plan.overwrite))
    return LiveY4mWriter(plan)
