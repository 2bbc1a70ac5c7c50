"""Sound that changes its rate or its channels on the way, as in broadcasts, stays what it was."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import pytest
from rendering import render
from sound_parts import Part, broadcast, second, tones

import paragon_stream
from paragon_stream.media.output.aac import even
from paragon_stream.media.output.aac.even import kind_of_config, kind_of_packet
from paragon_stream.media.output.audio import continuation
from paragon_stream.verification.verifier import verify

AAC = Part(codec="aac", rate=44100, layout="stereo", hertz=440)
BACK = Part(codec="aac", rate=44100, layout="stereo", hertz=660)
MONO = Part(codec="aac", rate=48000, layout="mono", hertz=880)
AC3 = Part(codec="ac3", rate=48000, layout="stereo", hertz=440)
SURROUND = Part(codec="ac3", rate=48000, layout="5.1", hertz=880)


@pytest.mark.parametrize(
    ("parts", "suffix", "codec"),
    [
        ((AAC, MONO, BACK), ".mkv", "aac"),
        ((MONO, AAC), ".mp4", "aac"),
        ((AAC, MONO), ".ts", "aac"),
        ((AAC, MONO, MONO), ".webm", "opus"),
        ((AC3, SURROUND, AC3), ".webm", "opus"),
        ((AC3, SURROUND), ".mkv", "ac3"),
    ],
)
def test_every_second_has_its_tone(parts: tuple[Part, ...], suffix: str, codec: str, tmp_path: Path) -> None:
    clip = broadcast(tmp_path / "in.ts", parts)
    out = tmp_path / f"out{suffix}"
    done = render(clip, out)
    assert tones(out) == [part.hertz for part in parts]
    with av.open(str(out)) as file:
        assert file.streams.audio[0].codec_context.codec.canonical_name == codec
    changes = sum(a != b for a, b in itertools.pairwise(parts))
    said = [w for w in done.warnings if "the rate or the channels of" in w]
    if (suffix, codec) in ((".ts", "aac"), (".mkv", "ac3")):  # each packet of these says what it is
        assert not said
    else:
        times = f"{changes} time{'s' * (changes > 1)}"
        assert said == [
            f"the rate or the channels of audio stream 1 ({parts[0].codec}) change {times}:"
            " converted to those of the beginning"
        ]
    assert not [w for w in done.warnings if "could not be written" in w]
    assert not [each for each in verify(clip, out).findings if "audio" in each.message]


def test_a_kind_that_cannot_be_encoded_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the stored one is not of low complexity, or has a layout of its own (dual mono)."""
    monkeypatch.setattr(even, "_LAYOUTS", {})
    clip = broadcast(tmp_path / "in.ts", (AAC, MONO, AAC))
    done = render(clip, tmp_path / "out.mkv")
    (said,) = (w for w in done.warnings if "the beginning" in w)
    assert 40 < int(said.split()[0]) < 50, "a second at 48 kHz"
    assert said.endswith(
        "packets of audio stream 1 (aac) with another rate or other channels than those of the beginning"
        " are not converted: players may play them wrongly"
    )
    report = paragon_stream.live(clip, tmp_path / "live.mkv", engine="null", paced=False)
    assert "the rate or the channels of the sound change, and it is not converted" in str(report.warnings)


def test_times_that_the_demuxer_guesses_by_the_first_rate(tmp_path: Path) -> None:
    """FFmpeg does so within each PES packet, of 15 frames here; the next one begins at the right time."""
    second(tmp_path / "in.ts", MONO)
    bridge = continuation(av.CodecContext.create("aac", "r"), "aac", 44100, "stereo")
    made = []
    with av.open(str(tmp_path / "in.ts")) as file:
        packets = [packet for packet in file.demux(file.streams.audio[0]) if packet.size]
    for n, packet in enumerate(packets):
        packet.pts = packet.dts = n // 15 * 15 * 1920 + n % 15 * 2090  # 1920 are a frame at 48 kHz
        made += bridge.convert(packet)
    assert len(made) > 30
    assert {after.pts - before.pts for before, after in itertools.pairwise(made)} == {1024}


def test_the_kinds_of_headers_and_configurations() -> None:
    assert kind_of_config(bytes.fromhex("1210")) == (2, 4, 2)  # low complexity, 44100 Hz, stereo
    assert kind_of_config(bytes.fromhex("1188")) == (2, 3, 1)
    assert kind_of_config(b"\x12") is None
    assert kind_of_config(bytes.fromhex("f8e8")) is None, "an object type with an extension"
    assert kind_of_packet(av.Packet(bytes.fromhex("fff15080021ffc"))) == (2, 4, 2)
    assert kind_of_packet(av.Packet(b"\xff\xf1")) is None
    assert kind_of_packet(av.Packet(b"\x21\x10\x04\x60")) is None, "no header"
