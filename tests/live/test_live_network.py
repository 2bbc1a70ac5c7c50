"""Streams over the loopback, between real sockets and processes: sound, interruptions, ends."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from clips import make_clip
from live_material import Running, Server, free_port
from places import REPOSITORY, SAMPLE

import paragon_stream
from paragon_stream.errors import InputError, OutputError
from paragon_stream.media.live import feed

pytestmark = pytest.mark.timeout(150)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "paragon_stream", "live", *map(str, arguments)]


def streams(path: Path) -> dict[str, list[tuple[float, int]]]:
    """For each kind of stream the time and size of its packets."""
    found: dict[str, list[tuple[float, int]]] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size and packet.pts is not None:
                found.setdefault(packet.stream.type, []).append(
                    (float(packet.pts * packet.time_base), packet.size)
                )
    return found


def test_from_process_to_process_by_rtmp(tmp_path: Path) -> None:
    """One sends the sample as a streamer would, the other takes it and records; sound goes all the way."""
    address = f"rtmp://127.0.0.1:{free_port()}/live/secret"
    receiver = subprocess.Popen(
        command(address, tmp_path / "out.mkv", "--listen", "--engine", "null", "--reconnect", 0),
        cwd=REPOSITORY, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    report = None
    for _ in range(100):
        try:
            report = paragon_stream.live(SAMPLE, address, engine="null", duration=3)
            break
        except OutputError:  # it does not listen yet
            assert receiver.poll() is None, receiver.communicate()
            time.sleep(0.2)
    assert report is not None
    _, said = receiver.communicate(timeout=60)
    assert receiver.returncode == 0, said
    assert "secret" not in said
    assert "the source has ended" in said
    assert (report.codec, report.sound) == ("libx264", "aac")
    packets = streams(tmp_path / "out.mkv")
    assert len(packets["video"]) > 20
    assert packets["video"][0][0] == 0
    # The sound runs beside the picture to its end.
    assert 0 <= packets["audio"][0][0] < 0.2
    assert abs(packets["audio"][-1][0] - packets["video"][-1][0]) < 0.3


def test_a_source_that_comes_back_goes_on(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.ts", frames=40, audio="aac")
    data = clip.read_bytes()
    server = Server(data, data, rate=len(data))
    session = Running(server.address, tmp_path / "out.mkv", engine="null", reconnect=20, paced=True)
    session.wait_for(lambda now: any("is back after" in event for event in now.events))
    before = session.frames_out
    session.wait_for(lambda now: now.frames_out >= before + 5)
    session.wait_for(lambda now: sum("trying again" in event for event in now.events) == 2)
    server.close()
    session.stop.set()
    report = session.result()
    assert report.reconnects == 1
    assert report.ended == "stopped on request"
    assert any("has ended: trying again for 20 s" in event for event in report.events)
    for kind, packets in streams(tmp_path / "out.mkv").items():
        times = [time for time, _ in packets]
        assert times == sorted(set(times)), kind
        assert times[-1] > 40 / 25 + 0.5, kind  # the second time is behind the first, not on it


def test_a_source_that_does_not_come_back(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.ts", frames=20)
    server = Server(clip.read_bytes(), rate=200_000)
    report = paragon_stream.live(server.address, tmp_path / "out.mkv", engine="null", reconnect=0)
    server.close()
    assert report.ended == "the source has ended"
    assert report.failure is None
    assert streams(tmp_path / "out.mkv")["video"]


def test_a_source_that_falls_silent_is_reported(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.ts", frames=20)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "tcp://{}:{}".format(*listener.getsockname())
        session = Running(address, tmp_path / "out.mkv", engine="null", reconnect=0.1, timeout=1)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(clip.read_bytes())
            report = session.result()
    assert report.failure is not None
    assert "nothing came for 1 s" in report.failure
    assert any("trying again for 0.1 s" in event for event in report.events)
    assert not any("nothing came" in warning for warning in report.warnings)
    assert streams(tmp_path / "out.mkv")["video"]


@pytest.mark.parametrize(
    ("suffix", "audio", "sound"),
    [(".mkv", "aac", "aac"), (".flv", "aac", "aac"), (".ts", "mp2", "mp2"), (".flv", "flac", "aac")],
)
def test_sound_is_copied_or_made_aac(tmp_path: Path, suffix: str, audio: str, sound: str) -> None:
    source = ".ts" if audio == "aac" else ".mkv"  # AAC with headers that only transport streams want
    clip = make_clip(tmp_path / f"in{source}", frames=12, audio=audio)
    report = paragon_stream.live(clip, tmp_path / f"out{suffix}", engine="null")
    assert report.sound == sound
    packets = streams(tmp_path / f"out{suffix}")
    assert len(packets["audio"]) >= 5
    assert report.warnings == ()
    if audio == sound:
        sizes = [size for _, size in packets["audio"]]
        original = [size for _, size in streams(clip)["audio"]]
        stripped = 7 if source == ".ts" and suffix != ".ts" else 0
        assert "".join(chr(n) for n in sizes) in "".join(chr(n - stripped) for n in original)


def test_by_udp(tmp_path: Path) -> None:
    address = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    session = Running(address, tmp_path / "out.mkv", engine="null", timeout=15)
    clip = make_clip(tmp_path / "in.mkv", width=64, height=48, frames=50)
    for _ in range(20):
        paragon_stream.live(clip, address, engine="null", duration=1)
        if session.frames_out:
            break
    session.stop.set()
    report = session.result()
    assert report.frames_out > 0, report
    assert len(streams(tmp_path / "out.mkv")["video"]) == report.frames_out


def test_a_camera_that_restarts_by_rtsp(tmp_path: Path) -> None:
    """The first picture of an RTSP connection has no timestamp."""
    address = f"rtsp://127.0.0.1:{free_port()}/camera"
    listening = {"rtsp_flags": "listen", "listen_timeout": "20"}
    session = Running(address, tmp_path / "out.mkv", engine="null", reconnect=20, input_options=listening)
    clip = make_clip(tmp_path / "in.ts", frames=50, options={"bf": "0", "g": "10"})
    for connection in (1, 2):
        _send(clip, address)
        session.wait_for(lambda now, n=connection: sum("trying again" in e for e in now.events) == n)
    session.stop.set()
    report = session.result()
    assert report.reconnects == 1
    assert not [event for event in report.events if "jump" in event], report.events
    assert report.warnings == ()


def _send(clip: Path, address: str) -> None:
    """Send the video of `clip` at its own speed, as soon as a program listens at `address`."""
    options = {"rtsp_transport": "tcp"}
    for _ in range(200):
        try:
            target = av.open(address, "w", format="rtsp", options=options)
            with av.open(str(clip)) as source, target:
                video = target.add_stream_from_template(source.streams.video[0])
                begin = time.monotonic()
                for packet in source.demux(video=0):
                    if packet.size:
                        due = begin + float(packet.dts * packet.time_base)
                        time.sleep(max(0.0, due - time.monotonic()))
                        packet.stream = video
                        target.mux(packet)
            return
        except ConnectionRefusedError:
            time.sleep(0.1)
    pytest.fail(f"no program listens at {address}")


def test_a_source_that_falls_silent_before_its_first_picture(tmp_path: Path) -> None:
    """Here without a key frame."""
    clip = make_clip(tmp_path / "in.ts", frames=50, options={"bf": "0"})
    with av.open(str(clip)) as source:
        places = [packet.pos for packet in source.demux(video=0) if packet.size]
    data = clip.read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "tcp://{}:{}".format(*listener.getsockname())
        session = Running(address, tmp_path / "out.mkv", engine="null", timeout=1)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(data[: places[0]] + data[places[1] :])
            with pytest.raises(InputError, match=r"before its first picture [(]nothing came for 1 s"):
                session.result()


def test_a_source_that_breaks_off_among_its_first_pictures(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.ts", frames=3, options={"bf": "0"})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "tcp://{}:{}".format(*listener.getsockname())
        session = Running(address, tmp_path / "out.mkv", engine="null", timeout=1, reconnect=0)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(clip.read_bytes())
            report = session.result()
    assert report.failure == f"{address} broke off (nothing came for 1 s)"
    assert report.frames_in > 0


@pytest.mark.parametrize(
    "address",
    [
        "tcp://0.0.0.0",
        "tcp://0.0.0.0:22222222",
        "rtmp://0.0.0.0:99999/live",
        "tcp://no.such.host.invalid:1234",
    ],
)
def test_listening_where_that_is_impossible(address: str, tmp_path: Path) -> None:
    session = Running(address, tmp_path / "out.mkv", engine="null", listen=True)
    with pytest.raises(InputError, match="cannot be opened"):
        session.result()


def test_a_silent_source_whose_video_never_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends on and on, so that no timeout ends the search."""
    monkeypatch.setattr("paragon_stream.media.live.connection._MAX_PACKETS", 20)
    clip = make_clip(tmp_path / "in.ts", frames=50, options={"bf": "0"})
    with av.open(str(clip)) as source:
        places = [packet.pos for packet in source.demux(video=0) if packet.size]
    data = clip.read_bytes()
    server = Server(data[: places[0]] + data[places[1] :] * 1000, rate=100_000)
    session = Running(server.address, tmp_path / "out.mkv", engine="null")
    with pytest.raises(InputError, match=r"no frame of the video in .* can be decoded$"):
        session.result()
    server.close()


def test_a_picture_that_changes_its_size(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "a.ts", width=64, height=48, frames=25).read_bytes()
    second = make_clip(tmp_path / "b.ts", width=96, height=64, frames=25).read_bytes()
    server = Server(first + second, rate=len(first + second) // 2)
    report = paragon_stream.live(server.address, tmp_path / "out.mkv", engine="null", reconnect=0, paced=True)
    server.close()
    assert [look.format for look in report.formats] == ["64x48 yuv420p", "96x64 yuv420p"]
    assert report.target_format == "128x96 yuv420p"
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert {(frame.width, frame.height) for frame in container.decode(video=0)} == {(128, 96)}


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", pytest.param("SIGHUP", marks=pytest.mark.slow)])
def test_ctrl_c_is_a_normal_end(tmp_path: Path, name: str) -> None:
    """SIGTERM comes to a job in the background, whose SIGINT is ignored."""
    shell = [] if name == "SIGINT" else ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    process = subprocess.Popen(
        [*shell, *command(SAMPLE, tmp_path / "out.mkv", "--engine", "null")],
        cwd=REPOSITORY, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    partial = tmp_path / "out.mkv.paragon" / "out.mkv"
    assert process.stderr is not None
    process.stderr.readline()  # the first progress
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size > 2000):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "stopped on request" in said
    assert streams(tmp_path / "out.mkv")["video"]


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_ctrl_c_while_nobody_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "tcp://{}:{}".format(*listener.getsockname())
        process = subprocess.Popen(
            command(address, tmp_path / "out.mkv", "--engine", "null", "--timeout", 1000),
            cwd=REPOSITORY, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        connection, _ = listener.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert not list(tmp_path.iterdir())


def test_through_pipes(tmp_path: Path) -> None:
    """y4m out of one process into another, which ends when its reader has seen enough."""
    clip = make_clip(tmp_path / "in.mkv", width=64, height=48, frames=100, rate=Fraction(25))
    first = subprocess.Popen(
        command(clip, "-", "--engine", "null", "--quiet"),
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    second = subprocess.Popen(
        command("-", "-", "--engine", "null", "--format", "nut"),
        cwd=REPOSITORY, stdin=first.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert first.stdout is not None and second.stdout is not None
    first.stdout.close()
    assert second.stdout.read(30_000).startswith(b"nut/multimedia container")
    second.stdout.close()
    assert second.stderr is not None
    said = second.stderr.read().decode()
    assert second.wait(60) == 0, said
    assert "standard output was closed" in said
    second.stderr.close()
    assert first.wait(60) == 0, _said(first)
    _said(first)


def _said(process: Any) -> str:
    with process.stderr:
        return str(process.stderr.read())


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        return None


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """A web server of the files in `folder`; its address."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_pieces_are_played_at_their_own_pace(tmp_path: Path) -> None:
    """HLS: a second's pictures come at once, and none of them is dropped for that."""
    clip = make_clip(tmp_path / "in.mkv", width=64, height=48, frames=50, audio="aac")
    folder = tmp_path / "www"
    folder.mkdir()
    with av.open(str(clip)) as source:
        options = {"hls_time": "1", "hls_list_size": "0"}
        with av.open(str(folder / "live.m3u8"), "w", format="hls", options=options) as target:
            pairs = {each.index: target.add_stream_from_template(each) for each in source.streams}
            for packet in source.demux():
                if packet.size:
                    packet.stream = pairs[packet.stream.index]
                    target.mux(packet)
    with served(folder) as address:
        report = paragon_stream.live(
            f"{address}/live.m3u8?token=secret", tmp_path / "out.mkv", engine="null", reconnect=0
        )
    assert report.source.endswith("live.m3u8?…")
    assert report.sound == "aac"
    assert report.frames_out > 30  # unpaced it would be one or two of each piece
    assert report.seconds > 1


def test_a_playlist_whose_clock_starts_again_ends(tmp_path: Path) -> None:
    """Two parts with the same timestamps: its position is not that of the last timestamp."""
    make_clip(tmp_path / "part.ts", width=64, height=48, frames=75, audio="aac")
    entry = "#EXTINF:3,\npart.ts\n"
    (tmp_path / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n{entry}#EXT-X-DISCONTINUITY\n{entry}#EXT-X-ENDLIST\n"
    )
    with served(tmp_path) as address:
        report = paragon_stream.live(f"{address}/list.m3u8", tmp_path / "out.mkv", engine="null", paced=False)
    assert (report.failure, report.ended, report.reconnects) == (None, "the source has ended", 0)
    # The second part was played. `frames_in` does not count pictures that come before the engine is ready.
    assert any("jump by" in str(event) for event in report.events)


def test_a_file_that_is_shorter_than_it_states_ends(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", width=64, height=48, frames=10)
    data = clip.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # Duration, a float of 8 bytes, in milliseconds
    clip.write_bytes(data[:at] + struct.pack(">d", 10_000.0) + data[at + 8 :])
    with served(tmp_path) as address:
        report = paragon_stream.live(f"{address}/in.mkv", tmp_path / "out.mkv", engine="null")
    assert (report.failure, report.ended, report.reconnects) == (None, "the source has ended", 1)
    assert report.frames_in == 10


@pytest.mark.parametrize("broken", [False, True])
def test_a_file_of_a_server_is_played_once(
    broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is not an interruption. If the connection breaks off, the rest follows without a repetition."""
    monkeypatch.setattr(feed, "_ENDS_EARLY", 0.3)
    data = make_clip(tmp_path / "in.mkv", width=320, height=240, frames=30, audio="aac").read_bytes()
    answers = [data[: len(data) // 2], data] if broken else [data]

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(answers.pop(0))

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/in.mkv"
            report = paragon_stream.live(address, tmp_path / "out.mkv", engine="null")
        finally:
            server.shutdown()
            thread.join()
    assert (report.failure, report.ended, report.reconnects) == (None, "the source has ended", int(broken))
    assert report.frames_in == 30 and not answers
