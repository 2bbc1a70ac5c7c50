"""An estimate of the output's size, made before the render.

Raw video (y4m), given bit rates and ProRes are close. At constant quality, the size depends on the content;
the best predictor is the source's bit rate. For each encoder,

    log2(bits per pixel) = a + k · log2(bits per pixel of the source) − b · crf

is a fit to measurements (`benchmarks/output_size.py`). Most outputs are within a factor of two of it.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from fractions import Fraction
from typing import NamedTuple

from paragon_stream.media.encode.encoder_job import EncoderJob
from paragon_stream.media.facts.info import MediaInfo, StreamKind
from paragon_stream.media.output.audio import BITS_PER_CHANNEL
from paragon_stream.media.output.plan import OutputPlan
from paragon_stream.media.output.stream_plans import Action, StreamPlan


class _Fit(NamedTuple):
    a: float
    k: float
    b: float
    offset: float = 0.0
    """Subtracted from the crf of NVIDIA's encoders, so that their defaults correspond to those of other
    encoders."""
    least: float = 8.0
    """The range of crf, after the subtraction, in which the fit holds."""
    most: float = 45.0


_X264, _X265 = _Fit(3.778, 0.887, 0.1896), _Fit(3.942, 0.955, 0.1923)
_SVT_AV1, _VP9 = _Fit(2.804, 1.132, 0.0953), _Fit(3.281, 1.218, 0.0954)
_FITS = {
    "libx264": _X264,
    "libx265": _X265,
    "libsvtav1": _SVT_AV1,
    "libvpx-vp9": _VP9,
    "h264_nvenc": _X264._replace(offset=2),
    "hevc_nvenc": _X265._replace(offset=3),
    "av1_nvenc": _SVT_AV1._replace(offset=4),
}
_FFV1_SHARE = 0.2
"""Fraction of the raw samples' size, from the same measurements: upscaled video is smooth."""
_PRORES = {"proxy": 0.72, "lt": 1.64, "standard": 2.37, "hq": 3.54, "4444": 5.31, "4444xq": 8.05}
"""Bits per pixel: the target rates of Apple's white paper for 1920×1080 at 29.97 frames per second."""
_FRAME_HEADER = len(b"FRAME\n")


def estimated_bytes(plan: OutputPlan, info: MediaInfo) -> int | None:
    """The estimated size of the output in bytes; None if unknown: for sources of unknown length, images, and
    other encoders."""
    frames, rate = info.video.frames, info.video.shown_rate or plan.rate
    if frames is None or plan.image is not None or not rate:
        return None
    if plan.job is None:
        return frames * (_FRAME_HEADER + _raw_bytes(plan))
    seconds = frames / rate
    bits = _video_bits(plan, plan.job, info, frames, seconds)
    if bits is None:
        return None
    for each in (*plan.streams, *(stream for file in plan.added for stream in file.streams)):
        bits += _stream_rate(each) * float(seconds)
    return round(bits / 8)


def _video_bits(
    plan: OutputPlan, job: EncoderJob, info: MediaInfo, frames: int, seconds: Fraction
) -> float | None:
    settings, own, name = job.settings, job.library_settings, job.encoder.name
    pixels = frames * plan.target.width * plan.target.height
    rate = 1000 * _bit_rate(own.get("bitrate", own.get("tbr", "0")))
    if rate == 0 and "crf" not in own:
        rate = _bit_rate(settings.get("b", "0"))
    if rate > 0:
        return rate * float(seconds)
    if name == "ffv1":
        return 8 * _FFV1_SHARE * frames * _raw_bytes(plan)
    if name == "prores_ks":
        per_pixel = _PRORES.get(settings.get("profile", ""))
        return None if per_pixel is None else per_pixel * pixels
    fit, crf = _FITS.get(name), _number(own.get("crf", settings.get(job.encoder.crf_option, "")))
    source = _source_bits_per_pixel(info)
    lossless = own.get("lossless", settings.get("lossless", "0")) != "0"
    if fit is None or crf is None or source is None or lossless or "qp" in own:
        return None
    quality = crf - fit.offset
    if not fit.least <= quality <= fit.most:
        return None
    return float(2.0 ** (fit.a + fit.k * math.log2(source) - fit.b * quality)) * pixels


def _raw_bytes(plan: OutputPlan) -> int:
    sample = 1 if plan.target.pixel_format.depth <= 8 else 2
    return sample * sum(math.prod(shape) for shape in plan.target.plane_shapes)


def _source_bits_per_pixel(info: MediaInfo) -> float | None:
    """The source's bits per pixel from the bit rate in its header, or else from the size of the file without
    the other streams."""
    video = info.video
    if not video.average_rate:
        return None
    rate = float(next((s.bit_rate or 0 for s in info.streams if s.index == video.index), 0))
    if not rate:
        others = sum(s.bit_rate or 0 for s in info.streams if s.index != video.index)
        if info.duration and info.path.is_file():
            rate = 8 * info.path.stat().st_size / info.duration - others
    pixels = video.format.width * video.format.height * float(video.average_rate)
    return rate / pixels if rate > 0 else None


def _stream_rate(plan: StreamPlan) -> float:
    """Bits per second of another stream; 0 where the header does not state it, as for subtitles."""
    if plan.action is Action.CONVERT and plan.sound is not None and not plan.sound.lossless:
        return plan.sound.bit_rate or 2 * BITS_PER_CHANNEL
    if plan.is_track and plan.stream.kind is not StreamKind.COVER:
        return plan.stream.bit_rate or 0
    return 0


def _number(text: str) -> float | None:
    with suppress(ValueError):
        return float(text)
    return None


def _bit_rate(text: str) -> float:
    """FFmpeg's numbers: 6M, 4500k, 6000000."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", text)
    return float(found[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[found[2]] if found else 0.0
