"""AAC out of LATM (ISO/IEC 14496-3, 1.7), as many broadcasts send it: the same frames, without the framing.

MP4 and Matroska hold AAC's frames and one AudioSpecificConfig, and so does every player's favourite path.
LATM packs both into a stream of bits in which frames begin anywhere. Nothing is decoded here. What broadcasts
do not use (several programs or layers, codecs other than AAC's own profiles) is refused.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av

from paragon_stream.media.facts.streams import codec_name
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.source.opening import open_source
from paragon_stream.media.source.probing import Probing

CODEC = "aac_latm"
_SYNC, _SYNC_BITS, _LENGTH_BITS = 0x2B7, 11, 13
_SBR, _PS = 5, 29
"""Object types of SBR, which doubles the rate, and of PS, which makes stereo from mono."""
_PROFILES = (1, 2, 3, 4)
"""Main, LC, SSR and LTP."""
_ESCAPE = 31
_LOOK_AT = 500
"""Packets read in search of a configuration."""


class LatmError(ValueError):
    """Bits that are not LATM, or a kind of LATM that is not supported."""


@dataclass(frozen=True, kw_only=True)
class LatmConfig:
    """A configuration, which is valid until the next one. `audio` is the AudioSpecificConfig."""

    audio: bytes
    profile: int
    rate_index: int
    channels: int
    subframes: int
    has_other_data: bool


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value, self.left, self._size = int.from_bytes(data), 8 * len(data), 8 * len(data)

    @property
    def at(self) -> int:
        return self._size - self.left

    def read(self, count: int) -> int:
        if count > self.left:
            raise LatmError("the packet is too short")
        self.left -= count
        return (self._value >> self.left) & ((1 << count) - 1)

    def between(self, begin: int, end: int) -> bytes:
        """Bits from one position to another as bytes, with zeros behind them."""
        count = end - begin
        found = (self._value >> (self._size - end)) & ((1 << count) - 1)
        return (found << (-count % 8)).to_bytes((count + 7) // 8)

    def value(self) -> int:
        """LatmGetValue."""
        return self.read(8 * (self.read(2) + 1))

    def object_type(self) -> int:
        found = self.read(5)
        return 32 + self.read(6) if found == _ESCAPE else found

    def rate_index(self) -> int:
        found = self.read(4)
        if found == 15:
            raise LatmError("its sample rate has no number")
        return found


def frames(packet: bytes, before: LatmConfig | None) -> tuple[LatmConfig, list[bytes]]:
    """The configuration that is valid in `packet`, and the AAC frames in it. Raises LatmError.

    `before` is the configuration of the previous packet, for packets without one.
    """
    bits = _Bits(packet)
    if bits.read(_SYNC_BITS) != _SYNC:
        raise LatmError("it has no sync word")
    bits.read(_LENGTH_BITS)
    config = before if bits.read(1) else _mux_config(bits)
    if config is None:
        raise LatmError("there was no configuration yet")
    found = []
    for _ in range(config.subframes):
        length = 0
        while (more := bits.read(8)) == 255:
            length += more
        begin = bits.at
        bits.read(8 * (length + more))
        found.append(bits.between(begin, bits.at))
    return config, found


def _mux_config(bits: _Bits) -> LatmConfig:
    """StreamMuxConfig."""
    version = bits.read(1)
    if version and bits.read(1):
        raise LatmError("its version is not known")
    if version:
        bits.value()  # how full a buffer is
    bits.read(1)  # whether all streams have the same framing: there is one
    subframes = bits.read(6) + 1
    if bits.read(4) or bits.read(3):
        raise LatmError("it holds several programs or layers")
    end = None
    if version:
        length = bits.value()
        end = bits.at + length
    begin = bits.at
    profile, rate_index, channels = _audio_config(bits)
    if end is not None:
        bits.read(end - bits.at) if end > bits.at else None
    audio = bits.between(begin, bits.at)
    if bits.read(3):
        raise LatmError("its frames have fixed lengths")
    bits.read(8)  # how full a buffer is
    other = bool(bits.read(1))
    if other and version:
        bits.value()
    elif other:
        while bits.read(1):
            bits.read(8)
        bits.read(8)
    if bits.read(1):
        bits.read(8)  # a checksum
    return LatmConfig(
        audio=audio,
        profile=profile,
        rate_index=rate_index,
        channels=channels,
        subframes=subframes,
        has_other_data=other,
    )


def _audio_config(bits: _Bits) -> tuple[int, int, int]:
    """AudioSpecificConfig: profile, number of the sample rate, number of the channels' layout."""
    kind = bits.object_type()
    rate_index, channels = bits.rate_index(), bits.read(4)
    if kind in (_SBR, _PS):
        bits.rate_index()
        kind = bits.object_type()
    if kind not in _PROFILES or not channels:
        raise LatmError("it is not plain AAC")
    bits.read(1)  # 960 samples a frame instead of 1024
    if bits.read(1):
        bits.read(14)  # a delay
    if bits.read(1):
        raise LatmError("it has extensions")
    return kind, rate_index, channels


class LatmFilter:
    """Packets of LATM in, packets of AAC out, one for each. Raises LatmError for packets that cannot be
    converted."""

    def __init__(self, config: LatmConfig) -> None:
        self._first = self._config = config

    def __call__(self, packet: Any) -> list[Any]:
        """The same packet without framing, timestamps kept."""
        self._config, found = frames(bytes(packet), self._config)
        if self._config.audio != self._first.audio:
            raise LatmError("its kind of sound changes on the way")
        if len(found) != 1:
            raise LatmError("it holds several frames")
        bare: Any = av.Packet(found[0])
        bare.pts, bare.dts, bare.duration = packet.pts, packet.dts, packet.duration
        bare.time_base, bare.is_keyframe = packet.time_base, packet.is_keyframe
        return [bare]


@dataclass(frozen=True, kw_only=True)
class BareAac:
    """The facts that write a LATM stream as plain AAC: its configuration, and one frame."""

    config: LatmConfig
    frame: bytes

    def template(self) -> Any:
        """An AAC stream as a template for outputs: FFmpeg reads it from an ADTS file of one frame
        (1.A.3.2)."""
        config = self.config
        length = len(self.frame) + 7
        head = 0xFFF1 << 40 | (config.profile - 1) << 38 | config.rate_index << 34 | config.channels << 30
        head |= length << 13 | 0x7FF << 2
        return av.open(io.BytesIO((head.to_bytes(7) + self.frame) * _REPEATED), format="aac").streams[0]


_REPEATED = 4
"""Frames after which FFmpeg detects AAC."""


def bare_aac(packets: Iterable[bytes], template: Any) -> BareAac | None:
    """The facts that write the LATM stream `template`, which begins with `packets`, as plain AAC. None if it
    is not LATM, or has no form that can be converted."""
    if codec_name(template) != CODEC:
        return None
    for packet in packets:
        try:
            config, found = frames(packet, None)
        except LatmError:
            continue
        if len(found) == 1 and not config.has_other_data:
            return BareAac(config=config, frame=found[0])
    return None


def bare_aac_of(path: Path, index: int, probing: Probing) -> BareAac | None:
    """The same of stream `index` of a file."""
    with open_source(path, probing) as source:
        stream = source.streams[index]
        if codec_name(stream) != CODEC:
            return None
        try:
            packets = [bytes(packet) for packet in islice(source.demux(stream), _LOOK_AT) if packet.size]
        except AV_ERRORS:
            return None
        return bare_aac(packets, stream)
