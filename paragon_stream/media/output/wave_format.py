"""Sound that Matroska holds by Windows' name of its codec (A_MS/ACM, RFC 9559 and its codec specifications).

`ffmpeg -c copy` writes such tracks; PyAV asks the muxer first, which answers for codecs with a name of
Matroska's own alone. So the track is made with another codec's name, which no player takes for sound, and
when the file is complete its entry says what it is, by the WAVEFORMATEX that FFmpeg's WAV muxer writes.
"""

from __future__ import annotations

import io
from typing import Any

import av

from paragon_stream.media.facts.streams import codec_name
from paragon_stream.media.ffmpeg.errors import AV_ERRORS

CARRIER = "atrac1"
CODEC_ID = "A_MS/ACM"
_CODECS = frozenset(
    {
        *("wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice"),
        *("pcm_mulaw", "pcm_alaw", "adpcm_ms", "adpcm_ima_wav", "adpcm_yamaha", "gsm_ms", "truespeech"),
    }
)
_SMALLEST = 16
"""Bytes of a WAVEFORMATEX without its last number and the codec's own data."""


def wave_format(template: Any) -> bytes:
    """The WAVEFORMATEX of the stream `template`, as Matroska's CodecPrivate; empty where it has none."""
    if template.type != "audio" or codec_name(template) not in _CODECS:
        return b""
    file = io.BytesIO()
    try:
        with av.open(file, "w", format="wav") as scratch:
            scratch.add_stream_from_template(template, opaque=True)
            scratch.start_encoding()
    except AV_ERRORS:
        return b""
    _, _, rest = file.getvalue().partition(b"fmt ")
    found = rest[4 : 4 + int.from_bytes(rest[:4], "little")]
    return found if len(found) >= _SMALLEST else b""


def channels_and_bits(wave: bytes) -> tuple[int, int]:
    """Number of channels and bits per sample of a WAVEFORMATEX."""
    return int.from_bytes(wave[2:4], "little"), int.from_bytes(wave[14:16], "little")
