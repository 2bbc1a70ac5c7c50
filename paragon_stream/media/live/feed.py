"""The capturing thread: it reads and decodes at the speed of the source, independently of the other threads.

It blocks in FFmpeg and cannot be interrupted there, so no thread waits for it to end; other threads wait for
its queue, which `stop` ends at once. It never waits for the pipeline: a full queue drops its oldest picture.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from time import perf_counter

import av

from paragon_stream.errors import InputError, ParagonError, reason
from paragon_stream.frame import Timing
from paragon_stream.media.decode.frame_source import LeftGpu
from paragon_stream.media.facts.info import Damage, MediaInfo
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.live.attempts import FIRST_PAUSE, Attempts
from paragon_stream.media.live.clock import FilePosition, LiveClock, Pacer
from paragon_stream.media.live.connection import Connection, DecodedFrame, Sound, silence
from paragon_stream.media.live.names import has_host
from paragon_stream.media.live.soundkind import SoundKind
from paragon_stream.media.live.soundqueue import SoundQueue
from paragon_stream.media.live.source import Kind, LiveSource
from paragon_stream.media.quantisers.meter import Reading
from paragon_stream.pipeline.channel import Channel

_WAITING = 4
"""Length of the queue. The pipeline takes each picture at once and drops pictures itself."""
_REMEMBERED = 256
"""Arrival times that are kept for measuring latency: more than there are pictures in flight. Also the packets
of sound that wait for a picture."""
_ENDS_EARLY = 2.0
"""Seconds before the end of a file at which the end of its data counts as an interruption."""
_SERVERS = ("http://", "https://", "rtsp://", "rtsps://", "ftp://", "sftp://")
"""Beginnings of addresses at which every connection to a file starts at the file's beginning."""
_NO_PLACE = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EINVAL)
"""Errors that mean that an address cannot be listened on."""

logger = logging.getLogger(__name__)


class LiveFeed:
    """A `FrameSource` of the pictures of a live source, across interruptions. `stop` and `close` it.

    `open` it, plan the session, then `begin`: until then the source waits. With `quantisers`, pictures have a
    quantiser; with `sound`, the first sound stream goes into `sound`. It ends after `duration` seconds.
    """

    def __init__(
        self,
        source: LiveSource,
        *,
        quantisers: bool = False,
        sound: bool = True,
        duration: Fraction | None = None,
    ) -> None:
        self.source = source
        self.left_gpu: LeftGpu | None = None
        self.first_pts: int | None = None
        self.gave_up: str | None = None
        """The interruption that ended the source; None if it ended by itself or was stopped."""
        self.finished = "the source has ended"
        """Why the source ended, unless it was stopped or failed."""
        self.events: deque[str] = deque()
        """Sentences about events, oldest first; the session removes those that it reports."""
        self.pictures = 0
        """Number of pictures since `begin`."""
        self.reconnects = 0
        self.sound = SoundQueue()
        self._quantisers, self._wants_sound, self._duration = quantisers, sound, duration
        self._channel: Channel[tuple[DecodedFrame, Timing]] = Channel(_WAITING)
        self._dropped = 0
        self._now: DecodedFrame | None = None
        self._arrivals: deque[tuple[Fraction, float]] = deque(maxlen=_REMEMBERED)
        self._unplaced: deque[Sound] = deque()
        """Sound of a clock that no picture has shown yet."""
        self._clock = LiveClock()
        self._unit = Fraction(1, 1_000_000)
        self._reached: dict[type, Fraction] = {}
        """The position of the latest picture and of the latest sound of a file."""
        self._attempts: Attempts | None = None
        """The attempts after the latest interruption."""
        self._begin: Fraction | None = None
        self._counts = False
        self._opened, self._begun, self._stopped = threading.Event(), threading.Event(), threading.Event()
        self._failure: BaseException | None = None
        self._connection: Connection | None = None
        self._past_damage = Damage()
        self._sound_kind: SoundKind | None = None
        self._name = ""
        self._thread = threading.Thread(target=self._live, name="paragon-source", daemon=True)

    # ------------------------------------------------------------------------ for the thread that owns it

    def start(self) -> None:
        """Start opening the source; `ready` waits for the end of that."""
        self._thread.start()

    def ready(self, seconds: float) -> bool:
        """Wait up to `seconds` for the first pictures. Returns True if they have come. Raises the error of
        opening."""
        if not self._opened.wait(seconds):
            return False
        if self._failure is not None:
            raise self._failure
        return True

    @property
    def connection(self) -> Connection:
        """The first one, between `ready` and `begin`."""
        assert self._connection is not None
        return self._connection

    def info(self) -> MediaInfo:
        """The facts of the source. Between `ready` and `begin`."""
        return self.connection.info()

    def begin(self) -> None:
        """Let the source continue."""
        self._begun.set()

    def forget(self) -> None:
        """Drop all pictures so far except the newest: they arrived before the pipeline was ready.

        Counts, latencies and `duration` begin here.
        """
        while len(self._channel) > 1:
            self._channel.get()
        self._dropped = self.pictures = 0
        if self._arrivals:
            self._arrivals.append((self._arrivals[-1][0], perf_counter()))
        self._counts = True

    def stop(self) -> None:
        """End the stream after the pictures in the queue. From any thread; may be called twice."""
        self.sound.stopped |= not self.over
        self._stopped.set()
        self._begun.set()
        self._channel.close()

    @property
    def over(self) -> bool:
        """Whether no more pictures will arrive."""
        return self._stopped.is_set() or not self._thread.is_alive()

    @property
    def dropped(self) -> int:
        """Pictures that were dropped before the pipeline."""
        return self._dropped

    def arrival(self, timing: Timing) -> float:
        """Time at which the picture of `timing` was captured, in seconds of `perf_counter`."""
        time = timing.time
        arrivals = self._arrivals.copy()  # in one step: the feed's thread appends meanwhile
        return next((wall for stamp, wall in reversed(arrivals) if stamp <= time), arrivals[0][1])

    # -------------------------------------------------------------------------------- as a FrameSource

    @property
    def name(self) -> str:
        return self._name

    @property
    def damage(self) -> Damage:
        now = Damage() if self._connection is None else self._connection.damage
        past = self._past_damage
        return Damage(
            undecodable_packets=past.undecodable_packets + now.undecodable_packets,
            corrupt_packets=past.corrupt_packets + now.corrupt_packets,
            corrupt_frames=past.corrupt_frames + now.corrupt_frames,
        )

    def __iter__(self) -> Iterator[av.VideoFrame]:
        while (item := self._channel.get()) is not None:
            self._now, timing = item
            # Its decode time is on the source's clock, and must not be taken for a better timestamp.
            self._now.frame.pts, self._now.frame.dts = timing.pts, None
            yield self._now.frame

    def reading(self, frame: av.VideoFrame) -> Reading | None:
        return None if self._now is None else self._now.reading

    def is_corrupt(self, frame: av.VideoFrame) -> bool:
        return bool(frame.is_corrupt)

    def aspect(self, frame: av.VideoFrame) -> Fraction | None:
        return None if self._now is None else self._now.aspect

    def close(self) -> None:
        self.stop()

    # ---------------------------------------------------------------------------------- on the thread

    def _live(self) -> None:
        try:
            self._connection = connection = self._first_connection()
            self._unit = self._clock.tick = connection.video.time_base
            self._name = connection.decoder
            self._sound_kind = connection.sound
            self._opened.set()
            self._begun.wait()
            while self._drain():
                pass
        except BaseException as error:
            self._failure = error
            self.gave_up = str(error) or type(error).__name__
            logger.debug("the source's thread ends", exc_info=error)
        finally:
            self._disconnect()
            self._opened.set()
            self._channel.close()

    def _first_connection(self) -> Connection:
        """While listening, a client that disconnects at once does not end the wait."""
        while True:
            try:
                return self._connect(None if self.source.listen else self.source.timeout)
            except InputError as error:
                number = getattr(error.__cause__, "errno", None)
                # EIO also has other causes, such as a client of RTMP that disconnects.
                refused = number in _NO_PLACE or (number == errno.EIO and not has_host(self.source.url))
                if not self.source.listen or refused or self._stopped.is_set():
                    raise
                self.events.append(f"{error}: listening again")
                self._stopped.wait(FIRST_PAUSE)

    def _connect(self, patience: float | None) -> Connection:
        return Connection(
            self.source, quantisers=self._quantisers, sound=self._wants_sound, patience=patience
        )

    def _compare_sound(self, now: SoundKind | None) -> None:
        """Report sound of another kind than before the interruption."""
        before = self._sound_kind
        if now is None:
            if self.sound.wanted:
                self.events.append(f"{self.source.name} has no sound now")
            return
        self._sound_kind = now
        if not self.sound.wanted:
            if before is None:
                self.events.append(
                    f"{self.source.name} has sound now, but the output began without: left out"
                )
        elif before is not None and now.key != before.key:
            self.events.append(f"the sound of {self.source.name} is {now} now, not {before}")

    def _disconnect(self) -> None:
        connection = self._connection
        if connection is not None:
            self._past_damage, self._connection = self.damage, None
            self.sound.refused += len(self._unplaced)
            self._unplaced.clear()
            connection.close()

    def _drain(self) -> bool:
        """Read one connection to its end. Returns False if there will be no further one."""
        connection, why = self.connection, ""
        pacer = Pacer() if connection.paced else None
        is_file, before = self._is_file(connection), dict(self._reached)
        positions = {kind: FilePosition(connection.begin) for kind in (DecodedFrame, Sound)}
        progressed = False
        try:
            for item in connection:
                if self._stopped.is_set():
                    return False
                if is_file and item.stamp is not None:
                    position = positions[type(item)].advance(item.stamp)
                    if position <= before.get(type(item), -1):
                        continue
                    self._reached[type(item)] = position
                progressed = True
                if isinstance(item, Sound):
                    self._hear(item)
                elif not self._deliver(item, pacer):
                    return False
        except AV_ERRORS as error:
            why = self._in_words(error)
        if self._stopped.is_set():
            return False
        if is_file and not why:
            missing = float(connection.length - max(self._reached.values(), default=connection.length))
            if missing < _ENDS_EARLY or not progressed:  # it states a length that it does not have
                return False
            why = f"{missing:.1f} s before its end"
        self._disconnect()
        return self._again(why, anew=progressed)

    def _is_file(self, connection: Connection) -> bool:
        """Whether another connection would begin at the beginning, with the same timestamps: a file of a
        server, HLS or RTSP on demand. Broadcasts by RTMP may state a length, too."""
        return connection.ends and self.source.url.lower().startswith(_SERVERS)

    def _hear(self, sound: Sound) -> None:
        """Put `sound` into the queue. After a jump of the source's clock it waits for the next picture, which
        gives its time."""
        stamp = sound.stamp
        if stamp is None or self._clock.is_known(stamp, perf_counter()):
            self.sound.put(sound, self._clock.shift)
            return
        if len(self._unplaced) == _REMEMBERED:
            self._unplaced.popleft()
            self.sound.refused += 1
        self._unplaced.append(sound)

    def _deliver(self, picture: DecodedFrame, pacer: Pacer | None) -> bool:
        before, jumps = self._clock.shift, not self._clock.interruption
        time = self._clock.place(picture.stamp, perf_counter())
        if jumps and self._clock.shift != before:
            jump = float(before - self._clock.shift)
            self.events.append(
                f"the timestamps of {self.source.name} jump by {jump:+.1f} s: the output continues"
            )
        for _ in range(len(self._unplaced)):
            self._hear(self._unplaced.popleft())
        wait = 0.0 if pacer is None else pacer.wait(time, perf_counter())
        if wait and self._stopped.wait(wait):
            return False
        if self._counts and self._begin is None:
            self._begin = time
        if self._duration is not None and self._begin is not None and time - self._begin >= self._duration:
            self.finished, self.sound.stopped = "the duration is over", True
            return False
        timing = Timing(pts=round(time / self._unit), duration=0, time_base=self._unit)
        now = perf_counter()
        self._arrivals.append((timing.pts * self._unit, now))
        self.pictures += 1
        try:
            _, dropped = self._channel.put_latest((picture, timing))
        except RuntimeError:  # stopped meanwhile
            return False
        self._dropped += dropped is not None
        return True

    def _in_words(self, error: BaseException) -> str:
        """Why the source was interrupted; "" if a stream of this kind ends normally that way."""
        if self.source.kind is Kind.NETWORK and getattr(error, "errno", None) == errno.EIO:
            return ""  # RTMP: the sender has disconnected
        if self.source.kind is Kind.SCREEN and isinstance(error, PermissionError):
            return "it is smaller than before"  # what is captured is no longer inside the screen
        if self.source.kind is Kind.SCREEN and isinstance(error, av.error.ExternalError):
            return "its X server has ended"
        if isinstance(error, av.error.ExitError):
            return silence(self.source)
        return reason(error)

    def _again(self, why: str, *, anew: bool) -> bool:
        """Try to reconnect for `--reconnect` seconds. Returns False if that failed.

        If the interruption is not `anew`, because nothing came after the one before, the attempts go on.
        """
        source = self.source
        what = f"{source.name} broke off ({why})" if why else f"{source.name} has ended"
        if not source.reconnect:
            # A pipe or a file ends; a device that stops was unplugged.
            self.gave_up = None if not why and source.kind in (Kind.PIPE, Kind.FILE, Kind.NETWORK) else what
            return False
        left, last = source.reconnect, ""
        if anew or self._attempts is None:
            self._attempts = Attempts(source.reconnect)
            self.events.append(f"{what}: trying again for {source.reconnect:g} s")
        else:
            left = self._attempts.wait(self._stopped)
        attempts = self._attempts
        while left:
            try:
                self._connection = self._connect(left if source.listen else min(left, source.timeout))
            except (ParagonError, *AV_ERRORS) as error:
                last = str(error)
                logger.info("%s", last)
                left = attempts.wait(self._stopped)
                continue
            if self._is_file(self._connection) and not why:
                return False  # a broadcast that is over, and can be watched from its beginning now
            self._clock.interrupted()
            self.reconnects += 1
            self.events.append(f"{source.name} is back after {attempts.passed:.1f} s")
            self._compare_sound(self._connection.sound)
            return True
        if not self._stopped.is_set():
            detail = f"; {last}" if last and why else ""
            self.gave_up = (
                f"{what} and did not come back within {source.reconnect:g} s{detail}" if why else None
            )
        return False
