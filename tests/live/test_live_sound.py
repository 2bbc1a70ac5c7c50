"""The sound of a live session when its sender comes back with another kind of sound, or sends it late."""

from __future__ import annotations

import itertools
import socket
import time
from pathlib import Path

import av
import pytest
from clips import make_clip
from live_material import Running, Server
from sound_parts import Part, second, tones

import paragon_stream

pytestmark = pytest.mark.timeout(60)

AAC = Part(codec="aac", rate=44100, layout="stereo", hertz=440)
OTHER_AAC = Part(codec="aac", rate=48000, layout="mono", hertz=880)
MP3 = Part(codec="libmp3lame", rate=44100, layout="stereo", hertz=440)
OTHER_MP3 = Part(codec="libmp3lame", rate=48000, layout="mono", hertz=880)
FLAC = Part(codec="flac", rate=44100, layout="stereo", hertz=440)
OPUS = Part(codec="libopus", rate=48000, layout="mono", hertz=880)


@pytest.mark.parametrize(
    ("parts", "source", "target", "codec"),
    [
        ((AAC, OTHER_AAC), ".ts", ".mkv", "aac"),
        ((AAC, OTHER_AAC), ".flv", ".mkv", "aac"),
        ((AAC, OTHER_AAC), ".flv", ".ts", "aac"),
        ((MP3, OTHER_MP3), ".mkv", ".mkv", "mp3"),
        ((FLAC, OPUS), ".mkv", ".flv", "aac"),
    ],
)
def test_another_kind_of_sound_after_an_interruption(
    parts: tuple[Part, Part], source: str, target: str, codec: str, tmp_path: Path
) -> None:
    data = [second(tmp_path / f"{n}{source}", part) for n, part in enumerate(parts)]
    server = Server(*data, rate=max(map(len, data)))
    out = tmp_path / f"out{target}"
    session = Running(server.address, out, engine="null", reconnect=2, paced=True)
    session.wait_for(lambda now: sum("trying again" in event for event in now.events) == 2)
    server.close()
    session.stop.set()
    report = session.result()
    assert report.reconnects == 1
    assert report.sound == codec
    assert not [w for w in report.warnings if "sound" in w], report.warnings
    if source != ".ts":  # there, each packet states its configuration
        assert any(event.startswith("the sound of") for event in report.events), report.events
    heard = tones(out)
    assert (heard[0], heard[-1]) == (440, 880)


@pytest.mark.parametrize("suffix", [".ts", ".flv"])
def test_sound_stays_in_step_after_a_pause_and_a_jump_of_the_clock(suffix: str, tmp_path: Path) -> None:
    """As of a streaming server whose publisher leaves and comes back: one connection, two clocks."""
    first, second = (
        make_clip(
            tmp_path / f"{begin}{suffix}",
            pts=range(25 * begin, 25 * begin + 50),
            options={"bf": "0"},
            audio="aac",
            audio_delay=begin,
            audio_seconds=2,
        ).read_bytes()
        for begin in (8, 1)
    )
    out = tmp_path / "out.mkv"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "tcp://{}:{}".format(*listener.getsockname())
        session = Running(address, out, engine="null", reconnect=0, paced=True)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(first)
            session.wait_for(lambda now: now.frames_out > 20)
            time.sleep(4)
            connection.sendall(second[13 if suffix == ".flv" else 0 :])  # without a second header
        report = session.result()
    (event,) = report.events
    assert "jump by -" in event
    assert not [each for each in report.warnings if "timestamp" in each], report.warnings
    begins = [_begin_after_gap(out, kind) for kind in ("video", "audio")]
    assert begins[0] == pytest.approx(begins[1], abs=0.1)
    assert begins[0] > 3.5  # after the pause


def _begin_after_gap(path: Path, kind: str) -> float:
    """The time of the packet that follows the longest gap in the stream of this `kind`."""
    with av.open(str(path)) as file:
        (stream,) = (stream for stream in file.streams if stream.type == kind)
        times = [float(packet.dts * packet.time_base) for packet in file.demux(stream) if packet.size]
    return max(itertools.pairwise(times), key=lambda pair: pair[1] - pair[0])[1]


def test_sound_whose_first_packet_comes_late(tmp_path: Path) -> None:
    """Its rate and channels are unknown at the beginning."""
    data = second(tmp_path / "in.ts", OTHER_AAC, silent=3)
    server = Server(data, rate=len(data) // 4)
    report = paragon_stream.live(server.address, tmp_path / "out.mkv", engine="null", reconnect=0)
    server.close()
    assert report.sound == "aac"
    assert tones(tmp_path / "out.mkv") == [880]
    with av.open(str(tmp_path / "out.mkv")) as file:
        begin = next(file.decode(audio=0)).time
    assert 1.5 < begin < 3.2  # pictures of up to a second are passed over at the beginning


@pytest.mark.parametrize("suffix", [".mkv", ".flv"])
def test_sound_behind_the_last_picture(suffix: str, tmp_path: Path) -> None:
    """A file's is written to its end, copied or encoded; with `duration`, it ends with the picture."""
    audio = "aac" if suffix == ".mkv" else "flac"
    clip = make_clip(tmp_path / "in.mkv", frames=25, rate=25, audio=audio, audio_seconds=3)
    assert not paragon_stream.live(clip, tmp_path / f"a{suffix}", engine="null").failure
    assert _end_of_sound(tmp_path / f"a{suffix}") == pytest.approx(3, abs=0.1)
    paragon_stream.live(clip, tmp_path / f"b{suffix}", engine="null", duration=0.5)
    assert _end_of_sound(tmp_path / f"b{suffix}") == pytest.approx(0.5, abs=0.15)


def _end_of_sound(path: Path) -> float:
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
    return float(frames[-1].time + frames[-1].samples / frames[-1].sample_rate)
