"""Removes the ADTS headers of AAC from transport streams, for MP4 and Matroska.

FFmpeg's muxers do this themselves, but not in crash-safe MP4, and they drop the whole stream if its first
packet is damaged. Here only the damaged packet is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.source.opening import open_source
from paragon_stream.media.source.probing import Probing

_LOOK_AT = 500
"""Packets read in search of a sound one."""


class AdtsFilter:
    """Removes the header of each packet of one AAC stream. Raises PyAV's errors for damaged packets."""

    def __init__(self, template: Any) -> None:
        self._filter = BitStreamFilterContext("aac_adtstoasc", in_stream=template)

    def __call__(self, packet: Any) -> Any:
        """The packet without its header, timestamps kept; None if the filter holds it back."""
        pts, dts, duration = packet.pts, packet.dts, packet.duration  # the filter clears the packet
        unit, is_keyframe = packet.time_base, packet.is_keyframe
        filtered = self._filter.filter(packet)
        if not filtered:
            return None
        if not filtered[0].has_sidedata("new_extradata"):
            return filtered[0]
        # Matroska's muxer would treat the configuration as a change, and write its tracks again.
        bare: Any = av.Packet(bytes(filtered[0]))
        bare.pts, bare.dts, bare.duration = pts, dts, duration
        bare.time_base, bare.is_keyframe = unit, is_keyframe
        return bare


def has_adts(template: Any) -> bool:
    """Whether a stream of a source is AAC with ADTS headers, that is, without a configuration in the
    container."""
    context = template.codec_context
    return (
        template.type == "audio"
        and context is not None
        and context.codec.canonical_name == "aac"
        and not context.extradata
    )


def audio_config(path: Path, index: int, probing: Probing) -> bytes | None:
    """The AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) of stream `index`, from its first sound packet."""
    with open_source(path, probing) as source:
        stream = source.streams[index]
        return config_of(islice(source.demux(stream), _LOOK_AT), stream)


def config_of(packets: Iterable[Any], stream: Any) -> bytes | None:
    """The same, from `packets` of `stream`; None if none of them is sound."""
    strip = BitStreamFilterContext("aac_adtstoasc", in_stream=stream)
    for packet in packets:
        if not packet.size:
            continue
        try:
            filtered = strip.filter(packet)
        except AV_ERRORS:
            continue
        if filtered and filtered[0].has_sidedata("new_extradata"):
            return bytes(filtered[0].get_sidedata("new_extradata"))
    return None
