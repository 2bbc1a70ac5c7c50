"""Sound and video that Matroska stores under Windows' name of the codec (RFC 9559 and its codec
specifications: A_MS/ACM and V_MS/VFW/FOURCC).

`ffmpeg -c copy` writes such tracks; PyAV queries the muxer first, which accepts codecs with a name of
Matroska's own alone. So the track is made with another codec's name, which is never decoded as that, and when
the file is complete its entry says what it is, by the header that FFmpeg's WAV or AVI muxer writes.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import av
from av.codec import Properties

from paragon_stream.media.facts.streams import codec_name
from paragon_stream.media.ffmpeg.errors import AV_ERRORS

_SOUND = frozenset(
    {
        *("wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice"),
        *("pcm_mulaw", "pcm_alaw", "adpcm_ms", "adpcm_ima_wav", "adpcm_yamaha", "gsm_ms", "truespeech"),
    }
)
_VIDEO = frozenset(
    {"msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "cinepak", "msvideo1", "msrle", "cscd", "zmbv", "tscc"}
)
"""Codecs without reordering, in addition to intra-only codecs. Matroska stores the decode times of such
tracks."""
_SMALLEST = {"audio": 16, "video": 40}
"""Bytes of a WAVEFORMATEX without its last number and the codec's own data; of a BITMAPINFOHEADER."""


@dataclass(frozen=True, kw_only=True)
class WindowsCodec:
    """The Windows header of a codec, `private`: a WAVEFORMATEX or a BITMAPINFOHEADER, and the codec's data.

    `width` and `height` are for video.
    """

    private: bytes
    width: int = 0
    height: int = 0

    @property
    def codec_id(self) -> str:
        """Matroska's."""
        return "V_MS/VFW/FOURCC" if self.width else "A_MS/ACM"

    @property
    def channels(self) -> int:
        return 0 if self.width else int.from_bytes(self.private[2:4], "little")

    @property
    def bits(self) -> int:
        """Per sample."""
        return 0 if self.width else int.from_bytes(self.private[14:16], "little")

    def add(self, out: Any, template: Any) -> Any:
        """A stream for packets of `template`, under another codec's name. Raises what PyAV raises."""
        if self.width:
            stream = out.add_mux_stream("mjpeg", width=self.width, height=self.height)
        else:
            stream = out.add_mux_stream("atrac1", rate=template.codec_context.sample_rate)
        stream.time_base = template.time_base
        return stream


def windows_codec(template: Any) -> WindowsCodec | None:
    """The codec data that Matroska stores for the stream `template` under Windows' name of its codec; None if
    it has no such name."""
    name = codec_name(template)
    if template.type == "audio" and name in _SOUND:
        private = _header(template, "wav", b"fmt ")
        return WindowsCodec(private=private) if private else None
    if template.type == "video" and (name in _VIDEO or _is_intra_only(name)):
        context, header = template.codec_context, bytearray(_header(template, "avi", b"strf"))
        tag = context.codec_tag.encode("latin-1")
        if header and tag.isalnum():  # one codec may have a tag for each pixel format
            header[_TAG] = tag
        if header:
            return WindowsCodec(private=bytes(header), width=context.width, height=context.height)
    return None


_TAG = slice(16, 20)
"""Position of the codec's tag in a BITMAPINFOHEADER."""


def _is_intra_only(name: str) -> bool:
    try:
        return bool(Properties(av.Codec(name, "r").properties) & Properties.INTRA_ONLY)
    except (*AV_ERRORS, LookupError):
        return False


def _header(template: Any, muxer: str, chunk: bytes) -> bytes:
    """The first `chunk` of a header that `muxer` writes for the stream; empty if it refuses the codec."""
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=muxer) as scratch:
            scratch.add_stream_from_template(template, opaque=True)
            scratch.start_encoding()
    except AV_ERRORS:
        return b""
    _, _, rest = file.getvalue().partition(chunk)
    found = rest[4 : 4 + int.from_bytes(rest[:4], "little")]
    return found if len(found) >= _SMALLEST[template.type] else b""
