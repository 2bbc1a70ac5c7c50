"""Data of frames in encoded pictures, as messages of H.264, H.265 or AV1: closed captions and HDR10+.

FFmpeg's encoders write them by themselves, but from side data of frames, which PyAV cannot set.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import av

from paragon_stream.frame import NO_DATA, FrameData
from paragon_stream.media.encode.encoders import Encoder
from paragon_stream.number_text import counted

_START = b"\0\0\1"
_T35 = 4
"""The message user_data_registered_itu_t_t35: payloadType of SEI, and metadata_type of AV1."""
_EMULATION = re.compile(rb"\0\0(?=[\0-\3])")
"""Two zeros that would look like a part of a start code: emulation prevention puts a 3 behind them."""
_AV1_METADATA = 5
_AV1_HEADERS = (1, 2, 5)
"""Kinds of OBU that stand before a picture's own: sequence header, temporal delimiter, metadata."""


class PacketMessages:
    """Adds the data of frames to the packets of `encoder`."""

    def __init__(self, encoder: Encoder) -> None:
        self.coming = NO_DATA
        """Those of the next frame."""
        self._encoder = encoder
        self._by_time: dict[int, FrameData] = {}
        """Those of the frames in the encoder."""
        self.lost: Counter[str] = Counter()
        """For each kind of data, the pictures without theirs."""

    def note(self, pts: int) -> None:
        """The next frame goes to the encoder with this time."""
        if self.coming:
            self._by_time[pts], self.coming = self.coming, NO_DATA

    def added_to(self, packet: Any) -> Any:
        """The packet with the data of its picture."""
        data = self._by_time.pop(packet.pts, NO_DATA)
        if not data:
            return packet
        extended = with_messages(bytes(packet), self._encoder.codec, data)
        if extended is None:
            self.lost.update(
                {"closed captions": bool(data.captions), "HDR10+ metadata": bool(data.hdr10_plus)}
            )
            return packet
        longer = av.Packet(extended)
        longer.stream, longer.time_base = packet.stream, packet.time_base
        longer.pts, longer.dts, longer.duration = packet.pts, packet.dts, packet.duration
        longer.is_keyframe = packet.is_keyframe
        return longer

    @property
    def warnings(self) -> list[str]:
        """A sentence for each kind of data that found no place."""
        return [
            f"the {what} of {counted(pictures, 'picture')} are lost:"
            f" {self._encoder.name} writes packets of an unknown form"
            for what, pictures in self.lost.items()
            if pictures
        ]


def with_messages(packet: bytes, codec: str, data: FrameData) -> bytes | None:
    """One encoded picture (Annex B, or AV1's low-overhead format) with `data`: its captions have at most 31
    constructs.

    None if the packet has another form.
    """
    at = _first_obu(packet) if codec == "av1" else _first_slice(packet, codec)
    if at is None:
        return None
    messages = [_captions(data.captions)] if data.captions else []
    messages += [data.hdr10_plus] if data.hdr10_plus else []
    units = [_obu(message) if codec == "av1" else _sei(message, codec) for message in messages]
    return packet[:at] + b"".join(units) + packet[at:]


def _captions(captions: bytes) -> bytes:
    """itu_t_t35 with cc_data (ATSC A/53 part 4, 6.2.3): USA, ATSC, "GA94", type 3."""
    return b"\xb5\x00\x31GA94\x03" + bytes([0xC0 | len(captions) // 3, 0xFF]) + captions + b"\xff"


def _sei(message: bytes, codec: str) -> bytes:
    """A NAL unit with the message as SEI (H.264 7.3.2.3, H.265 7.3.2.4), behind a start code."""
    header = b"\x06" if codec == "h264" else bytes([39 << 1, 1])
    size = b"\xff" * (len(message) // 255) + bytes([len(message) % 255])
    payload = bytes([_T35]) + size + message + b"\x80"
    return b"\0" + _START + header + _EMULATION.sub(b"\0\0\3", payload)


def _first_slice(packet: bytes, codec: str) -> int | None:
    """The place of the start code before the first slice."""
    at = packet.find(_START)
    while 0 <= at < len(packet) - len(_START):
        kind = packet[at + 3]
        if (1 <= kind & 31 <= 5) if codec == "h264" else kind >> 1 & 63 < 32:
            return at - 1 if at and packet[at - 1] == 0 else at
        at = packet.find(_START, at + 3)
    return None


def _obu(message: bytes) -> bytes:
    """A metadata OBU with its size (AV1 5.3, 5.8)."""
    payload = bytes([_T35]) + message + b"\x80"
    size, rest = b"", len(payload)
    while rest > 127:  # leb128
        size, rest = size + bytes([rest & 127 | 128]), rest >> 7
    return bytes([_AV1_METADATA << 3 | 2]) + size + bytes([rest]) + payload


def _first_obu(packet: bytes) -> int | None:
    """The place of the first OBU of the picture itself."""
    at = 0
    while at < len(packet):
        header = packet[at]
        if header >> 3 & 15 not in _AV1_HEADERS:
            return at
        if not header & 2:  # without a size it lasts to the end of the packet
            return None
        at += 2 if header & 4 else 1
        size = shift = 0
        while at < len(packet):
            byte = packet[at]
            size |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if not byte & 128:
                break
        at += size
    return None
