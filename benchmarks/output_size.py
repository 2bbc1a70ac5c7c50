"""Bits per pixel of upscaled video, by encoder and quality: for `render/size_estimate.py`.

    scripts/python benchmarks/output_size.py [CLIP]… [--fit-only]

The first frames of each clip (by default examples/sample.mkv) are upscaled ×2. A part of 640×352 pixels in
the middle is kept and encoded with the default preset at several values of crf. The first packet counts once
in 250 frames, as in the groups of pictures of a render. `benchmarks/results/output_size.json` gets the bits
per luma pixel of each clip and of its source, and for each encoder the least-squares fit

    log2(bits per pixel) = a + k · log2(bits per pixel of the source) − b · crf

with the root mean square of its errors in octaves; and for the first three clips the bits per pixel at ×2, ×3
and ×4 (libx264, crf 17). The first frames of the clips should resemble the rest,
whose bits count as the source's. `--fit-only` fits the stored figures of the clips again.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from common import RESULTS, SAMPLE, machine, write_results
from numpy.typing import NDArray

from paragon_stream.frame import FrameFormat
from paragon_stream.media.encode.encoder_job import EncoderJob, configure, encoder_frame, encoder_settings
from paragon_stream.media.encode.encoders import find_encoder
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.upscaler import Upscaler, UpscalerOptions

FRAMES = 48
WIDTH, HEIGHT = 640, 352
GROUP = 250
"""Frames from one key frame to the next: the default of x264 and x265."""
QUALITIES = {
    "libx264": (12, 17, 22, 27),
    "libx265": (13, 18, 23, 28),
    "libsvtav1": (14, 22, 30, 40),
    "libvpx-vp9": (14, 22, 30, 40),
    "ffv1": (None,),
}

SCALED_ENCODER, SCALED_CRF = "libx264", 17

type Planes = list[NDArray[Any]]


def upscaled(path: Path, scale: int = 2) -> tuple[FrameFormat, list[Planes]]:
    """The middle of the first frames, and its format."""
    info = probe(path)
    sources: list[Planes] = []
    format = info.video.format
    dtype = np.uint8 if format.pixel_format.depth <= 8 else np.uint16
    with VideoReader(info) as reader:
        while len(sources) < FRAMES:
            planes = [np.empty(shape, dtype) for shape in format.plane_shapes]
            if reader.read_into(planes) is None:
                break
            sources.append(planes)
    frames = []
    with Upscaler.for_format(format, UpscalerOptions(scale=scale)) as upscaler:
        target = upscaler.target
        top, left = (target.height - HEIGHT) // 4 * 2, (target.width - WIDTH) // 4 * 2
        for planes in sources:
            result = upscaler(planes)
            frames.append([_part(plane, plane.shape[0] * 1.0 / target.height, top, left) for plane in result])
    small = FrameFormat(width=WIDTH, height=HEIGHT, pixel_format=target.pixel_format, color=target.color)
    return small, frames


def _part(plane: NDArray[Any], share: float, top: int, left: int) -> NDArray[Any]:
    y, x, height, width = (round(each * share) for each in (top, left, HEIGHT, WIDTH))
    return np.ascontiguousarray(plane[y : y + height, x : x + width])


def bits_per_pixel(format: FrameFormat, frames: list[Planes], encoder: str, crf: float | None) -> float:
    found = find_encoder(encoder)
    pixels = found.closest(format.pixel_format, finer=True)
    if pixels is None or pixels != format.pixel_format:
        return float("nan")
    settings = encoder_settings(found, crf=crf, preset=None, extra={}, hdr=None, format=format)
    job = EncoderJob(encoder=found, format=format, tick=Fraction(1, 25), rate=Fraction(25), settings=settings)
    context: Any = av.VideoCodecContext.create(encoder, "w")
    configure(context, job)
    sizes: list[int] = []
    for number, planes in enumerate(frames):
        frame = encoder_frame(planes, format)
        frame.pts, frame.time_base = number, job.tick
        sizes += [packet.size for packet in context.encode(frame)]
    sizes += [packet.size for packet in context.encode(None)]
    total = (
        float(np.mean(sizes))
        if crf is None
        else (sizes[0] + (GROUP - 1) * sum(sizes[1:]) / (len(frames) - 1)) / GROUP
    )
    return 8 * total / (format.width * format.height)


def source_bits(path: Path) -> float:
    """Bits per pixel of the source's own video, all frames."""
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        sizes = [packet.size for packet in file.demux(video) if packet.size]
        return 8 * sum(sizes) / len(sizes) / (video.width * video.height)


def fitted(points: list[tuple[float, float, float]]) -> dict[str, float]:
    """The fit to points of (crf, bits per pixel of the source, bits per pixel)."""
    crf, source, bits = np.array(points).T
    columns = np.stack([np.ones_like(crf), np.log2(source), -crf], axis=1)
    (a, k, b), *_ = np.linalg.lstsq(columns, np.log2(bits), rcond=None)
    missed = np.log2(bits) - columns @ np.array([a, k, b])
    return {"a": round(a, 3), "k": round(k, 3), "b": round(b, 4), "rms_octaves": round(rms(missed), 3)}


def rms(values: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(values**2)))


def lines(measured: dict[str, dict[str, dict[str, float]]], source: dict[str, float]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for encoder, clips in measured.items():
        points = [
            (crf, source[clip], bits)
            for clip, figures in clips.items()
            for crf, bits in figures.items()
            if clip in source
        ]
        if points and points[0][0] != "None":
            found[encoder] = fitted([(float(crf), own, bits) for crf, own, bits in points])
        elif points:
            found[encoder] = {
                "bits_per_pixel": round(2 ** float(np.mean([np.log2(p[2]) for p in points])), 3)
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, default=[SAMPLE])
    parser.add_argument("--fit-only", action="store_true")
    arguments = parser.parse_args()
    if arguments.fit_only:
        stored = json.loads((RESULTS / "output_size.json").read_text())
        names, head = {clip.name for clip in arguments.clips}, stored["machine"]
        measured = {
            encoder: {clip: figures for clip, figures in clips.items() if clip in names}
            for encoder, clips in stored["bits_per_pixel"].items()
        }
    else:
        head = machine()
        measured = {name: {} for name in QUALITIES}
        for clip in arguments.clips:
            format, frames = upscaled(clip)
            for encoder, qualities in QUALITIES.items():
                found = {str(crf): bits_per_pixel(format, frames, encoder, crf) for crf in qualities}
                measured[encoder][clip.name] = {k: round(v, 5) for k, v in found.items() if v == v}
                print(clip.name, encoder, measured[encoder][clip.name], flush=True)
    source = {clip.name: round(source_bits(clip), 5) for clip in arguments.clips}
    scales = {
        clip.name: {
            scale: round(bits_per_pixel(*upscaled(clip, scale), SCALED_ENCODER, SCALED_CRF), 5)
            for scale in (2, 3, 4)
        }
        for clip in arguments.clips[:3]
    }
    fits = lines(measured, source)
    results = {"source": source, "bits_per_pixel": measured, "fits": fits, "scales": scales}
    write_results("output_size", head, results)
    print(json.dumps({"fits": fits, "scales": scales}, indent=1))


if __name__ == "__main__":
    main()
