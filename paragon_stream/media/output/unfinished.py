"""The packets of an interrupted render, which need not be encoded again.

The journal has the facts of each packet. The bytes of the first packets are in the unfinished file, those of
the later ones in the journal. All are copied, with their original times.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from paragon_stream.errors import OutputError
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.output.route import AnyPacket
from paragon_stream.media.quantisers.nal import units
from paragon_stream.media.safekeeping.packet_log import PacketFacts, PacketLog

_START = b"\0\0\0\1"
_LENGTH_SIZE = {"h264": 4, "hevc": 21}
"""Position, in the decoder's configuration, of the size of a NAL unit's length field (ISO/IEC 14496-15)."""


class Shortened(OutputError):
    """The unfinished file has fewer packets than the journal records; `packets` is their number."""

    def __init__(self, message: str, packets: int) -> None:
        super().__init__(message)
        self.packets = packets


def earlier_packets(file: Path | None, stream: int, log: PacketLog, tick: Fraction) -> Iterator[AnyPacket]:
    """The packets of an earlier run, in coding order: from video stream `stream` of `file`, then from `log`.

    tick: seconds per tick of the log's times. Raises Shortened where `file` has less than the log says.
    """
    wanted = log.facts
    here = min(log.first, len(wanted))
    count = 0
    if here:
        for packet, facts in zip(_contained(file, stream, here, wanted, tick), wanted, strict=False):
            yield _stamped(packet, facts, tick)
            count += 1
        if count < here:
            raise Shortened(f"the unfinished {file} ends at picture {count} of {here}", count)
    for serial, data in log.bytes_from(here):
        packet = av.Packet(data)
        packet.is_keyframe = wanted[serial].is_key
        yield _stamped(packet, wanted[serial], tick)


def _stamped(packet: AnyPacket, facts: PacketFacts, tick: Fraction) -> AnyPacket:
    packet.time_base = tick
    packet.pts, packet.dts, packet.duration = facts.pts, facts.dts, facts.duration
    return packet


def _contained(
    file: Path | None, index: int, count: int, facts: list[PacketFacts], tick: Fraction
) -> Iterator[AnyPacket]:
    """Up to `count` packets of the unfinished file, in the encoder's form, as far as they are in the log."""
    if file is None:
        return
    try:
        container = av.open(str(file))
    except AV_ERRORS:
        return
    with container:
        stream: Any = next((s for s in container.streams.video if s.index == index), None)
        if stream is None:
            return
        unit = as_fraction(stream.time_base)
        size = length_size(stream.codec_context)
        first: int | None = None
        found = 0
        try:
            for packet in container.demux(stream):
                if packet.size == 0 or packet.pts is None:
                    continue
                first = packet.pts if first is None else first
                # Relative to the first one: MPEG-TS moves all times. Both times are rounded.
                there, wanted = (packet.pts - first) * unit, (facts[found].pts - facts[0].pts) * tick
                if packet.is_corrupt or abs(there - wanted) > tick + unit:
                    return
                yield encoder_packet(packet, size)
                found += 1
                if found == count:
                    return
        except AV_ERRORS:
            return


def encoder_packet(packet: AnyPacket, length_size: int) -> AnyPacket:
    """A packet of a file in the encoder's form: containers put lengths before NAL units, encoders and muxers
    use start codes. `length_size` is that of `length_size()`."""
    if not length_size:
        return packet
    plain: AnyPacket = av.Packet(b"".join(_START + unit for unit in units(bytes(packet), length_size)))
    plain.is_keyframe = packet.is_keyframe
    return plain


def length_size(codec: Any) -> int:
    """Size of the length field before a NAL unit, in bytes; 0 if there are start codes, or no NAL units."""
    place, extradata = _LENGTH_SIZE.get(codec.name), codec.extradata
    if place is None or not extradata or extradata[0] != 1 or len(extradata) <= place:
        return 0
    return int(extradata[place] & 3) + 1
