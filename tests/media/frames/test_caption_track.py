"""Captions in order of time, and their places in packets."""

from __future__ import annotations

from fractions import Fraction

from captioned import text

from paragon_stream.frame import FrameData
from paragon_stream.media.encode.messages import with_messages
from paragon_stream.media.frames.captions import CaptionTrack

TICK = Fraction(1, 30)


def with_captions(packet: bytes, codec: str, captions: bytes) -> bytes | None:
    return with_messages(packet, codec, FrameData(captions=captions))


def track_of(captions: list[bytes]) -> CaptionTrack:
    track = CaptionTrack()
    for number, data in enumerate(captions):
        track.add(number * TICK, data)
    return track


def test_a_frame_also_gets_the_captions_of_those_left_out_before_it() -> None:
    track = track_of([text(number) for number in range(6)])
    assert track.take(0 * TICK) == text(0)
    assert track.take(Fraction(7, 2) * TICK) == text(1) + text(2) + text(3)
    assert track.take(Fraction(7, 2) * TICK) == b""
    assert track.take(9 * TICK) == text(4) + text(5)


def test_no_picture_gets_more_than_it_can_hold() -> None:
    words = [bytes([0xFC, 0x41, number]) for number in range(40)]
    padding = b"\xf8\x00\x00"
    track = track_of([b"".join(words[:20]) + padding, padding + b"".join(words[20:]), b""])
    assert track.take(1 * TICK) == b"".join(words[:31])
    assert track.take(2 * TICK) == b"".join(words[31:])
    assert track.take(3 * TICK) == b""


def test_captions_stand_before_the_first_slice() -> None:
    head, slices = b"\0\0\0\1\x09\x10" + b"\0\0\1\x06\5\1\7\x80", b"\0\0\0\1\x65\x88\1" + b"\0\0\1\x65\x44"
    found = with_captions(head + slices, "h264", b"\xfc\0\0" * 2)
    assert found is not None and found.startswith(head + b"\0\0\0\1\x06\4") and found.endswith(slices)
    assert b"\xfc\0\0\xfc\0\0\xff" in found  # no byte of 0 … 3 follows two zeros here
    assert b"\xfc\0\0\3\0\0\3\1\xff" in (with_captions(slices, "h264", b"\xfc\0\0\0\0\1") or b"")
    assert with_captions(b"\0\0\0\5\x65\x88\1\2\3", "h264", text(0)) is None


def test_captions_stand_after_the_headers_of_av1() -> None:
    delimiter, sequence, frame = b"\x12\0", b"\x0a\x02\1\2", b"\x32\x03\1\2\3"
    found = with_captions(delimiter + sequence + frame, "av1", text(0))
    assert found is not None and found.startswith(delimiter + sequence + b"\x2a") and found.endswith(frame)
    assert with_captions(delimiter + b"\x08\1\2", "av1", text(0)) is None
