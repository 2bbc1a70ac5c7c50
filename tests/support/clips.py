"""Real clips for tests: `make_clip` writes one through FFmpeg, the rest reads them back.

    from clips import make_clip, read_frames, packets

    clip = make_clip(tmp_path / "in.mkv", frames=12, audio="aac", subtitles="ass", chapters=2)
    frames = read_frames(clip)             # [(pts, (y, u, v)), …], decoded by plain PyAV
    audio = packets(clip, 1)               # [bytes, …], the packets of stream 1

Pictures are smooth gradients with moving coloured shapes and fine stripes, free of noise, the same in every
run; `scene` gives the planes that went in. Nothing here uses paragon_stream: it is what results are
checked against (`clip_damage` breaks clips). Streams are written in the order video, audio, subtitles,
second video, cover.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from clip_subtitles import ASS_SCRIPT, SRT_SCRIPT
from numpy.typing import NDArray

type Planes = tuple[NDArray[Any], ...]


@dataclass(frozen=True, kw_only=True)
class Tags:
    """Colour tags of a clip, in FFmpeg's numbers; 2 (or 0 for range and location) is unspecified."""

    matrix: int = 2
    range: int = 0
    """1 limited, 2 full."""
    transfer: int = 2
    primaries: int = 2
    chroma_location: int = 0


BT709 = Tags(matrix=1, range=1, transfer=1, primaries=1, chroma_location=1)


def scene(index: int, width: int, height: int, pix_fmt: str = "yuv420p") -> Planes:
    """The planes of frame `index`: uint8, or uint16 above 8 bit. Packed formats give one H×W×C array."""
    fmt = av.VideoFormat(pix_fmt, width, height)
    depth = fmt.components[0].bits
    full = np.dtype(np.uint16 if depth > 8 else np.uint8)
    scale = 1 << (depth - 8)
    count = max(component.plane for component in fmt.components) + 1
    if count == 1 and len(fmt.components) > 1:
        stack = [_component(c, index, width, height, 1, 1) for c in range(len(fmt.components))]
        return ((np.stack(stack, axis=-1) * scale).astype(full),)
    planes = []
    for number, component in enumerate(fmt.components):
        sx, sy = -(-width // component.width), -(-height // component.height)
        values = _component(number, index, component.width, component.height, sx, sy) * scale
        planes.append(values.astype(full))
    if count == 2 and len(planes) == 3:  # semi-planar
        shift = 16 - depth if depth > 8 else 0
        return planes[0] << shift, np.stack(planes[1:], axis=-1) << shift
    return tuple(planes)


def _component(number: int, index: int, width: int, height: int, sx: int, sy: int) -> NDArray[np.float64]:
    """8-bit values (as float, quarter steps) of one component; positions are in luma samples."""
    if number == 3:
        return np.full((height, width), 255.0)
    x, y = np.arange(width) * float(sx), np.arange(height)[:, None] * float(sy)
    w, h = width * sx, height * sy
    if number == 0:
        values = 60 + 90 * (x + y) / (w + h) + 18 * np.sin((x + 2 * index) / 3.1) * np.cos(y / 4.7)
        inside, stripe = 205.0, 40.0
    else:
        sign = 1 if number == 1 else -1
        values = 128 + sign * (40 * x / w - 30 * y / h) + 8 * np.sin((x - index) / 9)
        inside, stripe = (84.0, 150.0) if number == 1 else (190.0, 110.0)
    disc_x, disc_y = w * (0.25 + 0.03 * index) % w, h * 0.45
    values[(x - disc_x) ** 2 + (y - disc_y) ** 2 < (0.18 * h) ** 2] = inside
    low = int(np.searchsorted(y[:, 0], 0.7 * h, side="right"))  # stripes are in the rows from here on
    values[low:][np.abs((x - y[low:] + 3 * index) % 32 - 16) < 1.5] = stripe
    return np.round(values * 4) / 4


def make_frame(planes: Planes, pix_fmt: str) -> av.VideoFrame:
    """A VideoFrame holding copies of `planes`."""
    height, width = planes[0].shape[:2]
    frame = av.VideoFrame(width, height, pix_fmt)
    for target, plane in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(target, np.uint8).reshape(-1, target.line_size)
        data = np.ascontiguousarray(plane).reshape(plane.shape[0], -1).view(np.uint8)
        rows[: data.shape[0], : data.shape[1]] = data
    return frame


def tone(seconds: float, *, rate: int = 48000, channels: int = 2) -> NDArray[np.float32]:
    """channels×samples of a steady chord, amplitude 0.3."""
    t = np.arange(round(seconds * rate)) / rate
    chord = [np.sin(2 * np.pi * hz * t) for hz in (220, 277.2, 329.6)]
    return np.stack([sum(chord) * 0.1 for _ in range(channels)]).astype(np.float32)


def make_clip(
    path: str | Path,
    *,
    width: int = 96,
    height: int = 64,
    frames: int = 12,
    rate: int | Fraction = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    tags: Tags | None = None,
    sar: Fraction | None = None,
    rotation: int = 0,
    audio: str | None = None,
    audio_tracks: int = 1,
    audio_delay: float = 0.0,
    audio_seconds: float | None = None,
    subtitles: str | None = None,
    attachments: Iterable[tuple[str, str, bytes]] = (),
    second_video: bool = False,
    cover: bool = False,
    chapters: int = 0,
    metadata: Mapping[str, str] | None = None,
    languages: Sequence[str] = (),
    titles: Sequence[str] = (),
    dispositions: Sequence[int] = (),
    format: str | None = None,
    container_options: Mapping[str, str] | None = None,
) -> Path:
    """Write a clip and return its path; the container follows the suffix unless `format` names it.

    pts: one per frame, in `time_base` (default 1/rate), rising; default 0, 1, 2 … — give others for VFR or
        another start.
    audio: encoder name ("aac", "libopus", "flac", "pcm_s16le", "mp2" …); `audio_delay` shifts its start.
    subtitles: "ass" (styles, 3 events) or "subrip"; needs a container that takes it.
    attachments: (name, mimetype, data); Matroska only.
    second_video: a further H.264 track (64×48, 5 frames).
    cover: a JPEG attached picture: an attachment in Matroska, an attached_pic stream elsewhere.
    chapters: how many, cutting the clip evenly, titled "Chapter 1" …
    languages, titles, dispositions: per stream, in stream order.
    options: encoder options; libx264 and libx265 default to a fast preset with B-frames.
    """
    path = Path(path)
    rate = Fraction(rate)
    base = time_base or 1 / rate
    times = list(pts) if pts is not None else list(range(frames))
    seconds = float((times[-1] + 1) * base)
    if (
        codec == "libx265" and len(times) < 4
    ):  # shorter than its reordering: dts would be uninitialised memory
        options = {"bf": "0", **(options or {})}
    with av.open(str(path), "w", format=format, container_options=dict(container_options or {})) as out:
        pending: list[av.Packet] = []
        video = _video_stream(out, codec, width, height, rate, base, pix_fmt, options, tags, sar)
        if rotation:
            video.set_display_rotation(rotation)
        streams: list[av.stream.Stream] = [video]
        tracks = [
            out.add_stream(audio, rate=48000, layout="stereo") for _ in range(audio_tracks if audio else 0)
        ]
        streams += tracks
        source = _subtitle_source(subtitles)
        if source:
            text = out.add_stream_from_template(source.streams[0], opaque=True)
            streams.append(text)
        if second_video:
            other = _video_stream(out, "libx264", 64, 48, rate, base, "yuv420p", None, None, None)
            streams.append(other)
        matroska = out.format.name in ("matroska", "webm")
        if cover and not matroska:
            picture = out.add_stream("mjpeg", rate=1, options={"strict": "-1"})
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            streams.append(picture)
        for stream, language in zip(streams, languages, strict=False):
            stream.metadata["language"] = language
        for stream, title in zip(streams, titles, strict=False):
            stream.metadata["title"] = title
        for stream, disposition in zip(streams, dispositions, strict=False):
            stream.disposition = av.stream.Disposition(disposition)
        for name, mimetype, data in attachments:
            out.add_attachment(name, mimetype, data)
        if cover and matroska:
            out.add_attachment("cover.jpg", "image/jpeg", jpeg())
        out.metadata.update(metadata or {})
        if chapters:
            out.set_chapters(_chapters(chapters, seconds))

        for index, when in enumerate(times):
            frame = make_frame(scene(index, width, height, pix_fmt), pix_fmt)
            frame.pts, frame.time_base = when, base
            pending += video.encode(frame)
        pending += video.encode(None)
        for track in tracks:
            pending += _tone_packets(track, audio_seconds or seconds, audio_delay)
        if source:
            for packet in source.demux():
                if packet.size:
                    packet.stream = text
                    pending.append(packet)
        if second_video:
            for index in range(5):
                frame = make_frame(scene(index + 50, 64, 48), "yuv420p")
                frame.pts, frame.time_base = index, base
                pending += other.encode(frame)
            pending += other.encode(None)
        if cover and not matroska:
            frame = make_frame(scene(3, 64, 64), "yuvj420p")
            frame.pts, frame.time_base = 0, Fraction(1)
            pending += [*picture.encode(frame), *picture.encode(None)]
        for packet in sorted(pending, key=_decode_time):
            out.mux(packet)
    return path


def _video_stream(
    out: Any,
    codec: str,
    width: int,
    height: int,
    rate: Fraction,
    base: Fraction,
    pix_fmt: str,
    options: Mapping[str, str] | None,
    tags: Tags | None,
    sar: Fraction | None,
) -> av.VideoStream:
    quick = {"libx264": {"preset": "veryfast", "bf": "2"}, "libx265": {"preset": "ultrafast", "bf": "2"}}
    chosen = {**quick.get(codec, {}), **(options or {})}
    if codec == "libx265":
        chosen["x265-params"] = ":".join(["log-level=none", *filter(None, [chosen.get("x265-params")])])
    stream = out.add_stream(codec, rate=rate, options=chosen)
    stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
    context = stream.codec_context
    context.time_base = base
    context.thread_count = 1
    if sar is not None:
        context.sample_aspect_ratio = sar
    if tags is not None:
        context.colorspace, context.color_range = tags.matrix, tags.range
        context.color_trc, context.color_primaries = tags.transfer, tags.primaries
        context.chroma_sample_location = tags.chroma_location
    return stream


def in_one_stream(path: str | Path, parts: Iterable[str | Path]) -> Path:
    """The packets of the videos of `parts` in one stream of one file, as a recording that changes has them.

    Their times must rise from part to part, also in decoding order: leave a gap where there are B-frames.
    """
    with av.open(str(path), "w") as out:
        stream: Any = None
        for part in parts:
            with av.open(str(part)) as source:
                stream = stream or out.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.stream = stream
                        out.mux(packet)
    return Path(path)


def _decode_time(packet: av.Packet) -> Fraction:
    stamp = packet.dts if packet.dts is not None else packet.pts or 0
    return stamp * Fraction(packet.time_base.numerator, packet.time_base.denominator)


def _tone_packets(track: Any, seconds: float, delay: float) -> list[av.Packet]:
    samples = tone(seconds)
    made = []
    for start in range(0, samples.shape[1], 4800):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[:, start : start + 4800]), format="fltp", layout="stereo"
        )
        frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
        frame.pts = start + round(delay * 48000)
        made += track.encode(frame)
    return [*made, *track.encode(None)]


def _subtitle_source(kind: str | None) -> Any:
    if kind is None:
        return None
    text, format = {"ass": (ASS_SCRIPT, "ass"), "subrip": (SRT_SCRIPT, "srt")}[kind]
    return av.open(io.BytesIO(text.encode()), format=format)


def _chapters(count: int, seconds: float) -> list[Any]:
    edges = [round(1000 * seconds * i / count) for i in range(count + 1)]
    return [
        {
            "id": i + 1,
            "start": edges[i],
            "end": edges[i + 1],
            "time_base": Fraction(1, 1000),
            "metadata": {"title": f"Chapter {i + 1}"},
        }
        for i in range(count)
    ]


def jpeg(size: int = 64) -> bytes:
    """A small JPEG picture."""
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width = encoder.height = size
    encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1)
    frame = make_frame(scene(3, size, size), "yuvj420p")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


# Reading back


def read_frames(path: str | Path, video: int = 0) -> list[tuple[int | None, Planes]]:
    """(pts, planes) of every decoded frame of the `video`-th video stream, by a plain decode loop."""
    with av.open(str(path)) as source:
        stream = source.streams.video[video]
        stream.codec_context.thread_count = 1
        return [(frame.pts, frame_planes(frame)) for frame in source.decode(stream)]


def frame_planes(frame: av.VideoFrame) -> Planes:
    """Copies of the planes of a decoded frame: H×W, or H×W×C for interleaved components."""
    components = frame.format.components
    dtype = np.dtype(np.uint16 if max(c.bits for c in components) > 8 else np.uint8)
    planes = []
    for number, plane in enumerate(frame.planes):
        per_pixel = sum(component.plane == number for component in components)
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        width = plane.width * per_pixel * dtype.itemsize
        values = np.ascontiguousarray(rows[: plane.height, :width]).view(dtype)
        planes.append(values.reshape(plane.height, plane.width, per_pixel) if per_pixel > 1 else values)
    return tuple(planes)


@dataclass(frozen=True)
class PacketFacts:
    """One packet as stored: `pts`, `dts`, `duration` in seconds (None where absent), and its bytes."""

    pts: Fraction | None
    dts: Fraction | None
    duration: Fraction | None
    data: bytes


def packet_facts(path: str | Path, stream: int) -> list[PacketFacts]:
    """Every packet of the stream with container index `stream`."""
    with av.open(str(path)) as source:
        base = Fraction(
            source.streams[stream].time_base.numerator, source.streams[stream].time_base.denominator
        )

        def seconds(ticks: int | None) -> Fraction | None:
            return None if ticks is None else ticks * base

        return [
            PacketFacts(
                seconds(packet.pts), seconds(packet.dts), seconds(packet.duration or None), bytes(packet)
            )
            for packet in source.demux()
            if packet.size and packet.stream.index == stream
        ]


def packets(path: str | Path, stream: int) -> list[bytes]:
    """The payload of every packet of the stream with container index `stream`."""
    return [facts.data for facts in packet_facts(path, stream)]


def read_y4m(data: bytes) -> tuple[dict[str, str], list[Planes]]:
    """Header tags ("W", "H", "F", "I", "A", "C", "X…") and the frames of a YUV4MPEG2 stream."""
    header, _, rest = data.partition(b"\n")
    words = header.decode("ascii").split(" ")
    assert words[0] == "YUV4MPEG2", header[:40]
    tags: dict[str, str] = {}
    for word in words[1:]:
        key = word if word.startswith("X") else word[:1]
        tags[key] = word[1:]
    width, height, chroma = int(tags["W"]), int(tags["H"]), tags.get("C", "420")
    deep = "p1" in chroma or "p9" in chroma or chroma.startswith("mono1")
    sx, sy = (1, 1) if chroma.startswith("420") else (1, 0) if chroma.startswith("422") else (0, 0)
    dtype = np.dtype("<u2" if deep else "u1")
    small = (-(-height >> sy), -(-width >> sx))
    shapes = [(height, width)] if chroma.startswith("mono") else [(height, width), small, small]
    frames: list[Planes] = []
    while rest:
        marker, _, rest = rest.partition(b"\n")
        assert marker.startswith(b"FRAME"), marker[:40]
        planes = []
        for shape in shapes:
            size = shape[0] * shape[1] * dtype.itemsize
            assert len(rest) >= size, "truncated y4m frame"
            planes.append(np.frombuffer(rest[:size], dtype).reshape(shape))
            rest = rest[size:]
        frames.append(tuple(planes))
    return tags, frames
