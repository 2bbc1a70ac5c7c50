"""Outputs whose connection fails: they reconnect for a limited time, and the report says so."""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import make_clip
from live_material import OPENING, FramePipe, Running
from places import SAMPLE

import paragon_stream
from paragon_stream.errors import OutputError
from paragon_stream.frame import Timing
from paragon_stream.geometry import enlarged
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.live.connection import Connection, Sound
from paragon_stream.media.live.plan import FLV, plan_live
from paragon_stream.media.live.sink import ReconnectingWriter
from paragon_stream.media.live.soundqueue import SoundQueue
from paragon_stream.media.live.soundtrack import SoundSource, SoundTrack
from paragon_stream.media.live.source import CaptureOptions, find_source
from paragon_stream.media.live.writer import LiveWriter
from paragon_stream.options.live import LiveOutputOptions

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        yield listener


def address(server: socket.socket) -> str:
    return "tcp://{}:{}".format(*server.getsockname())


def hang_up(server: socket.socket, *, after: int = 1000) -> None:
    """Take a connection, and close it when so many bytes have come."""
    connection, _ = server.accept()
    with connection:
        while after > 0 and (data := connection.recv(4096)):
            after -= len(data)


def take_all(server: socket.socket) -> bytes:
    """Everything that comes over one connection."""
    connection, _ = server.accept()
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


class Steady:
    """Sends frames into a session all the time, as a camera does."""

    def __init__(self, folder: Path, destination: str, **options: Any) -> None:
        os.mkfifo(folder / "source")
        self.session = Running(folder / "source", destination, engine="null", **options)
        self._pipe = FramePipe(folder / "source")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        number = 0
        try:
            while not self._ended.wait(0.02 if number > OPENING else 0):
                number += 1
                self._pipe.send(number % 200 + 20)
        except BrokenPipeError:
            pass

    def end(self) -> None:
        """The source ends."""
        self._ended.set()
        self._thread.join()
        self._pipe.close()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Any]:
    running: list[Steady] = []

    def start(destination: str, **options: Any) -> Steady:
        running.append(Steady(tmp_path, destination, **options))
        return running[-1]

    yield start
    for each in running:
        each.session.stop.set()
        each.end()


pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")


def test_a_server_that_comes_back_gets_a_new_stream(server: socket.socket) -> None:
    """A stream with its key frame, and sound in sync with the picture."""
    session = Running(SAMPLE, address(server), engine="null", duration=4)
    hang_up(server, after=15_000)
    data = take_all(server)
    report = session.result()
    with av.open(io.BytesIO(data), format="mpegts") as stream:
        found = [packet for packet in stream.demux() if packet.size]
        packets = [(p.stream.type, float(p.pts * p.time_base), p.is_keyframe) for p in found]
        size = sum(packet.size for packet in found)
    begins = {kind: min(time for of, time, _ in packets if of == kind) for kind in ("video", "audio")}
    assert next(key for kind, _, key in packets if kind == "video")
    assert abs(begins["audio"] - begins["video"]) < 0.2
    assert begins["video"] < 2  # counted from its own beginning; FFmpeg's transport streams begin at 1.4 s
    assert (report.output_reconnects, report.reconnects) == (1, 0)
    assert report.ended == "the duration is over"
    assert report.bytes_out > size  # of both streams
    assert report.frames_in == report.frames_out + report.dropped_before_engine + report.dropped_before_output
    assert report.dropped_before_output >= 1
    broke, back = report.events
    assert "broke off (" in broke and "trying again for 30 s" in broke
    assert "is back after 0." in back


@pipes
def test_a_server_that_does_not_come_back(server: socket.socket, begin: Any) -> None:
    running = begin(address(server), reconnect=0.7)
    hang_up(server)
    server.close()
    with pytest.raises(OutputError, match=r"broke off \(.*did not come back within 0\.7 s; .*refused"):
        running.session.result()


@pipes
def test_a_server_that_always_hangs_up_is_not_tried_for_ever(server: socket.socket, begin: Any) -> None:
    running = begin(address(server), reconnect=2)
    tried = 0

    def refuse() -> None:
        nonlocal tried
        while True:
            try:
                hang_up(server)
            except OSError:
                return
            tried += 1

    thread = threading.Thread(target=refuse)
    thread.start()
    with pytest.raises(OutputError, match="did not come back within 2 s"):
        running.session.result()
    server.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert 2 <= tried <= 5
    assert sum("trying again" in event for event in running.session.events) == 1


@pipes
def test_stopping_while_it_is_away(server: socket.socket, begin: Any) -> None:
    running = begin(address(server), reconnect=1000)
    hang_up(server)
    server.close()
    running.session.wait_for(lambda now: any("trying again" in event for event in now.events))
    running.session.stop.set()
    report = running.session.result()
    assert (report.ended, report.failure, report.output_reconnects) == ("stopped on request", None, 0)


@pipes
def test_a_source_that_ends_while_it_is_away(server: socket.socket, begin: Any) -> None:
    running = begin(address(server), reconnect=1000)
    hang_up(server)
    server.close()
    running.session.wait_for(lambda now: any("trying again" in event for event in now.events))
    running.end()
    with pytest.raises(OutputError, match="broke off"):
        running.session.result()


@pipes
def test_it_is_not_tried_where_that_is_not_wanted(server: socket.socket, begin: Any) -> None:
    running = begin(address(server), reconnect=0)
    hang_up(server)
    with pytest.raises(OutputError, match=r"broke off \([^)]*\)\n"):
        running.session.result()
    assert running.session.events == []


def test_the_first_connection_is_not_tried_again(server: socket.socket) -> None:
    there = address(server)
    server.close()
    with pytest.raises(OutputError, match=r"cannot write to .*refused"):
        paragon_stream.live(SAMPLE, there, engine="null")


class Broken:
    """A writer of one connection, which has broken off."""

    broke = True

    def __init__(self, size: int) -> None:
        self.bytes_written, self.warnings = size, ["before"]

    def abort(self) -> None:
        self.warnings.append(f"lost {self.bytes_written}")

    def continues(self, before: Broken) -> None:
        self.warnings = before.warnings


def test_bytes_and_losses_of_all_connections_are_reported_once() -> None:
    sizes: list[int] = []

    def opened(_: float) -> Any:
        if (tries := len(sizes)) in (1, 2):
            sizes.append(sink.bytes_written)
            raise OutputError("refused")
        sizes.append(sink.bytes_written if tries else 0)
        return Broken(100 if not tries else 30)

    sink = ReconnectingWriter(opened, "the server", 20)
    assert sink.reopen(OutputError("it broke off"))
    assert sizes == [0, 100, 100, 100]
    assert sink.bytes_written == 130
    assert sink.warnings == ["before", "lost 100"]
    sink.abort()
    assert sink.warnings == ["before", "lost 100", "lost 30"]


def test_a_writer_that_breaks_off_reports_what_it_and_those_before_it_lost(tmp_path: Path) -> None:
    info = probe(SAMPLE)
    placement = enlarged(info.video.format, 1)
    options = LiveOutputOptions(encoder_options={"tune": "film"})
    writers: list[LiveWriter] = []
    for frames in (3, 2):
        writer = LiveWriter(plan_live(info, str(tmp_path / f"out{frames}.mkv"), placement, options))
        planes = [np.full(shape, 99, np.uint8) for shape in writer._plan.target.plane_shapes]
        for before in writers:
            writer.continues(before)
        for number in range(frames):
            writer.write(planes, Timing(pts=number, duration=1, time_base=Fraction(1, 25)))
        writer._messages.lost["closed captions"] += frames
        writer.abort()
        writers.append(writer)
    kept, again, held, lost = writers[-1].warnings
    assert kept.startswith("kept what was written before the stop") and "out3" in kept and "out2" in again
    assert held == "libx264 held 3 frames back, which adds to the latency"
    assert lost.startswith("the closed captions of 5 pictures are lost")


def test_lost_sound_is_counted_over_all_connections(tmp_path: Path) -> None:
    queue = SoundQueue()
    queue.refused = 2
    assert queue.warnings == [], "an output without sound"
    clip = make_clip(tmp_path / "in.mkv", frames=20, audio="libmp3lame")
    connection = Connection(
        find_source(str(clip), CaptureOptions(), "linux"), quantisers=False, sound=True, patience=None
    )
    source = SoundSource.of(connection, queue)
    sounds = (item for item in connection if isinstance(item, Sound))
    assert source is not None
    for _ in range(2):
        with av.open(io.BytesIO(), "w", format="flv") as out:
            track = SoundTrack(out, source, FLV)
            out.start_encoding()
            for sound in reversed([next(sounds), next(sounds)]):
                queue.put(sound, Fraction(0))
            assert len(list(track.take(Fraction(100), Fraction(-1)))) == 1
    connection.close()
    assert queue.warnings == ["4 packets of sound could not be written"]


def test_sound_is_described_also_when_its_source_has_gone(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.ts", frames=20, audio="aac")
    connection = Connection(
        find_source(str(clip), CaptureOptions(), "linux"), quantisers=False, sound=True, patience=None
    )
    source = SoundSource.of(connection, SoundQueue())
    connection.close()
    assert source is not None
    for _ in range(2):
        with av.open(io.BytesIO(), "w", format="flv") as out:
            track = SoundTrack(out, source, FLV)
            out.start_encoding()
            assert track.copied
            assert out.streams[track.index].codec_context.extradata
