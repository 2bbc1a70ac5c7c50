"""The positions of chroma samples that outputs can store.

Where an output cannot store the source's position, players assume the usual one. The frame job then moves the
chroma there.
"""

from __future__ import annotations

from dataclasses import replace

from paragon_stream.frame import ChromaLocation, Family, FrameFormat

Y4M = "y4m"
"""Stands for a codec that the format of the file prescribes."""

_ALL = frozenset(ChromaLocation)
_OF_420 = {
    "h264": _ALL,
    "hevc": _ALL,
    "av1": frozenset({ChromaLocation.LEFT, ChromaLocation.TOPLEFT}),
    Y4M: frozenset({ChromaLocation.LEFT, ChromaLocation.CENTER, ChromaLocation.TOPLEFT}),
}
"""The positions that video of a codec stores itself, for 4:2:0. H.264 and HEVC define them for 4:2:0 only."""
_OF_MATROSKA = frozenset(
    {ChromaLocation.LEFT, ChromaLocation.CENTER, ChromaLocation.TOPLEFT, ChromaLocation.TOP}
)
_BY_MATROSKA = ("vp8", "vp9", "ffv1")
"""Codecs without a position of their own, so that Matroska's is used."""
_ASSUMED = {
    "mjpeg": ChromaLocation.CENTER,
    "mpeg1video": ChromaLocation.CENTER,
    "dvvideo": ChromaLocation.TOPLEFT,
}
"""The only position of a codec, if it is not LEFT."""


def with_storable_chroma(format: FrameFormat, codec: str, muxer: str = "") -> FrameFormat:
    """`format` with its chroma location, or the assumed one if video of `codec` in `muxer` cannot store it.

    `codec` is FFmpeg's name, or Y4M.
    """
    pixels, location = format.pixel_format, format.color.chroma_location
    if pixels.family is not Family.YUV or not any(pixels.subsampling):
        return format
    stored: frozenset[ChromaLocation] = frozenset()
    if pixels.subsampling == (1, 1) and (codec != Y4M or pixels.depth == 8):
        stored = _OF_420.get(codec, stored)
    if muxer in ("matroska", "webm") and codec in _BY_MATROSKA:
        stored = _OF_MATROSKA
    if location in stored:
        return format
    color = replace(format.color, chroma_location=_ASSUMED.get(codec, ChromaLocation.LEFT))
    return replace(format, color=color)
