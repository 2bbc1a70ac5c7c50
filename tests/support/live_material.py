"""For tests of live sessions: a source whose frames are sent one by one, an engine with a gate, ports."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
import pytest

from paragon_stream.errors import EngineError
from paragon_stream.livestream.live import live
from paragon_stream.media.ffmpeg.planes import plane_view
from paragon_stream.pipeline.slot import DONE, Completion
from paragon_stream.report import LiveReport
from paragon_stream.runtimes.null import NullSession

WIDTH, HEIGHT = 32, 16
OPENING = 4
"""Frames that a session looks at before it begins."""
PATIENCE = 60.0


class FramePipe:
    """Grey y4m frames into a named pipe; a frame's number is its luma."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb", buffering=0)
        self._file.write(b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420mpeg2\n" % (WIDTH, HEIGHT))

    def send(self, *numbers: int) -> None:
        for number in numbers:
            luma = bytes([number]) * (WIDTH * HEIGHT)
            self._file.write(b"FRAME\n" + luma + b"\x80" * (WIDTH * HEIGHT // 2))

    def close(self) -> None:
        self._file.close()


class Gate:
    """Stands in for an engine: it copies a frame's number, and waits at the numbers in `closed`."""

    def __init__(self, *closed: int) -> None:
        self.closed = set(closed)
        self.broken: int | None = None
        """The number at which it fails."""
        self.arrived = threading.Event()
        self._open = threading.Event()
        self.computed: list[int] = []

    def open(self) -> None:
        self._open.set()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def run(
            session: NullSession, inputs: Sequence[Any], outputs: Sequence[Any], strength: float
        ) -> Completion:
            number = int(inputs[0].flat[0])
            if number in self.closed:
                self.arrived.set()
                assert self._open.wait(PATIENCE)
            if number == self.broken:
                raise EngineError("on purpose")
            self.computed.append(number)
            for plane, value in zip(outputs, (number, 128, 128), strict=True):
                plane[:] = value
            return DONE

        monkeypatch.setattr(NullSession, "run", run)


class Running:
    """A session in a thread of its own; its events so far."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.begun = threading.Event()
        self.stop = threading.Event()
        self.frames_in = self.frames_out = 0
        self.events: list[str] = []
        self.report: LiveReport | None = None
        self.error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, args=(arguments, options), daemon=True)
        self._thread.start()

    def _run(self, arguments: Any, options: Any) -> None:
        try:
            self.report = live(
                *arguments, on_progress=self._note, on_event=self._event, stop=self.stop, **options
            )
        except BaseException as error:
            self.error = error
        with self._changed:
            self._changed.notify_all()

    def _note(self, progress: Any) -> None:
        with self._changed:
            self.frames_in, self.frames_out = progress.frames_in, progress.frames_out
            self._changed.notify_all()
        self.begun.set()

    def _event(self, sentence: str) -> None:
        with self._changed:
            self.events.append(sentence)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[Running], bool]) -> None:
        with self._changed:
            reached = self._changed.wait_for(lambda: condition(self) or not self._thread.is_alive(), PATIENCE)
            assert reached and condition(self), (self.error, self.frames_in, self.frames_out, self.events)

    def result(self) -> LiveReport:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        assert self.report is not None
        return self.report


def numbers(path: Path) -> list[int]:
    """The luma of every frame of a file, which has one value."""
    return [number for number, _ in numbers_and_times(path)]


def numbers_and_times(path: Path) -> list[tuple[int, float]]:
    """The luma of every frame of a file, which has one value, and the frame's time in seconds."""
    with av.open(str(path)) as container:
        return [(_value(frame), frame.time) for frame in container.decode(video=0)]


def _value(frame: av.VideoFrame) -> int:
    luma = plane_view(frame, 0)[: frame.height, : frame.width]
    assert (luma == luma[0, 0]).all(), f"the frame at {frame.time} s holds {np.unique(luma)}: {luma}"
    return int(luma[0, 0])


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that nobody uses now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """Sends `data` to everyone who connects, `rate` bytes a second, then hangs up."""

    def __init__(self, *parts: bytes, rate: int) -> None:
        self.parts, self.rate = parts, rate
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp://{}:{}".format(*self.listener.getsockname())
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        for part in self.parts:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                for at in range(0, len(part), self.rate // 20):
                    try:
                        connection.sendall(part[at : at + self.rate // 20])
                    except OSError:
                        break
                    time.sleep(0.05)

    def close(self) -> None:
        self.listener.close()
