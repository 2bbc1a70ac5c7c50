"""Clips with HDR10+, and the HDR10+ of a file."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.sidedata.sidedata import Type
from clips import Tags, make_clip

PQ = Tags(matrix=9, range=1, transfer=16, primaries=9, chroma_location=1)


def message(number: int, *, windows: int = 1, peaks: bool = False) -> bytes:
    """A message of SMPTE ST 2094-40 in ITU-T T.35 whose values depend on `number`, field by field.

    With `peaks`, both arrays of peak luminances are present: more than 255 bytes.
    """
    grid = "1" + f"{25:05b}{24:05b}" + "".join(f"{(n + number) % 16:04b}" for n in range(25 * 24))
    peak = grid if peaks else "0"
    bits = f"{1:08b}{windows:02b}"
    for window in range(1, windows):
        bits += "".join(f"{value:016b}" for value in (window, 0, 40, 30, 20, 15)) + f"{9:08b}"
        bits += "".join(f"{value:016b}" for value in (10, 12, 11)) + "1"
    bits += f"{400 + number:027b}" + peak
    for _ in range(windows):
        bits += "".join(f"{value:017b}" for value in (100_000, 99_999, 12_345 + number, 777))
        bits += f"{9:04b}"
        for percentage in (1, 5, 10, 25, 50, 75, 90, 95, 99):
            bits += f"{percentage:07b}{(percentage * 991 + number) % 100_001:017b}"
        bits += f"{number % 1001:010b}"
    bits += peak
    for window in range(windows):
        if number % 3:
            bits += f"1{number % 4096:012b}{4095 - number:012b}{9:04b}"
            bits += "".join(f"{(100 * anchor + number) % 1024:010b}" for anchor in range(1, 10))
        else:
            bits += "0"
        bits += f"1{(number + window) % 64:06b}" if number % 2 else "0"
    bits += "0" * (-len(bits) % 8)
    return b"\xb5\x00\x3c\x00\x01\x04" + int(bits, 2).to_bytes(len(bits) // 8)


def hdr10plus_clip(path: Path, messages: Sequence[bytes]) -> Path:
    """A 10-bit HEVC clip of 25 frames a second, PQ, whose frames have these messages; no B frames."""
    plain = path.with_suffix(".plain.mkv")
    options = {"preset": "ultrafast", "x265-params": "bframes=0:keyint=5:log-level=none"}
    make_clip(plain, frames=len(messages), codec="libx265", pix_fmt="yuv420p10le", tags=PQ, options=options)
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            unit = _prefix_sei(messages[number]) if messages[number] else b""
            changed = av.Packet(unit + bytes(packet))  # Matroska: units with their lengths
            changed.stream, changed.time_base = stream, Fraction(1, 25)
            changed.pts = changed.dts = number
            changed.duration, changed.is_keyframe = 1, packet.is_keyframe
            out.mux(changed)
    return path


def _prefix_sei(message: bytes) -> bytes:
    size = bytes([255] * (len(message) // 255) + [len(message) % 255])
    plain = bytes([4]) + size + message + b"\x80"
    escaped, zeros = bytearray(), 0
    for byte in plain:
        if zeros >= 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        zeros = zeros + 1 if byte == 0 else 0
        escaped.append(byte)
    unit = bytes([39 << 1, 1]) + bytes(escaped)
    return len(unit).to_bytes(4) + unit


def hdr10plus_of(path: Path) -> list[bytes]:
    """FFmpeg's structure of every frame; b"" where there is none."""
    with av.open(str(path)) as file:
        return [bytes(frame.side_data.get(Type.DYNAMIC_HDR_PLUS) or b"") for frame in file.decode(video=0)]
