"""A render without an engine: frames go from a reader to a sink, unchanged or doubled by repetition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from paragon_stream.frame import FrameFormat, Timing
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.output.plan import OutputOptions, OutputPlan, plan_output
from paragon_stream.media.sink import Sink, open_sink

FAST = {"libx264": "ultrafast", "libx265": "ultrafast", "libsvtav1": "12", "libvpx-vp9": "8"}


@dataclass(frozen=True)
class Rendered:
    """The results of a render."""

    info: MediaInfo
    plan: OutputPlan
    timings: list[Timing]
    warnings: list[str]


def frames_of(info: MediaInfo, target: FrameFormat) -> Iterator[tuple[list[NDArray[Any]], Timing]]:
    """The source's frames, repeated to the target's size and shifted to its depth."""
    source = info.video.format
    dtype = np.uint8 if source.pixel_format.bytes_per_sample == 1 else np.uint16
    planes = [np.empty(shape, dtype) for shape in source.plane_shapes]
    with VideoReader(info) as reader:
        while (timing := reader.read_into(planes)) is not None:
            yield (
                [_fitted(p, s, source, target) for p, s in zip(planes, target.plane_shapes, strict=False)],
                timing,
            )


def _fitted(
    plane: NDArray[Any], shape: tuple[int, ...], source: FrameFormat, target: FrameFormat
) -> NDArray[Any]:
    times = target.width // source.width
    grown = plane.repeat(times, 0).repeat(times, 1)[: shape[0], : shape[1]]
    more = target.pixel_format.depth - source.pixel_format.depth
    dtype = np.uint8 if target.pixel_format.bytes_per_sample == 1 else np.uint16
    return np.ascontiguousarray(grown.astype(dtype) << more if more > 0 else grown.astype(dtype))


def render(
    source: Path, destination: Path, *, scale: int = 1, limit: int | None = None, **options: Any
) -> Rendered:
    """Write `destination` from `source`, as `paragon-stream` would; `limit` stops after so many frames."""
    info = probe(source)
    plan = plan_output(info, destination, scale, fast(info, destination, scale, **options))
    timings = []
    with open_sink(plan, info) as sink:
        for planes, timing in frames_of(info, plan.target):
            if limit is not None and len(timings) == limit:
                break
            sink.write(planes, timing)
            timings.append(timing)
        sink.finish()
        return Rendered(info, plan, timings, [*plan.warnings, *sink.warnings])


def fast(info: MediaInfo, destination: Path, scale: int = 1, **options: Any) -> OutputOptions:
    """Options with the encoder's quickest preset, by default."""
    chosen = OutputOptions(**options)
    if chosen.preset is None and str(destination) != "-" and Path(destination).suffix != ".y4m":
        plan = plan_output(info, destination, scale, chosen)
        assert plan.job is not None
        preset = FAST.get(plan.job.encoder.name)
        if preset:
            return OutputOptions(**{**options, "preset": preset})
    return chosen


@contextmanager
def sink_for(source: Path, destination: Path, **options: Any) -> Iterator[tuple[MediaInfo, OutputPlan, Sink]]:
    """An open sink, for tests that end it in their own way."""
    info = probe(source)
    plan = plan_output(info, destination, 1, fast(info, destination, **options))
    with open_sink(plan, info) as sink:
        yield info, plan, sink


# ------------------------------------------------------------------------------------ reading back


@dataclass(frozen=True)
class Track:
    """One stream of a written file. Times are in seconds; `payloads` are the packets in file order."""

    type: str
    codec: str
    time_base: Fraction
    pts: list[Fraction | None]
    durations: list[Fraction]
    payloads: list[bytes]
    metadata: dict[str, str]
    disposition: int
    length: Fraction | None


def tracks(path: Path) -> list[Track]:
    """Every stream of a file, read by plain PyAV; the chapter track of MP4 and MOV left out."""
    with av.open(str(path)) as file:
        found: dict[int, Track] = {}
        for stream in file.streams:
            context = stream.codec_context
            codec = context.codec.canonical_name if context else (getattr(stream, "name", None) or "")
            if file.chapters() and stream.type == "data" and codec in ("", "bin_data"):
                continue
            unit = Fraction(stream.time_base.numerator, stream.time_base.denominator)
            length = stream.duration * unit if stream.duration else None
            flags = int(stream.disposition)
            found[stream.index] = Track(
                stream.type, codec, unit, [], [], [], dict(stream.metadata), flags, length
            )
        for packet in file.demux():
            track = found.get(packet.stream.index)
            if track is not None and packet.size:
                track.pts.append(None if packet.pts is None else packet.pts * track.time_base)
                track.durations.append((packet.duration or 0) * track.time_base)
                track.payloads.append(bytes(packet))
        return list(found.values())


def decoded_pts(path: Path) -> list[Fraction]:
    """Presentation times of the main video's frames, in seconds; what does not decode is left out."""
    with av.open(str(path)) as file:
        stream = main_video(file)
        unit = Fraction(stream.time_base.numerator, stream.time_base.denominator)
        return [frame.pts * unit for frame in decodable(file, stream) if frame.pts is not None]


def decodable(file: Any, stream: Any) -> Iterator[Any]:
    """The frames of a stream that may be damaged."""
    for packet in file.demux(stream):
        with suppress(av.FFmpegError):
            yield from packet.decode()


def main_video(file: Any) -> Any:
    """The first video stream that is no cover."""
    return next(s for s in file.streams.video if not s.disposition & Disposition.attached_pic)
