"""The video encoders: the pixel formats that each accepts, and its defaults.

Any video encoder of the FFmpeg inside PyAV can be named; the table below adds defaults, shorter names and the
ways in which encoders differ (their options for quality, speed, threads and HDR metadata).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

import av
from av.codec.codec import Properties

from paragon_stream.errors import UsageError
from paragon_stream.frame import PIXEL_FORMATS, Layout, PixelFormat
from paragon_stream.media.facts.side_data import CAPTIONS, HDR10_PLUS
from paragon_stream.media.ffmpeg.errors import AV_ERRORS

_FRAME_DATA = {
    "h264": frozenset({CAPTIONS}),
    "hevc": frozenset({CAPTIONS, HDR10_PLUS}),
    "av1": frozenset({CAPTIONS, HDR10_PLUS}),
}


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """One encoder. `codec` is FFmpeg's name of the codec.

    `crf` is the default constant quality, `crf_range` the accepted range; None for encoders without one.
    `crf_option` is the encoder's name of this option.
    `preset` is the default of the option `preset_option`; `presets` are the accepted ones, slowest last.
    `parameters` names the option that takes the library's own KEY=VALUE:… list.
    """

    name: str
    codec: str
    aliases: tuple[str, ...] = ()
    crf: float | None = None
    crf_range: tuple[float, float] | None = None
    crf_option: str = "crf"
    preset: str | None = None
    preset_option: str = "preset"
    presets: tuple[str, ...] = ()
    parameters: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    least_side: int = 1
    """Smallest width and height, pixels; with smaller pictures it fails or writes out of bounds."""
    carries_sample_aspect: bool = True
    """Whether the coded stream itself contains the sample aspect ratio."""
    stores_colours: bool = True
    """Whether every container keeps the colour tags of its video; otherwise that is tried before a render."""
    bits_per_pixel: Fraction | None = None
    """The default bit rate of an encoder without constant quality; FFmpeg's is 200 kbit/s for any size."""

    @property
    def pixel_formats(self) -> tuple[str, ...]:
        """The formats that it accepts and that frame jobs can produce, by FFmpeg name."""
        return _pixel_formats(self.name)

    @property
    def frame_data(self) -> frozenset[str]:
        """Names of the data of frames that can be added to its pictures (`media.encode.messages`)."""
        return _FRAME_DATA.get(self.codec, frozenset())

    def takes(self, crf: float | None, preset: str | None) -> bool:
        """Whether it has this `crf` and `preset`; None is no requirement."""
        return (crf is None or self.crf is not None) and (preset is None or preset in self.presets)

    def holds(self, wanted: PixelFormat) -> PixelFormat | None:
        """`wanted`, or the format with the same samples in another order, such as yuv420p10le of p010le; None
        if it takes neither."""
        if wanted.name in self.pixel_formats:
            return wanted
        like = self.closest(wanted)
        same = like is not None and (like.depth, like.subsampling) == (wanted.depth, wanted.subsampling)
        return like if same else None

    def closest(self, source: PixelFormat, *, finer: bool = False) -> PixelFormat | None:
        """`source` if it accepts that, or else the nearest format that it accepts without a loss; None if
        there is none.

        Without a loss means: the same family, subsampling (with `finer`: or more chroma) and alpha, and at
        least the same depth. Formats with alpha may be packed: many encoders accept RGBA only in that layout.
        """
        sx, sy = source.subsampling
        better = [
            fmt
            for fmt in (PIXEL_FORMATS[name] for name in self.pixel_formats)
            if (fmt.layout is not Layout.PACKED or source.has_alpha)
            and (fmt.family, fmt.has_alpha) == (source.family, source.has_alpha)
            and (finer or fmt.subsampling == (sx, sy))
            and (fmt.subsampling[0] <= sx and fmt.subsampling[1] <= sy)
            and fmt.depth >= source.depth
        ]
        first = Layout.SEMIPLANAR if self.name.endswith(NVENC) else Layout.PLANAR  # NVIDIA's converts others
        return min(better, key=lambda f: (-sum(f.subsampling), f.depth, f.layout is not first), default=None)


_X26X_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium"),
    *("slow", "slower", "veryslow", "placebo"),
)

ENCODERS = (
    Encoder(
        name="libx264",
        codec="h264",
        aliases=("h264", "x264", "avc"),
        crf=17,
        crf_range=(0, 51),  # x264 has values below 0 for high depths, but to FFmpeg they mean "not set"
        preset="medium",
        presets=_X26X_PRESETS,
        parameters="x264-params",
    ),
    Encoder(
        name="libx265",
        codec="hevc",
        aliases=("hevc", "h265", "x265"),
        crf=18,
        crf_range=(0, 51),
        preset="medium",
        presets=_X26X_PRESETS,
        parameters="x265-params",
        options={"x265-params": "log-level=none"},
        least_side=16,
    ),
    Encoder(
        name="libsvtav1",
        codec="av1",
        aliases=("av1", "svtav1", "svt-av1"),
        crf=22,
        crf_range=(1, 70),
        preset="6",
        presets=tuple(str(n) for n in range(13, -2, -1)),
        parameters="svtav1-params",
        least_side=16,
        carries_sample_aspect=False,
    ),
    Encoder(
        name="libvpx-vp9",
        codec="vp9",
        aliases=("vp9", "libvpx"),
        crf=22,
        crf_range=(0, 63),
        preset="2",
        preset_option="cpu-used",
        presets=tuple(str(n) for n in range(8, -1, -1)),
        options={"b": "0", "deadline": "good", "row-mt": "1", "tile-columns": "2"},
        carries_sample_aspect=False,
    ),
    *(
        # NVIDIA's: constant quality is variable bit rate without a bound; 10 bits are P010.
        Encoder(
            name=f"{codec}_nvenc",
            codec=codec,
            crf=crf,
            crf_range=(1, 51),
            crf_option="cq",
            preset="p5",
            presets=tuple(f"p{n}" for n in range(1, 8)),
            options={"rc": "vbr", "b": "0", "tune": "hq"},
            carries_sample_aspect=codec != "av1",
        )
        for codec, crf in (("h264", 19), ("hevc", 21), ("av1", 26))
    ),
    Encoder(
        name="ffv1",
        codec="ffv1",
        options={"level": "3", "slicecrc": "1", "slices": "12", "g": "1"},
        carries_sample_aspect=False,
    ),
    Encoder(
        name="prores_ks",
        codec="prores",
        aliases=("prores",),
        preset_option="profile",
        presets=("proxy", "lt", "standard", "hq", "4444", "4444xq"),
        options={"vendor": "apl0"},
        carries_sample_aspect=False,
        stores_colours=False,
    ),
    Encoder(
        name="dnxhd",
        codec="dnxhd",
        aliases=("dnxhr",),
        preset_option="profile",
        presets=("dnxhr_lb", "dnxhr_sq", "dnxhr_hq", "dnxhr_hqx", "dnxhr_444"),
        carries_sample_aspect=False,
        stores_colours=False,
    ),
)

_BITS_PER_PIXEL = Fraction(1, 5)
"""High quality with the codecs before H.264; more than enough with later ones."""
_BY_PROFILE = ("prores", "cfhd", "jpeg2000")
"""Codecs whose encoders aim at the quality of a profile, not at a bit rate."""

NVENC = "nvenc"
"""The codec name for "NVIDIA's encoder of the codec that the container gets by default"."""

# Formats that an encoder lists but refuses, or that decoders do not return; for FFV1 those that FFmpeg 5 and
# players with it cannot decode.
_NOT_REALLY = {
    "libx265": ("yuva420p", "yuva420p10le"),
    "libvpx-vp9": ("gbrap", "gbrap10le", "gbrap12le"),
    "ffv1": ("yuva422p12le", "yuva444p12le", "gbrap14le", "gray14le"),
}


def find_encoder(name: str) -> Encoder:
    """The encoder called `name` (FFmpeg's name, or a codec's). Raises UsageError for unknown ones."""
    for encoder in ENCODERS:
        if name.lower() in (encoder.name, *encoder.aliases):
            return encoder
    try:
        found = av.Codec(name, "w")
    except (*AV_ERRORS, LookupError):
        found = None
    if found is None or found.type != "video":
        known = ", ".join(encoder.name for encoder in ENCODERS)
        raise UsageError(f"unknown codec {name!r}: choose one of {known}, or any FFmpeg video encoder")
    name, codec = found.name, found.canonical_name
    aims = Properties.LOSSY in Properties(found.properties) and codec not in _BY_PROFILE
    return Encoder(
        name=name, codec=codec, stores_colours=False, bits_per_pixel=_BITS_PER_PIXEL if aims else None
    )


def nvenc_like(other: Encoder) -> Encoder:
    """NVIDIA's encoder of the same codec as `other`. Raises UsageError if there is none."""
    name = f"{other.codec}_{NVENC}"
    known = [encoder.name for encoder in ENCODERS if encoder.name.endswith(NVENC)]
    if name not in known:
        raise UsageError(
            f"NVIDIA has no encoder for {other.codec}, the default of this file: choose {' or '.join(known)}"
        )
    return find_encoder(name)


@cache
def _pixel_formats(name: str) -> tuple[str, ...]:
    formats = av.Codec(name, "w").video_formats or []
    hidden = _NOT_REALLY.get(name, ())
    return tuple(fmt.name for fmt in formats if fmt.name in PIXEL_FORMATS and fmt.name not in hidden)


def check_pixel_format(encoder: Encoder, format: PixelFormat) -> None:
    """Raise UsageError, with what to choose instead, if `encoder` does not take `format`."""
    if format.name in encoder.pixel_formats:
        return
    nearest = encoder.closest(format) or encoder.closest(format, finer=True)
    if nearest is not None:
        hint = f"--pix-fmt {nearest.name} loses nothing"
    else:
        others = [e.name for e in ENCODERS if format.name in e.pixel_formats]
        does = "does" if len(others) == 1 else "do"
        hint = f"{', '.join(others)} {does}" if others else f"it takes {', '.join(encoder.pixel_formats)}"
    raise UsageError(f"{encoder.name} does not take {format.name}: {hint}")
