"""Clips made odd or broken, byte by byte, where FFmpeg cannot be asked to."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import av

# What FFmpeg cannot be asked to write


def with_captions(source: Path, target: Path, captions: Sequence[bytes] = (b"\xfc\x94\x20",)) -> Path:
    """A raw H.264 file (`.264`, Annex B) with captions put before every picture, as SEI messages.

    `captions` are the pictures' cc_data, in coding order; they begin again at the end. ATSC A/53 part 4,
    6.2.3, in user_data_registered_itu_t_t35 (H.264, D.1.6), with emulation prevention (7.4.1.1).
    """
    pieces = source.read_bytes().split(b"\x00\x00\x01")
    out, pictures = pieces[0], 0
    for piece in pieces[1:]:
        if piece[0] & 31 in (1, 5) and piece[1] & 0x80:  # the first slice of a picture
            data = captions[pictures % len(captions)]
            pictures += 1
            message = b"\xb5\x00\x31GA94\x03" + bytes([0xC0 | len(data) // 3, 0xFF]) + data + b"\xff"
            body = re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", message)
            out += b"\x00\x00\x01\x06\x04" + bytes([len(message)]) + body + b"\x80"
        out += b"\x00\x00\x01" + piece
    target.write_bytes(out)
    return target


def with_dolby_vision(source: Path, target: Path, *, profile: int, compatibility: int = 0) -> Path:
    """An MP4 whose video is labelled Dolby Vision (a dvcC box in its sample entry); no RPU is added.

    The index must stand behind the data, as `make_clip` leaves it.
    """
    record = bytes([1, 0, profile << 1, 6 << 3 | 0b101, compatibility << 4]) + bytes(19)
    box = (8 + len(record)).to_bytes(4) + b"dvcC" + record
    data = bytearray(source.read_bytes())
    start, end = 0, len(data)
    grown = []
    boxes = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"")
    for kind in boxes:
        while kind and data[start + 4 : start + 8] != kind:
            start += int.from_bytes(data[start : start + 4])
            assert start < end, f"no {kind!r} box"
        grown.append(start)
        end = start + int.from_bytes(data[start : start + 4])
        start += 16 if kind == b"stsd" else 8
    data[end:end] = box
    for at in grown:
        data[at : at + 4] = (int.from_bytes(data[at : at + 4]) + len(box)).to_bytes(4)
    target.write_bytes(data)
    return target


# Damage


def truncated(source: Path, target: Path, fraction: float = 0.6) -> Path:
    """The first `fraction` of a file. Use a streamable container, or `movflags=faststart`."""
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * fraction)])
    return target


def corrupted(source: Path, target: Path, *, bytes_hit: int = 60, start: float = 0.3, seed: int = 1) -> Path:
    """The file with `bytes_hit` bytes overwritten with noise, all behind the first `start` of it."""
    data = bytearray(source.read_bytes())
    chance = random.Random(seed)
    for _ in range(bytes_hit):
        data[chance.randrange(int(len(data) * start), len(data))] = chance.randrange(256)
    target.write_bytes(data)
    return target


def ts_packets_lost(source: Path, target: Path, *, share: float = 0.05, seed: int = 1) -> Path:
    """A transport stream with `share` of its 188-byte packets missing (never among the first 20)."""
    data = source.read_bytes()
    chance = random.Random(seed)
    cells = [data[i : i + 188] for i in range(0, len(data), 188)]
    target.write_bytes(b"".join(c for i, c in enumerate(cells) if i < 20 or chance.random() >= share))
    return target


def text_file(target: Path) -> Path:
    """Prose under a video's name."""
    target.write_text("This is not a video, whatever its name says.\n" * 9, encoding="utf-8")
    return target


def packets_changed(source: Path, target: Path, change: Callable[[int, bytes], bytes]) -> Path:
    """The video of a file, with `change` applied to the number and the bytes of each packet."""
    with av.open(str(source)) as file, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(file.streams.video[0], opaque=True)
        for number, packet in enumerate(packet for packet in file.demux(video=0) if packet.size):
            made = av.Packet(change(number, bytes(packet)))
            made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
            made.time_base, made.is_keyframe, made.stream = packet.time_base, packet.is_keyframe, stream
            out.mux(made)
    return target


def packets_cut_short(source: Path, target: Path, *, share: float, seed: int) -> Path:
    """The video of a file, a `share` of whose packets lack their last two thirds."""
    chance = random.Random(seed)

    def change(number: int, data: bytes) -> bytes:
        short = number > 3 and chance.random() < share
        return data[: max(20, len(data) // 3)] if short else data

    return packets_changed(source, target, change)
