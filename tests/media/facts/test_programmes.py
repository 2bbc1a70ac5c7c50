"""The programmes of transport streams, and their names."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from clips import make_clip

from paragon_stream import upscale, verify
from paragon_stream.errors import LossError
from paragon_stream.media.checksum import crc32_high_first
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.mpeg.programmes import service_text
from paragon_stream.render.plan import plan_render
from paragon_stream.render.request import RenderRequest
from paragon_stream.verification.findings import Check


def recording(path: Path, name: str, *, service: int = 1, pid: int = 256) -> Path:
    """A clip in a transport stream whose programme has a name."""
    options = {"mpegts_service_id": str(service), "mpegts_start_pid": str(pid)}
    options["mpegts_pmt_start_pid"] = str(4000 + service)
    names = {"service_name": name, "service_provider": "Anstalt"} if name else {}
    return make_clip(path, frames=10, audio="mp2", metadata=names, container_options=options)


def table(numbers: dict[int, int]) -> bytes:
    """A packet with the table of programmes: their numbers → the PIDs of their maps."""
    body = b"".join(bytes([n >> 8, n & 255, 0xE0 | pid >> 8, pid & 255]) for n, pid in numbers.items())
    section = bytes([0, 0xB0, 9 + len(body), 0, 1, 0xC1, 0, 0]) + body
    section += crc32_high_first(section, 0xFFFFFFFF).to_bytes(4)
    return (bytes([0x47, 0x40, 0, 0x10, 0]) + section).ljust(188, b"\xff")


def two_programmes(folder: Path) -> Path:
    """Two recordings as one transport stream: its own table of programmes, the packets in turns."""
    files = [
        recording(folder / f"{n}.ts", name, service=n, pid=10 * n).read_bytes()
        for n, name in ((101, "Eins"), (102, "Zwei"))
    ]
    packets = [[file[at : at + 188] for at in range(0, len(file), 188)] for file in files]
    mixed = io.BytesIO()
    for one, two in zip(*packets, strict=True):
        for packet in (one, two):
            is_table = packet[1] & 0x1F == 0 and packet[2] == 0
            mixed.write(table({101: 4101, 102: 4102}) if is_table else packet)
    path = folder / "two.ts"
    path.write_bytes(mixed.getvalue())
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_several_programmes_are_announced(tmp_path: Path, suffix: str) -> None:
    two = two_programmes(tmp_path)
    info = probe(two)
    assert [(str(each), len(each.streams), each.provider) for each in info.programmes] == [
        ("101 Eins", 2, "Anstalt"),
        ("102 Zwei", 2, "Anstalt"),
    ]
    request = RenderRequest(source=str(two), destination=str(tmp_path / f"out{suffix}"), strict=True)
    with pytest.raises(LossError, match=r"streams of 2 programmes \(101 Eins, 102 Zwei\) in one"):
        plan_render(request)


@pytest.mark.parametrize("suffix", [".ts", ".m2ts", ".mkv"])
def test_the_name_of_a_programme_is_kept(tmp_path: Path, suffix: str) -> None:
    source, result = recording(tmp_path / "in.ts", "Télé 1"), tmp_path / f"out{suffix}"
    upscale(source, result, engine="null", strict=True)
    wrong = verify(source, result).findings  # of a picture that is not computed
    assert Check.TAGS not in [finding.check for finding in wrong]
    again = tmp_path / "again.ts"
    upscale(result, again, engine="null", strict=True)
    (programme,) = probe(again).programmes
    assert (programme.name, programme.provider) == ("Télé 1", "Anstalt")


def test_a_name_that_cannot_be_stored(tmp_path: Path) -> None:
    request = {"destination": str(tmp_path / "out.mp4"), "strict": True}
    named, plain = recording(tmp_path / "named.ts", "Eins"), recording(tmp_path / "plain.ts", "")
    with pytest.raises(LossError, match="mp4 cannot store the tags service_name, service_provider"):
        plan_render(RenderRequest(source=str(named), **request))
    plan_render(RenderRequest(source=str(plain), **request))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"BBC One", "BBC One"),
        (b"\x05Kan\xfdl", "Kanıl"),
        (b"\x10\x00\x02\xa3\xf3d\xbc", "Łódź"),
        (b"\x15\xe2\x82\xac", "€"),
        (b"T\xc2el\xc2e", "Télé"),
        (b"\xc8Ol und Wei\xfb", "Öl und Weiß"),
        (b"\x86ARD\x87 \xc8Osterreich", "ARD Österreich"),
        (b"Service01", ""),
        (b"", ""),
    ],
)
def test_texts_of_broadcasts(data: bytes, text: str) -> None:
    assert service_text(data) == text
