"""The sink of a live session: every frame is encoded and sent at once, with its sound."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Sequence
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av

from paragon_stream.errors import ConsumerGone, OutputError, reason
from paragon_stream.frame import FrameData, Timing
from paragon_stream.media.encode.encoder_job import configure, encoder_frame
from paragon_stream.media.encode.messages import PacketMessages
from paragon_stream.media.encode.outpipe import OutPipe
from paragon_stream.media.encode.workdir import WorkDir
from paragon_stream.media.encode.y4m import Y4mWriter
from paragon_stream.media.ffmpeg.encoder_guard import guarded_opening
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.log import captured_log
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.live.live_sink import LiveAnswers
from paragon_stream.media.live.plan import KEY_SECONDS, LivePlan, Where
from paragon_stream.media.live.player import Player, find_player, player_arguments
from paragon_stream.media.live.soundtrack import SoundSource, SoundTrack
from paragon_stream.media.output.placing import Placing
from paragon_stream.number_text import counted

PATIENCE = 10.0
"""Timeout of a server's answer and of each write, seconds."""
_BUFFER = 1 << 20
_INTRA = 1
"""AVPictureType."""


class LiveWriter(LiveAnswers):
    """Carries out a `LivePlan` that has a container. A `Sink`; times begin at 0 with the first picture.

    Raises OutputError if the output cannot be opened or fails, ConsumerGone if the reader of a pipe closed
    it.
    """

    def __init__(
        self,
        plan: LivePlan,
        sound: SoundSource | None = None,
        *,
        player: str | None = None,
        title: str = "paragon-stream",
        patience: float = PATIENCE,
    ) -> None:
        """`player` shows windows. A server may take `patience` seconds to answer."""
        assert plan.container and plan.job, "a plan with a container"
        self._notices: list[str] = []
        self.bytes_written = 0
        self._plan, self._job, self._container = plan, plan.job, plan.container
        self._what = f"cannot write to {plan.name}"
        self._begin = Fraction(0)
        """Time of the first picture, seconds on the source's clock."""
        self._end_time = Fraction(0)
        """End of the latest picture, on the same clock."""
        self._times: Placing | None = None
        """None until the first picture."""
        self._messages = PacketMessages(self._job.encoder)
        self._last_key: int | None = None
        self._inside = self._held = 0
        """Number of frames in the encoder: now, and at most so far."""
        self._ended = self._gone = False
        self.broke = False
        """Whether the connection to the server failed."""
        self._work: WorkDir | None = None
        self._pipe: OutPipe | None = None
        self._player: Player | None = None
        self._out: Any = None
        self.sound: SoundTrack | None = None
        try:
            target = self._destination(player, title, sound=sound is not None)
            with captured_log() as captured, self._errors(captured.lines):
                self._out = av.open(
                    target,
                    "w",
                    format=self._container.muxer,
                    container_options=dict(plan.muxer_options),
                    buffer_size=_BUFFER,
                    timeout=(patience, PATIENCE) if plan.where is Where.NETWORK else None,
                )
                self._video = self._out.add_stream(self._job.encoder.name, rate=self._job.rate)
                configure(self._video.codec_context, self._job)
                self._video.time_base = self._job.tick
                if plan.display_matrix is not None and self._container.rotation:
                    self._video.set_display_matrix(plan.display_matrix)
                if sound is not None:
                    self.sound = SoundTrack(self._out, sound, self._container)
                with guarded_opening():
                    self._out.start_encoding()
        except ConsumerGone:
            self._close_pipe()  # raises the error of a player that could not start
            self.abort()
            raise
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def attach(self, data: FrameData) -> None:
        """See `Sink.attach`."""
        self._messages.coming = data

    def write(self, planes: Sequence[Plane], timing: Timing) -> None:
        """Encode one frame and send it off, with the sound up to its time. See `Sink.write`."""
        time = timing.time
        if self._times is None:
            self._begin, self._times = time, Placing(time, self._job.tick, self._job.rate)
        self._end_time = time + 1 / self._job.rate
        frame = encoder_frame(planes, self._job.format)
        frame.pts = pts = self._times.place(timing)
        frame.time_base = self._job.tick
        self._messages.note(pts)
        self._times.taken(pts)  # packets of a live output have no durations
        # Counted in time, not in frames: frames may be dropped.
        if self._last_key is None or (pts - self._last_key) * self._job.tick >= KEY_SECONDS:
            self._last_key, frame.pict_type = pts, _INTRA
        with self._errors():
            packets = self._encode(frame)
            self._inside += 1 - len(packets)
            self._held = max(self._held, self._inside)
            if self.sound is not None:
                self._mux(self.sound.take(time, self._begin))
            self._mux(packets)

    def finish(self) -> None:
        """End the output; a file gets its final name. If the reader has closed the pipe, only close the
        file."""
        if self._ended:
            return
        try:
            if self._gone:
                with contextlib.suppress(*AV_ERRORS):
                    self._out.close()
            else:
                with contextlib.suppress(ConsumerGone), self._errors():
                    self._mux(self._encode(None))
                    if self.sound is not None and self._times is not None:
                        self._mux(self.sound.finish(self._end_time, self._begin))
                    self._out.close()
        except BaseException:
            self.abort()
            raise
        if self._times is None:
            self.abort()  # no file without a picture
            return
        try:
            self._close_pipe()
            if self._work is not None:
                self.bytes_written = self._work.promote()
        except BaseException:
            self.abort()
            raise
        self._end()

    def abort(self) -> None:
        if self._ended:
            return
        self._end()
        if self._out is not None:
            with contextlib.suppress(*AV_ERRORS):
                self._out.close()
        with contextlib.suppress(OutputError):
            self._close_pipe()
        if self._work is not None and (kept := self._work.abandon(worth_keeping=self._times is not None)):
            self._notices.append(kept)

    def _end(self) -> None:
        self._ended = True
        if self.sound is not None:
            self._notices += self.sound.warnings

    def continues(self, before: LiveWriter) -> None:
        """Take over what the ended connection `before` would report, so that counts are those of both."""
        self._notices = [*before._notices, *self._notices]
        self._held = max(self._held, before._held)
        self._messages.lost.update(before._messages.lost)

    @property
    def warnings(self) -> list[str]:
        """Sentences about this connection and those before it; those with counts when it has ended."""
        counts = self._messages.warnings if self._ended else []
        if self._held and self._ended:
            frames = counted(self._held, "frame")
            counts = [f"{self._job.encoder.name} held {frames} back, which adds to the latency", *counts]
        return list(dict.fromkeys([*self._notices, *counts]))

    @property
    def sound_codec(self) -> str | None:
        return None if self.sound is None else self.sound.codec

    def give_up(self) -> None:
        if self._pipe is not None:
            self._pipe.give_up()

    def _encode(self, frame: av.VideoFrame | None) -> list[Any]:
        return [self._messages.added_to(packet) for packet in self._video.encode(frame)]

    def _destination(self, player: str | None, title: str, *, sound: bool) -> str | OutPipe:
        plan = self._plan
        if plan.where is Where.WINDOW:
            arguments = player_arguments(plan.target, title=title, sound=sound, matrix=plan.display_matrix)
            self._player = Player(find_player(player), arguments)
            self._pipe = self._player.pipe
            return self._pipe
        if plan.where is Where.STDOUT:
            self._pipe = OutPipe(sys.stdout.buffer)
            return self._pipe
        if plan.path is not None:
            self._work = WorkDir(plan.path, overwrite=plan.overwrite, recording=True)
            if self._work.notice:
                self._notices.append(self._work.notice)
            return str(self._work.file)
        return plan.url

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            size = packet.size
            try:
                self._out.mux_one(packet)
            except AV_ERRORS:
                self.broke = self._plan.where is Where.NETWORK
                raise
            self.bytes_written += size

    @contextlib.contextmanager
    def _errors(self, messages: Sequence[str] = ()) -> Any:
        try:
            yield
        except BrokenPipeError as error:
            if self._pipe is not None:
                self._gone = True
                what = "did not take the last frames in time" if self._pipe.given_up else "was closed"
                raise ConsumerGone(f"{self._plan.name} {what}") from None
            raise self._failure(error, messages) from error
        except AV_ERRORS as error:
            raise self._failure(error, messages) from error

    def _failure(self, error: BaseException, messages: Sequence[str]) -> OutputError:
        slow = isinstance(error, av.error.ExitError)
        if self.broke:
            why = f"it accepted no data for {PATIENCE:g} s" if slow else reason(error)
            return OutputError(f"{self._plan.name} broke off ({why})")
        if slow:
            return OutputError(f"{self._plan.name} does not answer")
        why = reason(error) if self._plan.where is Where.NETWORK or not messages else "; ".join(messages)
        return OutputError(f"{self._what}: {why}")

    def _close_pipe(self) -> None:
        """Raises OutputError if the player failed by itself."""
        if self._player is not None:
            player, self._player = self._player, None
            if why := player.close(gone=self._gone):
                raise OutputError(why)
        elif self._pipe is not None:
            self._pipe.close()


class LiveY4mWriter(LiveAnswers, Y4mWriter):
    """y4m to a file, or to standard output, whose reader may be slow."""

    def __init__(self, plan: LivePlan) -> None:
        work = None
        if plan.path is not None:
            work = WorkDir(plan.path, overwrite=plan.overwrite, recording=True)
        Y4mWriter.__init__(self, plan.target, plan.rate, work=work)

    def finish(self) -> None:
        """End the output; a file gets its final name, unless it has no picture: an older one stays."""
        if self._work is not None and not self._frames:
            self.abort()
        else:
            Y4mWriter.finish(self)

    def give_up(self) -> None:
        Y4mWriter.give_up(self)
