"""The parameters of one encoder, from the options to an open encoder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import av

from paragon_stream.errors import UsageError, reason, suggestion
from paragon_stream.frame import ColorRange, Family, FrameFormat
from paragon_stream.media.encode.encoders import Encoder
from paragon_stream.media.encode.hdr import hdr_parameters
from paragon_stream.media.facts.info import HdrMetadata
from paragon_stream.media.ffmpeg.encoder_guard import guarded_opening
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.log import captured_log
from paragon_stream.media.ffmpeg.planes import Plane, copy_to_frame


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

    @property
    def library_settings(self) -> dict[str, str]:
        """The parameters KEY=VALUE:KEY=VALUE of the encoder's library, in lower case; they take precedence
        over FFmpeg's options."""
        lists = (self.settings.get(name, "") for name in ("x264opts", self.encoder.parameters))
        pairs = (each.partition("=") for each in ":".join(lists).casefold().split(":") if each)
        return {key: value or "1" for key, _, value in pairs}


_COLOURS = "the colours of the output, and their tags, are those of the source"
_NOT_BY_OPTION = {
    **dict.fromkeys(("pix_fmt", "pixel_format"), "--pix-fmt chooses the pixel format"),
    **dict.fromkeys(("s", "video_size", "lowres"), "--to chooses the size"),
    **dict.fromkeys(("r", "framerate", "time_base"), "frames keep their times"),
    **dict.fromkeys(("color_range", "colorspace", "color_trc", "color_primaries"), _COLOURS),
    "chroma_sample_location": _COLOURS,
}
"""FFmpeg's options of facts that the frames determine: the encoder would store another picture or time."""
_NOT_BY_PARAMETER = frozenset(
    {
        *("colormatrix", "colorprim", "transfer", "fullrange", "range", "chromaloc"),  # x264, x265
        *("matrix-coefficients", "color-primaries", "transfer-characteristics", "color-range"),  # SVT-AV1
        "chroma-sample-position",
    }
)
"""Keys in the libraries' own lists that would change the tags of colours and not the picture."""

QUALITIES = frozenset({"crf", "cq", "qp", "b", "q", "qscale", "global_quality", "lossless"})
"""FFmpeg's options that set a quality or a bit rate: with one of them, no default is added."""


def encoder_settings(
    encoder: Encoder,
    *,
    crf: float | None,
    preset: str | None,
    extra: Mapping[str, str],
    hdr: HdrMetadata | None,
    format: FrameFormat,
    rate: Fraction | None = None,
) -> dict[str, str]:
    """FFmpeg options for `encoder`: its defaults, then the given ones; `extra` (from -x) comes last.

    `rate`, frames per second, gives encoders without constant quality a default bit rate.

    The library's own parameter lists are merged, not replaced: `-x x265-params=…` keeps HDR metadata. Raises
    UsageError for a crf or preset that the encoder does not have, and for options that would contradict the
    frames.
    """
    for key in extra:
        if key in _NOT_BY_OPTION:
            raise UsageError(f"-x {key}={extra[key]} cannot be given: {_NOT_BY_OPTION[key]}")
        parameters = str(extra[key]).split(":") if key in (encoder.parameters, "x264opts") else []
        for parameter in parameters:
            if parameter.partition("=")[0] in _NOT_BY_PARAMETER:
                raise UsageError(f"{parameter} in -x {key} cannot be given: {_COLOURS}")
    for flag, name, value in (("crf", encoder.crf_option, crf), ("preset", encoder.preset_option, preset)):
        if value is not None and name in extra:
            raise UsageError(
                f"--{flag} {value} and -x {name}={extra[name]} set the same value: give one of them"
            )
    settings = {
        **encoder.options,
        **_quality(encoder, crf, extra, format, rate),
        **_speed(encoder, preset, format),
    }
    own_list = [settings.get(encoder.parameters, "")] if encoder.parameters else []
    if hdr is not None:
        own_list += hdr_parameters(encoder.name, hdr)
    settings |= {key: str(value) for key, value in extra.items()}  # Python callers give numbers as well
    if (flags := settings.get("flags", "+"))[:1] not in "+-":
        settings["flags"] = f"+{flags}"  # in addition to the flags that the container needs
    if encoder.parameters:
        joined = ":".join(filter(None, [*own_list, extra.get(encoder.parameters, "")]))
        settings.pop(encoder.parameters, None)
        if joined:
            settings[encoder.parameters] = joined
    return settings


def _quality(
    encoder: Encoder,
    crf: float | None,
    extra: Mapping[str, str],
    format: FrameFormat,
    rate: Fraction | None,
) -> dict[str, str]:
    """The option of constant quality: `crf`, or the default unless `extra` sets a quality. A bit rate for
    encoders that have no such option."""
    if crf is None:
        if extra.keys() & QUALITIES:
            return {}
        if encoder.crf is not None:
            return {encoder.crf_option: f"{encoder.crf:g}"}
        if encoder.bits_per_pixel is None or rate is None:
            return {}
        return {"b": str(round(format.width * format.height * rate * encoder.bits_per_pixel))}
    low, high = encoder.crf_range or (float("-inf"), float("inf"))
    if encoder.crf is None and encoder.crf_option not in _option_names(encoder.name):
        raise UsageError(f"{encoder.name} has no constant-quality scale: leave --crf out")
    if not low <= crf <= high:
        raise UsageError(f"crf {crf:g} is out of range for {encoder.name}: {low:g} to {high:g}")
    return {encoder.crf_option: f"{crf:g}"}


def _speed(encoder: Encoder, preset: str | None, format: FrameFormat) -> dict[str, str]:
    """The option of the preset, or the setting that encoders without presets need."""
    if preset is not None:
        if encoder.presets and preset not in encoder.presets:
            raise UsageError(
                f"{encoder.name} has no preset {preset!r}: choose one of {', '.join(encoder.presets)}"
            )
        if not encoder.presets and encoder.preset_option not in _option_names(encoder.name):
            raise UsageError(f"{encoder.name} has no presets: leave --preset out")
        return {encoder.preset_option: preset}
    if encoder.preset is not None:
        return {encoder.preset_option: encoder.preset}
    if encoder.name == "dnxhd":
        full, deep = format.pixel_format.subsampling == (0, 0), format.pixel_format.depth > 8
        return {"profile": "dnxhr_444" if full else "dnxhr_hqx" if deep else "dnxhr_hq"}
    if encoder.name == "prores_ks":
        return {"profile": "4444" if format.pixel_format.subsampling == (0, 0) else "hq"}
    if encoder.name == "ffv1" and any(height < 3 or width < 4 for height, width, *_ in format.plane_shapes):
        return {"slices": "1"}  # 12 are 4 × 3
    return {}


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


def open_encoder(job: EncoderJob, *, header: bool = False) -> Any:
    """The opened codec context of a job; with `header` its `extradata` holds the stream's header.

    Raises `AV_ERRORS` if the encoder refuses the job. Options that it does not have stay in `options`.
    """
    context: Any = av.VideoCodecContext.create(job.encoder.name, "w")
    configure(context, job)
    if header:
        context.flags |= av.codec.context.Flags.global_header
    with guarded_opening():
        context.open()
    return context


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
    try:
        with captured_log() as captured:
            context = open_encoder(job)
    except AV_ERRORS as error:
        if job.tick != 1 / job.rate and _opens(replace(job, tick=1 / job.rate)):
            raise UsageError(
                f"{encoder.name} cannot count times in 1/{job.tick.denominator} s, as this output does, so"
                " frames would not keep their times: choose another codec or container, or use another"
                f" program: paragon-stream IN - | ffmpeg -i - -c:v {encoder.name} OUT"
            ) from error
        words = captured.lines or [reason(error)]
        if any("strict_std_compliance" in line for line in words):
            words.append("-x strict=unofficial")
        given = " with " + " ".join(f"{k}={v}" for k, v in job.settings.items()) if job.settings else ""
        raise UsageError(f"{encoder.name} cannot encode {job.format}{given}: {'; '.join(words)}") from error
    if context.options:
        raise UsageError(unknown_option(encoder.name, next(iter(context.options))))
    if ignored := [line for line in captured.lines if _IGNORED.search(line)]:
        raise UsageError(f"{encoder.name}: {'; '.join(ignored)}")


def _opens(job: EncoderJob) -> bool:
    try:
        with captured_log():
            open_encoder(job)
    except AV_ERRORS:
        return False
    return True


_IGNORED = re.compile(r"(?i)error parsing option|unknown option|invalid value")


@cache
def _option_names(name: str) -> frozenset[str]:
    options = av.VideoCodecContext.create(name, "w").supported_options
    return frozenset(option.name for option in (*options.private, *options.generic))


def unknown_option(encoder: str, key: str) -> str:
    """The message for an option that `encoder` does not have."""
    return f"{encoder} has no option {key!r}{suggestion(key, _option_names(encoder))}"
