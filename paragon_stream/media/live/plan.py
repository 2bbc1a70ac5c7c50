"""The plan of a live session: its output and encoding, decided before the first frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from pathlib import Path

from paragon_stream.errors import UsageError
from paragon_stream.frame import (
    Family,
    FrameFormat,
    Layout,
    PixelFormat,
    pixel_format,
    without_alpha,
)
from paragon_stream.geometry import Placement
from paragon_stream.media.encode.chroma_location import Y4M, with_storable_chroma
from paragon_stream.media.encode.encoder_choice import wanted_pixel_format
from paragon_stream.media.encode.encoder_job import QUALITIES, EncoderJob, encoder_settings, try_open
from paragon_stream.media.encode.encoders import NVENC, Encoder, check_pixel_format, find_encoder, nvenc_like
from paragon_stream.media.encode.workdir import check_destination
from paragon_stream.media.encode.y4m import check_y4m
from paragon_stream.media.facts.containers import CRASH_SAFE_MP4, MKV, MOV, MP4, TS, Container, container_for
from paragon_stream.media.facts.info import MediaInfo, StreamKind, VideoInfo
from paragon_stream.media.facts.rate import FALLBACK_RATE
from paragon_stream.media.live.names import shown_name
from paragon_stream.media.live.source import without_scheme
from paragon_stream.media.output.losses import frame_losses, untagged_colours
from paragon_stream.media.output.plan import target_format
from paragon_stream.media.output.trial_muxing import check_codec, check_video
from paragon_stream.media.source.opening import check_name
from paragon_stream.number_text import parse_bit_rate
from paragon_stream.options.live import LiveOutputOptions

KEY_SECONDS = 2
"""Seconds between two key frames, as streaming services require."""
BITS_PER_PIXEL = Fraction(1, 10)
"""Bits per pixel of the default bit rate: 6.2 Mbit/s for 1080p at 30 frames per second."""

_MOST_BITS = 2_000_000_000
"""The largest bit rate: FFmpeg counts the bits of a second's buffer in 32 bits."""

FLV = Container(
    name="flv",
    muxer="flv",
    suffixes=(".flv",),
    encoders=("libx264",),
    tick=Fraction(1, 1000),
    # FFmpeg takes more, streaming services do not.
    codecs=frozenset({"h264", "hevc", "av1", "vp9", "aac", "mp3"}),
    rotation=False,
    options={"flvflags": "no_duration_filesize"},
)
NUT = Container(
    name="nut",
    muxer="nut",
    suffixes=(".nut",),
    encoders=("rawvideo",),
    tick=Fraction(1, 90_000),
    rotation=False,
)
_RTSP = replace(TS, name="rtsp", muxer="rtsp", suffixes=(), options={"rtsp_transport": "tcp"})
_RTP = replace(TS, name="rtp", muxer="rtp_mpegts", suffixes=())

_BY_FORMAT = {"nut": NUT, "mkv": MKV, "ts": TS, "flv": FLV}
_BY_SCHEME = {
    "rtmp": FLV,
    "rtmps": FLV,
    "rtsp": _RTSP,
    "rtp": _RTP,
    "udp": TS,
    "tcp": TS,
    "http": TS,
    "https": TS,
}
_AT_ONCE = {"flush_packets": "1", "max_interleave_delta": "1"}
"""Muxer options that write packets at once: interleaving waits a microsecond at most."""
_OWN = {"mpegts": {"pes_payload_size": "0"}, "matroska": {"cluster_time_limit": "1000"}}
"""Sound in small packets: a power failure costs at most a second."""

_WITHOUT_DELAY: dict[str, dict[str, str]] = {
    "libx264": {"tune": "zerolatency", "forced-idr": "1"},
    "libx265": {"tune": "zerolatency", "forced-idr": "1"},
    "libsvtav1": {"svtav1-params": "pred-struct=1:lookahead=0"},
    "libvpx-vp9": {"deadline": "realtime", "lag-in-frames": "0"},
    **{
        f"{codec}_{NVENC}": {"tune": "ll", "zerolatency": "1", "delay": "0", "bf": "0", "forced-idr": "1"}
        for codec in ("h264", "hevc", "av1")
    },
}
"""Options that make each encoder return every frame at once."""
_PRESETS = {
    "libx264": "veryfast",
    "libx265": "superfast",
    "libsvtav1": "11",
    "libvpx-vp9": "8",
    **{f"{codec}_{NVENC}": "p4" for codec in ("h264", "hevc", "av1")},
}
_CRF = {"libx264": 20.0, "libx265": 22.0}


class Where(Enum):
    """Kinds of destinations."""

    WINDOW = "the window"
    STDOUT = "standard output"
    NETWORK = "the network"
    FILE = "a file"


@dataclass(frozen=True, kw_only=True)
class LivePlan:
    """The plan. `container` and `job` are None for y4m; `name` has no passwords or keys."""

    where: Where
    name: str
    url: str
    target: FrameFormat
    rate: Fraction
    container: Container | None = None
    job: EncoderJob | None = None
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    display_matrix: tuple[int, ...] | None = None
    """The display matrix, if the container or the window supports it; see `VideoInfo`."""
    overwrite: bool = False
    warnings: tuple[str, ...] = ()
    """Sentences for the user."""

    @property
    def path(self) -> Path | None:
        return Path(self.url).absolute() if self.where is Where.FILE else None

    @property
    def frame_data(self) -> frozenset[str]:
        """Names of the data of the source's frames that are carried over, if they have any."""
        return frozenset() if self.job is None else self.job.encoder.frame_data

    @property
    def codec(self) -> str:
        return "rawvideo" if self.job is None else self.job.encoder.name


def plan_live(
    info: MediaInfo,
    destination: str | None,
    placement: Placement,
    options: LiveOutputOptions,
    *,
    sound: bool = True,
) -> LivePlan:
    """Decide how the video of `info`, enlarged by `placement`, gets to `destination`: None is a window.

    `sound`: whether the user wants it.

    Raises UsageError for invalid options, OutputError for a file that cannot be written.
    """
    if destination is not None:
        destination = without_scheme(destination)
    where, container = _destination(destination, options.format)
    raw = container is None or container is NUT
    given = (options.codec, options.crf, options.preset, options.bitrate)
    if raw and (any(each is not None for each in given) or options.encoder_options):
        what = "the window" if where is Where.WINDOW else "y4m" if container is None else "nut"
        raise UsageError(
            f"{what} gets raw video: leave --codec, --bitrate, --crf, --preset and -x out, or choose --format"
        )
    if where is Where.FILE:
        check_name(str(destination))
        check_destination(Path(str(destination)).absolute(), info.path, overwrite=options.overwrite)
    video = info.video
    encoder = _encoder(container, options)
    pixels = _pixels(
        video.format.pixel_format,
        encoder,
        wanted_pixel_format(video.format.pixel_format, options.pix_fmt),
        raw=raw,
        y4m=container is None,
    )
    target = target_format(video, placement, pixels)
    if encoder is not None and container is not None:
        target = with_storable_chroma(target, encoder.codec, container.muxer)
    elif where is not Where.WINDOW:
        target = with_storable_chroma(target, Y4M)
    rate = video.shown_rate or FALLBACK_RATE
    warnings = [] if where is Where.WINDOW else _losses(info, container, encoder, pixels)
    if container is None and sound and any(stream.kind is StreamKind.AUDIO for stream in info.streams):
        warnings.append("y4m holds only the picture: the sound is left out")
    if raw and where is not Where.WINDOW:
        warnings += untagged_colours(target, _name(container))
    matrix = video.display_matrix
    turns = where is Where.WINDOW or (container is not None and container.rotation)
    if matrix is not None and not turns:
        warnings.append(f"{_name(container)} cannot store the rotation of the video")
    plan = LivePlan(
        where=where,
        name=where.value if where in (Where.WINDOW, Where.STDOUT) else shown_name(str(destination)),
        url=str(destination or ""),
        target=target,
        rate=rate,
        container=container,
        display_matrix=matrix if turns else None,
        overwrite=options.overwrite,
        warnings=tuple(warnings),
    )
    if container is None or encoder is None:
        return plan
    job = _job(info, encoder, container, plan, options, raw=raw)
    lost = video.format.pixel_format.depth - pixels.depth
    if lost > 0 and options.pix_fmt is None:
        change = f"the video's {video.format.pixel_format.depth} bits become {pixels.depth}"
        warnings.append(f"{change}: --codec libx265 --pix-fmt yuv420p10le keeps 10")
    return replace(plan, job=job, muxer_options=_muxer_options(container), warnings=tuple(warnings))


def _job(
    info: MediaInfo,
    encoder: Encoder,
    container: Container,
    plan: LivePlan,
    options: LiveOutputOptions,
    *,
    raw: bool,
) -> EncoderJob:
    """The encoder of the video; if it is not raw, opened once as a test."""
    streamed = plan.where is not Where.FILE
    job = EncoderJob(
        encoder=encoder,
        format=plan.target,
        tick=container.video_tick(info.video.shown_time_base),
        rate=plan.rate,
        settings={} if raw else _settings(info.video, encoder, plan, options, streamed=streamed),
        sliced=True,
    )
    if not raw:
        try_open(job)
        if container is _RTP:
            check_codec(container, job)
        elif container is not _RTSP:
            check_video(container, job)
    return job


def _destination(destination: str | None, format: str | None) -> tuple[Where, Container | None]:
    """Its kind and its container; None is y4m."""
    if format is not None and format != "y4m" and format not in _BY_FORMAT:
        raise UsageError(f"unknown format {format!r}: choose one of y4m, {', '.join(_BY_FORMAT)}")
    chosen = None if format is None else _BY_FORMAT.get(format)
    if destination is None:
        if format not in (None, "nut"):
            raise UsageError(f"a window gets raw video: --format {format} needs an output")
        return Where.WINDOW, NUT
    if destination == "-":
        return Where.STDOUT, chosen
    if "://" in destination:
        scheme = destination.partition("://")[0].lower()
        if format == "y4m":
            raise UsageError("y4m goes to standard output or a file, not over the network")
        if chosen is None and scheme not in _BY_SCHEME:
            known = ", ".join(f"{each}://" for each in _BY_SCHEME)
            raise UsageError(f"{scheme}:// is not supported as an output: choose one of {known}")
        return Where.NETWORK, chosen or _BY_SCHEME[scheme]
    path = Path(destination)
    if format == "y4m" or (format is None and path.suffix.lower() == ".y4m"):
        return Where.FILE, None
    if chosen is not None:
        return Where.FILE, chosen
    for container in (FLV, NUT):
        if path.suffix.lower() in container.suffixes:
            return Where.FILE, container
    found = container_for(path)
    if found not in (MKV, MP4, MOV, TS):
        raise UsageError(
            f"a live session is written to .mkv, .ts, .mp4, .mov, .flv, .nut or .y4m, not {path.name}"
        )
    return Where.FILE, found


def _encoder(container: Container | None, options: LiveOutputOptions) -> Encoder | None:
    if container is None:
        return None
    default = find_encoder("rawvideo" if container is NUT else "libx264")
    if options.codec is None:
        return default
    return nvenc_like(default) if options.codec.lower() == NVENC else find_encoder(options.codec)


def _pixels(
    source: PixelFormat, encoder: Encoder | None, wanted: PixelFormat | None, *, raw: bool, y4m: bool
) -> PixelFormat:
    """Encoded: 8-bit 4:2:0, which every service and player accepts. Raw: the format of the source."""
    family = Family.YUV if source.family is Family.RGB else source.family
    plain = pixel_format("gray" if family is Family.GRAY else "yuv420p")
    if y4m:
        return check_y4m(wanted or (without_alpha(source) if source.family is not Family.RGB else plain))
    if raw:
        return wanted or without_alpha(source)
    assert encoder is not None
    if wanted is None:
        wanted = plain
        if plain.name not in encoder.pixel_formats:
            fitting = encoder.closest(plain, finer=True) or encoder.closest(without_alpha(source), finer=True)
            wanted = fitting if fitting is not None and fitting.layout is not Layout.PACKED else plain
    check_pixel_format(encoder, wanted)
    return wanted


def _losses(
    info: MediaInfo, container: Container | None, encoder: Encoder | None, pixels: PixelFormat
) -> list[str]:
    """Sentences about facts of the video that the output cannot hold; `encoder` is None for y4m."""
    video = info.video
    name = encoder.name if encoder is not None and encoder.name != "rawvideo" else _name(container)
    losses = frame_losses(video, name, encoder)
    # The fourth byte of gdigrab's pixels means nothing.
    if video.format.pixel_format.has_alpha and not pixels.has_alpha and info.container != "gdigrab":
        losses.append(f"the transparency is dropped: {name} gets {pixels.name}")
    if video.timecode:
        losses.append(f"a live session stores no timecode: the video's, {video.timecode}, is lost")
    return losses


def _name(container: Container | None) -> str:
    return "y4m" if container is None else container.name


def _settings(
    video: VideoInfo, encoder: Encoder, plan: LivePlan, options: LiveOutputOptions, *, streamed: bool
) -> dict[str, str]:
    """Settings for low delay with frequent key frames; constant bit rate for streams, constant quality for
    files. Options of -x replace the defaults of a session."""
    given, target, rate = options.encoder_options or {}, plan.target, plan.rate
    if options.crf is not None and options.bitrate is not None:
        raise UsageError("--crf is a quality and --bitrate a size: choose one of them")
    bits = parse_bit_rate("--bitrate", options.bitrate, most=_MOST_BITS, like="6M")
    if bits is not None and "b" in given:
        raise UsageError(
            f"--bitrate {options.bitrate} and -x b={given['b']} set the same value: give one of them"
        )
    own_quality = options.crf is not None or bool(given.keys() & QUALITIES)
    if bits is None and streamed and not own_quality:
        bits = round(target.width * target.height * rate * BITS_PER_PIXEL)
    extra = {"g": str(max(1, round(KEY_SECONDS * rate))), **_WITHOUT_DELAY.get(encoder.name, {})}
    if bits is not None:
        extra |= {"b": str(bits), "maxrate": str(bits), "bufsize": str(bits)}
        if encoder.name.endswith(NVENC):
            extra["rc"] = "cbr"
    if (own := encoder.parameters) in extra and own in given:  # both lists, the user's last
        given = {**given, own: f"{extra[own]}:{given[own]}"}
    return encoder_settings(
        encoder,
        crf=options.crf if own_quality or bits is not None else _CRF.get(encoder.name),
        preset=options.preset or (None if encoder.preset_option in given else _PRESETS.get(encoder.name)),
        extra={**extra, **given},
        hdr=video.hdr,
        format=target,
        rate=rate,
    )


def _muxer_options(container: Container) -> dict[str, str]:
    options = {**container.options, **_AT_ONCE, **_OWN.get(container.muxer, {})}
    return options | CRASH_SAFE_MP4 if container in (MP4, MOV) else options
