"""Several GPUs for one video: each frame goes to the GPU that is expected to finish it first.

The expected time is the number of frames that a GPU still has, times its seconds per frame. The choice does
not change the result: a check before the first frame ensures that all GPUs compute the same samples. The
caller keeps the order of frames by waiting for their completions in turn. A GPU gets no frame if the fastest
GPU could finish all its own frames and that one sooner, because frames are delivered in order.

A GPU that fails gets no more frames, and the others compute its frames again; the log and `device` report it.
When the last GPU fails, its error is raised.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.planes import allocate_planes
from paragon_stream.pipeline.slot import Completion
from paragon_stream.pipeline.trace import Trace
from paragon_stream.runtimes.base import Plane
from paragon_stream.runtimes.buffers import check_planes
from paragon_stream.runtimes.gpu.session import DeviceSession
from paragon_stream.runtimes.self_check import synthetic_frame

logger = logging.getLogger(__name__)

MOST_BETWEEN = 1 / 255
"""The largest allowed difference between two GPUs at any sample, as a fraction of the peak: the effect of
rounding."""


@dataclass
class _Member:
    session: DeviceSession
    frames: int = 0
    """Number of frames that it was given and that did not fail."""
    lost_at: int | None = None
    """Number of the frame at which it failed."""

    @property
    def until_done(self) -> float:
        """Estimated seconds until it has finished one more frame; 0 if it does not respond."""
        try:
            return (self.session.unfinished + 1) * self.session.pace
        except EngineError:
            return 0.0

    def __str__(self) -> str:
        frames = f", {self.frames} frames" if self.frames else ""
        lost = "" if self.lost_at is None else f", failed at frame {self.lost_at}"
        return f"{self.session.device}{frames}{lost}"


@dataclass(frozen=True)
class _Frame:
    number: int
    inputs: Sequence[Plane]
    outputs: Sequence[Plane]
    strength: float


class DeviceTeam:
    """See `Session`, `DeviceBound`. It takes no pictures in device memory, because every GPU needs access to
    them."""

    def __init__(self, sessions: Sequence[DeviceSession]) -> None:
        """The team closes its `sessions`, which have the same job and engine; it does not if construction
        fails.

        Raises EngineError if they compute different samples, and the errors of the sessions.
        """
        first = sessions[0]
        self.job, self.engine, self.precision = first.job, first.engine, first.precision
        self.in_flight = sum(session.in_flight for session in sessions)
        self._members = [_Member(session) for session in sessions]
        self._frames = 0
        self._closed = False
        self._lock = threading.Lock()
        for session in sessions:
            try:
                session.time()
            except EngineError as error:
                logger.info("%s: its pace is measured once, by the host: %s", session.device, error)
        _compare(sessions)

    @property
    def device(self) -> str:
        """All GPUs, with the number of frames of each, and their failures."""
        return "; ".join(map(str, self._members))

    @property
    def reruns(self) -> int:
        return sum(member.session.reruns for member in self._members)

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        """See `Session.run`."""
        check_planes(inputs, self.job.source)
        check_planes(outputs, self.job.target)
        with self._lock:
            frame = _Frame(self._frames, inputs, outputs, strength)
            self._frames += 1
            return _Dealt(self, frame, *self._start(frame))

    def again(self, frame: _Frame, failed: _Member, error: EngineError) -> tuple[_Member, Completion]:
        """Start `frame` elsewhere. Raises `error` if there is no other GPU left."""
        with self._lock:
            failed.frames -= 1
            self._lose(failed, frame, error)
            if self._closed or not self._working:
                raise error
            return self._start(frame)

    def allocate_planes(self, format: FrameFormat) -> tuple[Plane, ...]:
        """See `DeviceBound`: all GPUs copy directly from memory that one of them has page-locked."""
        first, *others = (member.session for member in self._members)
        planes = first.allocate_planes(format)
        for session in others:
            session.adopt_planes(planes)
        return planes

    def trace(self, trace: Trace) -> None:
        """See `DeviceBound`; the tracks are called by their GPUs."""
        for member in self._members:
            member.session.trace(trace, prefix=f"{member.session.label} ")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for member in self._members:
                member.session.close()

    @property
    def _working(self) -> list[_Member]:
        return [member for member in self._members if member.lost_at is None]

    def _start(self, frame: _Frame) -> tuple[_Member, Completion]:
        if self._closed:
            raise EngineError("the session is closed")
        while True:
            working = self._working
            if not working:
                raise EngineError(f"all GPUs have failed: {self.device}")
            member = min(working, key=lambda each: each.until_done)
            try:
                started = member.session.run(frame.inputs, frame.outputs, frame.strength, number=frame.number)
            except EngineError as error:
                self._lose(member, frame, error)
                if not self._working:
                    raise
                continue
            member.frames += 1
            return member, started

    def _lose(self, member: _Member, frame: _Frame, error: EngineError) -> None:
        if member.lost_at is None:
            member.lost_at = frame.number
            rest = ", ".join(each.session.label for each in self._working)
            logger.warning(
                "%s failed at frame %d (%s); it gets no more frames%s",
                member.session.device,
                frame.number,
                error,
                f": {rest} will compute them" if rest else "",
            )


class _Dealt:
    """The completion of one frame, on the GPU that computes it in the end."""

    def __init__(self, team: DeviceTeam, frame: _Frame, member: _Member, started: Completion) -> None:
        self._team, self._frame, self._member, self._started = team, frame, member, started
        self._error: EngineError | None = None
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Raises EngineError if the last GPU failed, at every call."""
        with self._lock:
            while self._error is None:
                try:
                    return self._started.wait()
                except EngineError as error:
                    try:
                        self._member, self._started = self._team.again(self._frame, self._member, error)
                    except EngineError as last:
                        self._error = last
            raise self._error


def _compare(sessions: Sequence[DeviceSession]) -> None:
    """Check that all GPUs compute the same samples for one frame, and measure their speeds.

    GPUs of different kinds may add in a different order, so that a sample is rounded differently: a warning.
    Raises EngineError for larger differences.
    """
    first = sessions[0]
    pixels = first.job.target.pixel_format
    inputs = synthetic_frame(first.job.source)
    results = []
    for session in sessions:
        outputs = allocate_planes(session.job.target)
        session.run(inputs, outputs, 0.5).wait()
        if not session.pace:  # nothing on the GPU times it
            begin = perf_counter()
            session.run(inputs, outputs, 0.5).wait()
            session.pace = perf_counter() - begin
        results.append(outputs)
    for session, result in zip(sessions[1:], results[1:], strict=True):
        pairs = zip(result, results[0], strict=True)
        most = max(int(np.abs(plane.astype(np.int64) - other).max()) for plane, other in pairs)
        most >>= pixels.shift
        between = f"{first.device} and {session.device} compute samples that differ by up to {most} codes"
        if most > MOST_BETWEEN * pixels.peak:
            raise EngineError(f"{between}: they cannot work on one video")
        if most:
            logger.warning("%s: the result depends on the GPU of each frame", between)
