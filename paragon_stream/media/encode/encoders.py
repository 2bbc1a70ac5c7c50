"""The video encoders: which pixel formats each takes, its defaults, and opening one.

Any video encoder of the FFmpeg inside PyAV can be named; the table below adds defaults, shorter names and the
ways in which encoders differ (their options for quality, speed, threads and HDR metadata).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import av

from paragon_stream.errors import UsageError
from paragon_stream.frame import PIXEL_FORMATS, ColorRange, Family, FrameFormat, Layout, PixelFormat
from paragon_stream.media.encode.hdr import hdr_parameters
from paragon_stream.media.facts.info import HdrMetadata
from paragon_stream.media.ffmpeg.errors import AV_ERRORS, reason
from paragon_stream.media.ffmpeg.log import captured_log
from paragon_stream.media.ffmpeg.planes import Plane, copy_to_frame
from paragon_stream.media.ffmpeg.scheduler_guard import ordinary_scheduling


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
    """Whether the coded stream itself says the sample aspect ratio."""

    @property
    def pixel_formats(self) -> tuple[str, ...]:
        """The formats that it accepts and that frame jobs can produce, by FFmpeg name."""
        return _pixel_formats(self.name)

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
    ),
)

NVENC = "nvenc"
"""The codec name for "NVIDIA's encoder of the codec that the container gets by default"."""

# Formats that an encoder lists but refuses, or that decoders do not return.
_NOT_REALLY = {"libx265": ("yuva420p", "yuva420p10le"), "libvpx-vp9": ("gbrap", "gbrap10le", "gbrap12le")}


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
    return Encoder(name=found.name, codec=found.canonical_name)


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


@dataclass(frozen=True, kw_only=True)
class EncoderJob:
    """All parameters of an encoder. `settings` are FFmpeg options, by name; `tick` is the time base."""

    encoder: Encoder
    format: FrameFormat
    tick: Fraction
    rate: Fraction
    settings: Mapping[str, str]
    sliced: bool = False
    """Slice threads instead of frame threads, which hold frames back: for live sessions."""
    threads: int = 0
    """Number of threads; 0 for the encoder's own choice."""


def encoder_settings(
    encoder: Encoder,
    *,
    crf: float | None,
    preset: str | None,
    extra: Mapping[str, str],
    hdr: HdrMetadata | None,
    format: FrameFormat,
) -> dict[str, str]:
    """FFmpeg options for `encoder`: its defaults, then the given ones; `extra` (from -x) comes last.

    The library's own parameter lists are merged, not replaced: `-x x265-params=…` keeps HDR metadata. Raises
    UsageError for a crf or preset that the encoder does not have.
    """
    settings = dict(encoder.options)
    own = _option_names(encoder.name)
    quality_given = extra.keys() & {"crf", "cq", "qp", "b", "q", "qscale", "lossless"}
    for flag, name, value in (("crf", encoder.crf_option, crf), ("preset", encoder.preset_option, preset)):
        if value is not None and name in extra:
            raise UsageError(
                f"--{flag} {value} and -x {name}={extra[name]} set the same value: give one of them"
            )
    if crf is not None:
        low, high = encoder.crf_range or (float("-inf"), float("inf"))
        if encoder.crf is None and encoder.crf_option not in own:
            raise UsageError(f"{encoder.name} has no constant-quality scale: leave --crf out")
        if not low <= crf <= high:
            raise UsageError(f"crf {crf:g} is out of range for {encoder.name}: {low:g} to {high:g}")
        settings[encoder.crf_option] = f"{crf:g}"
    elif encoder.crf is not None and not quality_given:
        settings[encoder.crf_option] = f"{encoder.crf:g}"
    if preset is not None:
        if encoder.presets and preset not in encoder.presets:
            raise UsageError(
                f"{encoder.name} has no preset {preset!r}: choose one of {', '.join(encoder.presets)}"
            )
        if not encoder.presets and encoder.preset_option not in own:
            raise UsageError(f"{encoder.name} has no presets: leave --preset out")
        settings[encoder.preset_option] = preset
    elif encoder.preset is not None:
        settings[encoder.preset_option] = encoder.preset
    elif encoder.name == "prores_ks":
        settings["profile"] = "4444" if format.pixel_format.subsampling == (0, 0) else "hq"
    elif encoder.name == "ffv1" and any(height < 3 or width < 4 for height, width, *_ in format.plane_shapes):
        settings["slices"] = "1"  # 12 are 4 × 3
    own_list = [settings.get(encoder.parameters, "")] if encoder.parameters else []
    if hdr is not None:
        own_list += hdr_parameters(encoder.name, hdr)
    settings |= {key: str(value) for key, value in extra.items()}  # Python callers give numbers as well
    if encoder.parameters:
        joined = ":".join(filter(None, [*own_list, extra.get(encoder.parameters, "")]))
        settings.pop(encoder.parameters, None)
        if joined:
            settings[encoder.parameters] = joined
    return settings


class ColorNumbers(NamedTuple):
    """Colour tags as FFmpeg numbers them."""

    range: int
    matrix: int
    transfer: int
    primaries: int
    chroma_location: int


def color_numbers(format: FrameFormat) -> ColorNumbers:
    """The tags of `format`; tags of chroma only for subsampled chroma."""
    color, pixels = format.color, format.pixel_format
    subsampled = pixels.family is Family.YUV and pixels.subsampling != (0, 0)
    return ColorNumbers(
        range=2 if color.range is ColorRange.FULL else 1 if color.range else 0,
        matrix=int(color.matrix),
        transfer=int(color.transfer),
        primaries=int(color.primaries),
        chroma_location=int(color.chroma_location) if subsampled else 0,
    )


def encoder_frame(planes: Sequence[Plane], format: FrameFormat) -> av.VideoFrame:
    """A copy of `planes` for an encoder, with the tags that some (ProRes) read from the frame."""
    frame = av.VideoFrame(format.width, format.height, format.pixel_format.name)
    copy_to_frame(planes, frame)
    colors = color_numbers(format)
    frame.color_range, frame.colorspace = colors.range, colors.matrix
    frame.color_trc, frame.color_primaries = colors.transfer, colors.primaries
    frame.chroma_location = colors.chroma_location
    return frame


def configure(context: av.VideoCodecContext, job: EncoderJob) -> None:
    """Set all parameters of an encoder context that is not open yet."""
    fmt, colors = job.format, color_numbers(job.format)
    context.width, context.height = fmt.width, fmt.height
    context.pix_fmt = fmt.pixel_format.name
    context.time_base = job.tick
    context.framerate = job.rate
    context.sample_aspect_ratio = fmt.sample_aspect_ratio
    context.color_range, context.colorspace = colors.range, colors.matrix
    context.color_trc, context.color_primaries = colors.transfer, colors.primaries
    context.chroma_sample_location = colors.chroma_location
    # With PyAV's default, slice threads only, x264 cuts every frame into slices: lower quality and speed.
    context.thread_type = "SLICE" if job.sliced else "AUTO"
    context.thread_count = job.threads
    context.options = dict(job.settings)
    if job.encoder.name == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # its banner goes to stderr otherwise; errors still do


def try_open(job: EncoderJob) -> None:
    """Open the encoder and close it again.

    Raises UsageError if the encoder refuses the job, does not have an option, or ignores a part of its own
    parameter list; the message names the option if one is the cause.
    """
    encoder = job.encoder
    if min(job.format.width, job.format.height) < encoder.least_side:
        raise UsageError(
            f"{encoder.name} cannot encode {job.format.width}x{job.format.height}: "
            f"its smallest size is {encoder.least_side}x{encoder.least_side}"
        )
    context: Any = av.VideoCodecContext.create(encoder.name, "w")
    configure(context, job)
    try:
        with ordinary_scheduling(), captured_log() as captured:
            context.open()
    except AV_ERRORS as error:
        words = captured.lines or [reason(error)]
        given = " with " + " ".join(f"{k}={v}" for k, v in job.settings.items()) if job.settings else ""
        raise UsageError(f"{encoder.name} cannot encode {job.format}{given}: {'; '.join(words)}") from error
    if context.options:
        raise UsageError(unknown_option(encoder.name, next(iter(context.options))))
    if ignored := [line for line in captured.lines if _IGNORED.search(line)]:
        raise UsageError(f"{encoder.name}: {'; '.join(ignored)}")


_IGNORED = re.compile(r"(?i)error parsing option|unknown option|invalid value")


@cache
def _option_names(name: str) -> frozenset[str]:
    options = av.VideoCodecContext.create(name, "w").supported_options
    return frozenset(option.name for option in (*options.private, *options.generic))


def unknown_option(encoder: str, key: str) -> str:
    """The message for an option that `encoder` does not have."""
    near = difflib.get_close_matches(key, _option_names(encoder), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{encoder} has no option {key!r}{hint}"


def check_pixel_format(encoder: Encoder, format: PixelFormat) -> None:
    """Raise UsageError, with what to choose instead, if `encoder` does not take `format`."""
    if format.name in encoder.pixel_formats:
        return
    nearest = encoder.closest(format) or encoder.closest(format, finer=True)
    if nearest is not None:
        hint = f"--pix-fmt {nearest.name} loses nothing"
    else:
        others = [e.name for e in ENCODERS if format.name in e.pixel_formats]
        hint = f"{', '.join(others)} do" if others else f"it takes {', '.join(encoder.pixel_formats)}"
    raise UsageError(f"{encoder.name} does not take {format.name}: {hint}")
