"""The sound of a live session when its sender comes back with another kind of sound, or sends it late."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
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
