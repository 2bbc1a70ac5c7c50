"""Measuring on video: clips are shrunk, encoded, decoded, upscaled by the frame job, and compared with the
originals; or a finished file is compared with its reference.

Luma and chroma are compared plane by plane (see `train.measure.video_meter`). Filters get the same decoded
frames, and enlarge chroma with its siting. Conditioned weights get each frame's strength, as with
`--strength auto` (`media/frames/strength.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint import Weights
from paragon_stream.errors import FormatError, InputError
from paragon_stream.frame import Family
from paragon_stream.media.measure.roundtrip import Encoding, round_trip
from paragon_stream.train.data.clips import Clip, open_frames, read_clip, shrunk
from paragon_stream.train.data.planes import Planes, pixels_to_rgb
from paragon_stream.train.data.resample import enlarge
from paragon_stream.train.measure.evaluation import (
    CROP,
    FILTERS,
    Codes,
    Evaluation,
    Measured,
    check_degradation,
    evaluation_of,
    most_different,
    open_upscaler,
)
from paragon_stream.train.measure.video_meter import VideoMeter, video_measures
from paragon_stream.upscaler import Upscaler


def evaluate_videos(
    weights: Weights,
    paths: Sequence[Path],
    levels: Mapping[str, Encoding | None],
    *,
    frames: int = 24,
    degradation: str = "bicubic",
    engine: str = "auto",
    precision: str = "fp32",
    strength: float | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Measure weights on the first `frames` frames of every clip, at every level of compression.

    `degradation` is one of `evaluation.DEGRADATIONS`. `strength` is that of conditioned weights; None uses
    each frame's.

    Raises InputError if there are no clips, UsageError for an unknown degradation, and the errors of
    `read_clip`, `Upscaler` and `round_trip`.
    """
    check_degradation(degradation)
    factor = weights.spec.scale
    fixed = strength if weights.spec.conditioned else None
    rows: list[Measured] = []
    used = None
    for done, path in enumerate(paths):
        clip = read_clip(path, frames=frames, scale=factor)
        height, width = (side // factor for side in clip.frames[0][0].shape)
        with open_upscaler(
            weights,
            (width, height),
            format=clip.pixels.name,
            color=clip.color,
            engine=engine,
            precision=precision,
        ) as upscaler:
            rows += evaluate_video(
                clip, levels, {"model": upscaler}, factor, degradation=degradation, strength=fixed
            )
            used = upscaler.session
        progress(done + 1, len(paths))
    if used is None:
        raise InputError("there are no clips to measure on")
    return evaluation_of(weights, used, measures=video_measures(), rows=rows)


def evaluate_video(
    clip: Clip,
    levels: Mapping[str, Encoding | None],
    upscalers: Mapping[str, Upscaler],
    scale: int,
    *,
    degradation: str = "bicubic",
    strength: float | None = None,
) -> list[Measured]:
    """Score every upscaler (opened for the LR size and the clip's colour) and FILTERS at every level.

    `levels` maps names to encodings, None being no compression.
    """
    low = shrunk(clip, scale, degradation)
    rows = []
    for level, encoding in levels.items():
        seen: Sequence[Planes] = low
        strengths = [0.0] * len(low)
        if encoding is not None:
            decoded = round_trip(low, replace(encoding, pixel_format=clip.pixels.name))
            seen = [(d.planes[0], d.planes[1], d.planes[2]) for d in decoded]  # type: ignore[misc]
            strengths = [d.strength for d in decoded]
        if strength is not None:
            strengths = [strength] * len(low)
        rows.append(_measure(clip, level, seen, strengths, upscalers, scale))
    return rows


def _measure(
    clip: Clip,
    level: str,
    seen: Sequence[Planes],
    strengths: Sequence[float],
    upscalers: Mapping[str, Upscaler],
    scale: int,
) -> Measured:
    shown = len(seen) // 2
    crops: dict[str, Codes] = {}
    with ExitStack() as stack:
        meters = {name: stack.enter_context(VideoMeter()) for name in (*upscalers, *FILTERS)}
        for index, (planes, truth, strength) in enumerate(zip(seen, clip.frames, strengths, strict=True)):
            results = _upscaled(planes, upscalers, strength)
            for kernel in FILTERS:
                y, *chroma = planes
                siting = clip.chroma_siting
                results[kernel] = (
                    _enlarged(y, scale, kernel),
                    *(_enlarged(plane, scale, kernel, siting) for plane in chroma),
                )
            for name, result in results.items():
                meters[name].add(result, truth)
            if index == shown:
                crops = _crops({"original": truth, **results}, clip)
        scores = {name: meter.scores() for name, meter in meters.items()}
    return Measured(
        name=clip.name, level=level, strength=float(np.mean(strengths)), scores=scores, crops=crops
    )


def _upscaled(
    planes: Planes, upscalers: Mapping[str, Upscaler], strength: float
) -> dict[str, tuple[NDArray[np.uint8], ...]]:
    """One frame, upscaled by every network. `strength` is used by conditioned weights only."""
    results = {}
    for name, upscaler in upscalers.items():
        given = strength if upscaler.weights.spec.conditioned else 0.0
        result = upscaler(planes, strength=given)
        assert isinstance(result, tuple)
        results[name] = result
    return results


def _enlarged(
    plane: NDArray[np.uint8], scale: int, kernel: str, siting: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.uint8]:
    large = enlarge(plane.astype(np.float32), scale, kernel, siting)
    return np.clip(np.rint(large), 0, 255).astype(np.uint8)


def _crops(pictures: Mapping[str, tuple[NDArray[np.uint8], ...]], clip: Clip) -> dict[str, Codes]:
    """The same crop of every picture as RGB, where the first two after the original differ most."""
    _, first, second, *_ = pictures.values()
    y, x = (corner // 2 * 2 for corner in most_different(first[0], second[0]))
    height, width = first[0].shape
    window = slice(y, y + CROP), slice(x, x + CROP)
    assert clip.color.range is not None, "read_clip's colour is resolved"
    crops = {}
    for name, (luma, *chroma) in pictures.items():
        # Chroma samples are repeated for their luma samples, which is sufficient for viewing.
        repeated = [np.repeat(np.repeat(c, height // c.shape[0], 0), width // c.shape[1], 1) for c in chroma]
        planes = luma[window], *(plane[window] for plane in repeated)
        rgb = pixels_to_rgb(planes, clip.color.matrix, clip.color.range)
        crops[name] = np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)
    return crops


def compare_files(reference: Path, result: Path, *, frames: int | None = None) -> Evaluation:
    """Measure the video `result` against `reference`, of the same size and number of frames, in order.

    Chroma is compared if both have the same subsampling; `frames` limits the number of frames. The crop shows
    the worst frame at the largest difference.

    Raises FormatError for formats that cannot be compared, InputError if one file has fewer frames, and what
    the reader raises.
    """
    (truth_format, truths), (format, results) = (open_frames(path) for path in (reference, result))
    for what, a, b in (
        ("size", (format.width, format.height), (truth_format.width, truth_format.height)),
        ("range", format.color.range, truth_format.color.range),
    ):
        if a != b:
            raise FormatError(f"{result} and {reference} differ in {what}: {a} and {b}")
    # Gray and colour, or chroma on different grids: only luma can be compared.
    comparable = truth_format.pixel_format.subsampling == format.pixel_format.subsampling and (
        truth_format.pixel_format.family is format.pixel_format.family
    )
    chroma = comparable and format.pixel_format.family is Family.YUV
    worst, crops = -1.0, {}
    with VideoMeter() as meter:
        pairs = zip_longest(truths, results)
        for index, (original, planes) in enumerate(islice(pairs, frames)):
            if original is None or planes is None:
                shorter = reference if original is None else result
                raise InputError(f"{shorter} ends after {index} frames, the other does not; see --frames")
            meter.add(planes if comparable else planes[:1], original if comparable else original[:1])
            if meter.last_error > worst:
                worst = meter.last_error
                crops = _gray_crops(original[0], planes[0])
        scores = {"result": meter.scores()}
    row = Measured(name=result.name, level=f"against {reference.name}", scores=scores, crops=crops)
    return Evaluation(weights=result.name, measures=video_measures(chroma=chroma), rows=(row,))


def _gray_crops(original: NDArray[np.float32], result: NDArray[np.float32]) -> dict[str, Codes]:
    y, x = most_different(original, result)
    window = slice(y, y + CROP), slice(x, x + CROP)
    return {
        name: np.clip(np.rint(luma[window]), 0, 255).astype(np.uint8)
        for name, luma in (("original", original), ("result", result))
    }
