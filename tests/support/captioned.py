"""Clips with closed captions, and the captions of a file."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.sidedata.sidedata import Type
from clip_damage import with_captions
from clips import make_clip


def text(number: int) -> bytes:
    """cc_data of one frame: two letters of CEA-608 that count the frames, and padding with zeros."""
    return bytes([0xFC, 0x41 + number // 26 % 26, 0x41 + number % 26]) + b"\xfa\x00\x00"


def captioned_clip(path: Path, captions: Sequence[bytes], *, options: dict[str, str] | None = None) -> Path:
    """A clip of 25 frames a second whose frames have these captions; no B frames."""
    plain, raw = path.with_suffix(".plain.264"), path.with_suffix(".264")
    options = {"bf": "0", "preset": "ultrafast", **(options or {})}
    make_clip(plain, frames=len(captions), options=options)
    with av.open(str(with_captions(plain, raw, captions))) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.duration = 1
            out.mux(packet)
    return path


def captions_of(path: Path) -> list[tuple[Fraction, bytes]]:
    """The time and the cc_data of every frame; b"" where there is none."""
    with av.open(str(path)) as file:
        return [
            (frame.pts * frame.time_base, bytes(frame.side_data.get(Type.A53_CC) or b""))
            for frame in file.decode(video=0)
        ]
