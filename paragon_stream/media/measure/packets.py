"""Times and hashes of the packets of a file's streams, so that copies can be compared bit for bit."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Self

from paragon_stream.errors import reason
from paragon_stream.media.facts.chapter_list import chapter_list
from paragon_stream.media.facts.streams import codec_name, matroska_facts
from paragon_stream.media.ffmpeg.display_sets import PGS, DisplaySets
from paragon_stream.media.ffmpeg.edited_sound import EditedSound
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.ffmpeg.stamps import presentation_stamp
from paragon_stream.media.measure.sound_pieces import SoundPieces
from paragon_stream.media.quantisers.nal import units
from paragon_stream.media.source.opening import open_source
from paragon_stream.media.source.probing import HEADERS, Probing

_ADTS_MASK = 0xF0
_ADTS_BYTES = 7
_LAST_RATE = 12
"""The last index of a sample rate that an ADTS header may have."""
_MOVABLE = {"h264": (4, 0, 31, {7, 8, 9}), "hevc": (21, 1, 63, {32, 33, 34, 35})}
"""By codec: position, in the header, of the size of a unit's length field; shift and mask of a unit's type;
the types of parameter sets and delimiters."""
_PCM = re.compile(r"pcm_(?:alaw|mulaw|[suf](8|16|24|32|64)(?:le|be)?)")
"""Codecs of interleaved samples without headers in their packets, and their bits."""
NO_TIME = -(1 << 62)
"""Stands for a missing timestamp."""


@dataclass
class PacketLog:
    """The packets of one stream in the order of the file, or the pieces of PCM. About 32 bytes of memory for
    each."""

    unit: Fraction
    """Seconds per tick of `pts`."""
    pts: array[int] = field(default_factory=lambda: array("q"))
    """Presentation times in ticks; `time` returns seconds."""
    hashes: array[int] = field(default_factory=lambda: array("Q"))
    """64 bits of BLAKE2b of each payload, without the framing of its container."""
    size: int = 0
    """Bytes of all payloads."""
    packets: int = 0
    """Packets in the file; display sets of PGS, of which other containers than Matroska have parts in
    packets."""
    tags: Mapping[str, str] = field(default_factory=dict)
    last_tick: int = 0
    """End of the last packet, in ticks."""
    run_up: int = 0
    """Packets at the beginning that an edit list leaves out; decoders need them."""
    bare: Callable[[bytes], bytes] = bytes
    """Removes the container's framing from a payload."""
    pieces: SoundPieces | None = None
    """Divides PCM into pieces, which are then logged instead of packets."""
    configuration: bytes | None = None
    """The kind of sound in the first ADTS header; None without such headers."""
    others: list[int] = field(default_factory=list)
    """Positions of packets with another configuration."""
    broken: list[int] = field(default_factory=list)
    """Positions of packets whose ADTS header is damaged: they cannot be stored without it."""

    @property
    def end(self) -> Fraction:
        """End of the last packet, in seconds."""
        return self.last_tick * self.unit

    def __len__(self) -> int:
        return len(self.hashes)

    def of_one_configuration(self) -> Self:
        """A log without `others` and `broken`."""
        left_out = {*self.others, *self.broken}
        kept = [n for n in range(len(self)) if n not in left_out]
        pts, hashes = (array(log.typecode, (log[n] for n in kept)) for log in (self.pts, self.hashes))
        return replace(self, pts=pts, hashes=hashes, others=[], broken=[])

    def time(self, index: int) -> Fraction | None:
        """Seconds; None where the packet has no timestamp."""
        ticks = self.pts[index]
        return None if ticks == NO_TIME else ticks * self.unit


@dataclass
class FileLog:
    """The packets of a file by stream index, and what cannot be compared by packets."""

    streams: dict[int, PacketLog] = field(default_factory=dict)
    attachments: dict[int, int] = field(default_factory=dict)
    """Stream index → hash of an attached file."""
    chapters: list[tuple[Fraction, Fraction, str]] = field(default_factory=list)
    """Start and end in seconds, title."""
    tags: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""
    """Why the file could not be read to its end; empty if it was."""


def read_packets(path: Path, *, bare: Collection[int] = (), probing: Probing = HEADERS) -> FileLog:
    """Read every packet of the file at `path`, without sound that an edit list leaves out.

    Streams in `bare` are not hashed, only counted and timed.

    Raises InputError if the file cannot be opened.
    """
    log = FileLog()
    with open_source(path, probing) as source:
        log.tags = dict(source.metadata)
        matroska = matroska_facts(path, source.format.name)
        for chapter in chapter_list(source, matroska):
            unit = as_fraction(chapter["time_base"])
            title = dict(chapter.get("metadata") or {}).get("title", "")
            log.chapters.append((chapter["start"] * unit, chapter["end"] * unit, title))
        for stream in source.streams:
            if stream.type == "attachment":
                attached: Any = stream
                log.attachments[stream.index] = _hash(bytes(attached.data or b""))
            else:
                unit = as_fraction(stream.time_base)
                log.streams[stream.index] = PacketLog(
                    unit, tags=dict(stream.metadata), bare=_framing(stream), pieces=_pieces(stream)
                )
        edits = {stream.index: EditedSound() for stream in source.streams.audio}
        bitmaps = {s.index: DisplaySets(s) for s in source.streams.subtitles if codec_name(s) == PGS}
        try:
            for packet in source.demux():
                index = packet.stream.index
                played = [packet]
                if index in bitmaps:
                    played = bitmaps[index].add(packet if packet.size else None)
                elif packet.size and index in edits:
                    played = edits[index].add(packet)
                for each in played:
                    if each.size:
                        log.streams[index].run_up += bool(index in edits and each.is_discard)
                        _note(log.streams[index], each, index in bare)
        except AV_ERRORS as error:
            log.trouble = reason(error)
    for packets in log.streams.values():
        if packets.pieces is not None:
            _note_pieces(packets, packets.pieces.rest())
    return log


def _note(log: PacketLog, packet: Any, bare: bool) -> None:
    stamp = presentation_stamp(packet)
    log.size += packet.size
    log.packets += 1
    if stamp is not None:
        log.last_tick = max(log.last_tick, stamp + (packet.duration or 0))
    if log.pieces is not None:
        seconds = None if stamp is None else float(stamp * log.unit)
        _note_pieces(log, log.pieces.add(bytes(packet), seconds))
        return
    data = bytes(packet)
    if log.configuration is not None and _is_broken(data):
        log.broken.append(len(log))
    if log.bare is _without_adts and (configuration := _configuration(data)) is not None:
        log.configuration = log.configuration or configuration
        if configuration != log.configuration:
            log.others.append(len(log))
    log.pts.append(NO_TIME if stamp is None else stamp)
    log.hashes.append(0 if bare else _hash(log.bare(data)))


def _note_pieces(log: PacketLog, pieces: Iterator[tuple[bytes, float | None]]) -> None:
    for data, seconds in pieces:
        log.pts.append(NO_TIME if seconds is None else round(seconds / log.unit))
        log.hashes.append(_hash(data))


def _pieces(stream: Any) -> SoundPieces | None:
    """What divides the sound of `stream` if it is PCM without headers in its packets, else None."""
    found = _PCM.fullmatch(codec_name(stream))
    context = stream.codec_context
    if found is None or stream.type != "audio" or not (context.channels and context.sample_rate):
        return None
    return SoundPieces(int(found[1] or 8) // 8 * context.channels, context.sample_rate)


def _framing(stream: Any) -> Callable[[bytes], bytes]:
    """The function that removes a container's framing from the packets of `stream`, so that copies in all
    containers are equal."""
    codec = codec_name(stream)
    if codec in _MOVABLE:
        return partial(_bare_units, codec=codec, header=bytes(stream.codec_context.extradata or b""))
    return {"aac": _without_adts, "dvb_subtitle": _without_marks}.get(codec, bytes)


def _bare_units(data: bytes, codec: str, header: bytes) -> bytes:
    """NAL units without lengths and start codes, and without those that muxers add and remove."""
    place, shift, mask, movable = _MOVABLE[codec]
    length_size = (header[place] & 3) + 1 if len(header) > place and header[0] == 1 else 0
    kept = (unit for unit in units(data, length_size) if unit and (unit[0] >> shift) & mask not in movable)
    return b"".join(unit.rstrip(b"\0") for unit in kept)


def _without_adts(data: bytes) -> bytes:
    """`data` without its ADTS header (ISO/IEC 13818-7, 6.2), which only transport streams have."""
    return data[7 if data[1] & 1 else 9 :] if _configuration(data) is not None else data


def _configuration(data: bytes) -> bytes | None:
    """The bits of an ADTS header with the object type, the sample rate and the channels; None without one."""
    if len(data) > 7 and data[0] == 0xFF and data[1] & 0xF6 == _ADTS_MASK:
        return bytes((data[2] & 0xFD, data[3] & 0xC0))
    return None


def _is_broken(data: bytes) -> bool:
    """Whether the header of a packet from a transport stream is damaged, so that FFmpeg cannot remove it."""
    if _configuration(data) is None:
        return True
    rate, length = data[2] >> 2 & 15, (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    several_with_checksums = not data[1] & 1 and data[6] & 3 > 0
    return rate > _LAST_RATE or length < _ADTS_BYTES or several_with_checksums


def _without_marks(data: bytes) -> bytes:
    """`data` without the marks around DVB subtitles (ETSI EN 300 743, 7.1); FFmpeg may add them twice."""
    while data.startswith(b"\x20\0") and data.endswith(b"\xff"):
        data = data[2:-1]
    return data


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())
