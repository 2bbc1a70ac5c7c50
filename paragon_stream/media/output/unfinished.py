"""What an interrupted render left behind: pictures that need not be computed and encoded again.

The unfinished file is cut before its last key frame, behind which pictures may be missing. Everything before
is whole, in display order as in coding order: pictures that are coded after a key frame and shown before it
count as missing. What is kept is copied packet by packet, at the times that the source's frames have.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from paragon_stream.errors import OutputError
from paragon_stream.media.ffmpeg.errors import AV_ERRORS, reason
from paragon_stream.media.output.remux import AnyPacket
from paragon_stream.media.quantisers.nal import units

_START = b"\0\0\0\1"
_LENGTH_SIZE = {"h264": 4, "hevc": 21}
"""Where the decoder's configuration says how many bytes a NAL unit's length has (ISO/IEC 14496-15)."""


class Unfinished:
    """The whole pictures at the beginning of the video stream `index` of the file `path`.

    `frames` is how many they are; it may be 0. Raises OutputError if the file cannot be read or has no such
    stream.
    """

    def __init__(self, path: Path, index: int) -> None:
        self.path = path
        try:
            self._file = av.open(str(path))
        except AV_ERRORS as error:
            raise OutputError(f"the unfinished {path} cannot be read: {reason(error)}") from error
        self._stream: Any = next((s for s in self._file.streams.video if s.index == index), None)
        if not self._stream:
            self._file.close()
            raise OutputError(f"the unfinished {path} has no video yet")
        self._time_base = Fraction(self._stream.time_base.numerator, self._stream.time_base.denominator)
        self._length_size = length_size(self._stream.codec_context)
        shown = self._whole()
        self._shown = sorted(shown)
        ranks = {pts: rank for rank, pts in enumerate(self._shown)}
        self._ranks = [ranks[pts] for pts in shown]
        self._delay = max((place - rank for place, rank in enumerate(self._ranks)), default=0)
        self._packets = self._again(index)
        self._placed: list[int] = []
        self._step = 0
        self._taken = 0

    @property
    def frames(self) -> int:
        return len(self._shown)

    def packets(self, pts: int, duration: int, tick: Fraction) -> Iterator[AnyPacket]:
        """What can be written once the next frame, in display order, is known to be shown at `pts` ticks, for
        `duration` ticks.

        Raises OutputError if the file has no picture at that time.
        """
        self._placed.append(pts)
        self._step = self._step or duration
        # From the first one on: MPEG-TS moves all times.
        there = (self._shown[len(self._placed) - 1] - self._shown[0]) * self._time_base
        wanted = (pts - self._placed[0]) * tick
        if abs(there - wanted) > tick + self._time_base:  # both ends were rounded to either
            raise OutputError(
                f"the unfinished {self.path} does not fit the source: it has a picture at "
                f"{float(there):.3f} s instead of {float(wanted):.3f} s; begin anew"
            )
        while self._taken < self.frames and self._ranks[self._taken] < len(self._placed):
            packet = next(self._packets)
            packet.time_base = tick
            packet.pts, packet.dts = self._placed[self._ranks[self._taken]], self._decode_time()
            self._taken += 1
            yield packet

    def close(self) -> None:
        self._file.close()

    def _decode_time(self) -> int:
        """As encoders stamp: the times of display, as much earlier as pictures are reordered."""
        place = self._taken - self._delay
        if place >= 0:
            return self._placed[place]
        return self._placed[0] + place * self._step

    def _whole(self) -> list[int]:
        """Times of the pictures before the last key frame, in coding order, in the stream's ticks."""
        found: list[int] = []
        last_key = 0
        try:
            for packet in self._file.demux(self._stream):
                if packet.size == 0 or packet.pts is None:
                    continue
                if packet.is_keyframe:
                    last_key = len(found)
                found.append(packet.pts)
        except AV_ERRORS:
            pass  # the end of what was written
        return found[:last_key]

    def _again(self, index: int) -> Iterator[AnyPacket]:
        """The packets of those pictures, as the encoder gave them."""
        self._file.close()
        self._file = av.open(str(self.path))
        stream = self._file.streams[index]
        for packet in self._file.demux(stream):
            if packet.size == 0 or packet.pts is None:
                continue
            yield encoder_packet(packet, self._length_size)


def encoder_packet(packet: AnyPacket, length_size: int) -> AnyPacket:
    """A packet of a file as the encoder gave it: containers put lengths before NAL units, encoders and muxers
    start codes. `length_size` is that of `length_size()`."""
    if not length_size:
        return packet
    plain: AnyPacket = av.Packet(b"".join(_START + unit for unit in units(bytes(packet), length_size)))
    plain.is_keyframe = packet.is_keyframe
    return plain


def length_size(codec: Any) -> int:
    """Bytes of the lengths before NAL units; 0 where there are start codes, or no NAL units."""
    place, extradata = _LENGTH_SIZE.get(codec.name), codec.extradata
    if place is None or not extradata or extradata[0] != 1 or len(extradata) <= place:
        return 0
    return int(extradata[place] & 3) + 1
