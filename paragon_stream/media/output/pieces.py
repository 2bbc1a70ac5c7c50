"""Joins separately encoded pieces of one video to one stream, without decoding or encoding.

Every piece begins with a key frame that needs no earlier frame, and was encoded with the same settings. Its
packets are copied with the times of the frames in the whole video, as one encoder would have set them: decode
times are display times, moved earlier by the reordering depth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from paragon_stream.errors import OutputError, reason
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.output.route import AnyPacket
from paragon_stream.media.output.unfinished import encoder_packet, length_size
from paragon_stream.media.quantisers.nal import units

_MESSAGES = {"h264": (0, 31, (6,)), "hevc": (1, 63, (39, 40))}
"""SEI NAL units by codec: shift and mask of the type in their first byte, and its values. x264 writes its
number of threads into one of these units."""


def headers_digest(codec: str, headers: bytes) -> str:
    """A digest of the parts of the headers (`VideoWriter.headers`) that pieces must have in common to be
    joined."""
    if codec in _MESSAGES:
        shift, mask, messages = _MESSAGES[codec]
        kept = (unit.rstrip(b"\0") for unit in units(headers, 0))
        headers = b"\0\0\1".join(unit for unit in kept if unit and unit[0] >> shift & mask not in messages)
    return hashlib.sha256(headers).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The pictures of one file: `ranks` are their indices in display order, listed in coding order."""

    path: Path
    ranks: tuple[int, ...]
    times: tuple[Fraction, ...]
    """Presentation times in order of display, in seconds after the first one."""

    @classmethod
    def of(cls, path: Path) -> Piece:
        """Read the packets of `path`. Raises OutputError if it cannot be read to its end."""
        try:
            with av.open(str(path)) as file:
                stream = file.streams.video[0]
                unit = as_fraction(stream.time_base)
                coded = [p.pts for p in file.demux(stream) if p.size and p.pts is not None]
        except (*AV_ERRORS, IndexError) as error:
            raise OutputError(f"the piece {path} cannot be read: {reason(error)}") from error
        shown = sorted(coded)
        rank_of = {pts: rank for rank, pts in enumerate(shown)}
        if len(rank_of) < len(coded):
            raise OutputError(f"the piece {path} has several pictures at one time")
        return cls(
            path=path,
            ranks=tuple(rank_of[pts] for pts in coded),
            times=tuple((pts - shown[0]) * unit for pts in shown),
        )

    @property
    def delay(self) -> int:
        """The reordering depth: the largest number of pictures that are coded before a picture and shown
        after it."""
        return max((number - rank for number, rank in enumerate(self.ranks)), default=0)

    def packets(self) -> Generator[AnyPacket]:
        """The packets in order of coding, as the encoder gave them."""
        with av.open(str(self.path)) as file:
            stream = file.streams.video[0]
            size = length_size(stream.codec_context)
            for packet in file.demux(stream):
                if packet.size and packet.pts is not None:
                    yield encoder_packet(packet, size)


class Pieces:
    """The pictures of several files in order. `delay` is the largest delay of a file.

    Files are opened one at a time; the last one is open until `close`.
    """

    def __init__(self, files: Sequence[tuple[Path, int]], delay: int) -> None:
        """`files` are paths and how many pictures each has."""
        self._delay = delay
        self._files = iter(files)
        self._piece: Piece | None = None
        self._packets: Generator[AnyPacket] | None = None
        self._taken = self._local = 0
        """Packets taken of all files, and of the present one."""
        self._begin = self._end = 0
        """Numbers of the present file's first frame, and of the next one's."""
        self._placed: list[int] = []
        self._step = 0

    def packets(self, pts: int, duration: int, tick: Fraction) -> Iterator[AnyPacket]:
        """Add the next frame in display order, shown at `pts` ticks for `duration` ticks; returns the packets
        that can be written now.

        Raises OutputError if the pictures of a file are not the expected ones.
        """
        if len(self._placed) == self._end:
            self._open_next()
        self._placed.append(pts)
        self._step = self._step or duration
        piece, rest = self._piece, self._packets
        assert piece is not None and rest is not None
        self._check(piece, tick)
        while self._local < len(piece.ranks) and self._begin + piece.ranks[self._local] < len(self._placed):
            packet = next(rest)
            packet.time_base = tick
            packet.pts = self._placed[self._begin + piece.ranks[self._local]]
            packet.dts = self._decode_time()
            self._taken += 1
            self._local += 1
            yield packet

    def close(self) -> None:
        """Close the current file."""
        if self._packets is not None:
            self._packets.close()

    def _open_next(self) -> None:
        path, frames = next(self._files)
        while not frames:
            path, frames = next(self._files)
        self._piece = piece = Piece.of(path)
        if len(piece.ranks) != frames or piece.delay > self._delay:
            raise OutputError(f"{path} has {len(piece.ranks)} pictures instead of {frames}")
        self.close()
        self._packets = piece.packets()
        self._begin, self._end, self._local = self._end, self._end + frames, 0

    def _check(self, piece: Piece, tick: Fraction) -> None:
        """Check that the times in the piece equal those of the frames, except for the rounding of
        containers."""
        number = len(self._placed) - 1
        found = piece.times[number - self._begin]
        wanted = (self._placed[number] - self._placed[self._begin]) * tick
        if abs(found - wanted) > 2 * tick + Fraction(1, 1000):
            raise OutputError(
                f"{piece.path} has a picture at {float(found):.3f} s instead of {float(wanted):.3f} s"
            )

    def _decode_time(self) -> int:
        number = self._taken - self._delay
        if number >= 0:
            return self._placed[number]
        return self._placed[0] + number * self._step
