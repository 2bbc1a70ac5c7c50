"""Measures weights: shrinks pictures, upscales them with the frame job, and compares them with the originals.

The literature's convention: MATLAB's bicubic to 8-bit RGB, PSNR and SSIM on luma, without a border of `scale`
pixels. Every result is compared with bicubic, Lanczos and MagicKernel on the same input. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from paragon_stream.checkpoint import Weights
from paragon_stream.errors import InputError
from paragon_stream.train.data.images import SUFFIXES, read_rgb
from paragon_stream.train.data.resample import enlarge, shrink, to_codes
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
from paragon_stream.train.measure.metrics import (
    detail_db,
    ms_ssim_y,
    psnr,
    psnr_chroma,
    psnr_y,
    shave,
    ssim_y,
)
from paragon_stream.upscaler import Upscaler

MEASURES: Mapping[str, Callable[[Codes, Codes, int], float]] = {
    "psnr_y": psnr_y,
    "psnr_cb": lambda result, truth, border: psnr_chroma(result, truth, border)[0],
    "psnr_cr": lambda result, truth, border: psnr_chroma(result, truth, border)[1],
    "ssim_y": ssim_y,
    "psnr_rgb": lambda result, truth, border: psnr(shave(result, border), shave(truth, border)),
    "ms_ssim_y": ms_ssim_y,
    "detail_db": detail_db,
}

_OPEN = 4
"""Upscalers that are kept open, each for one size: pictures of a set often have few sizes in turns."""


def evaluate(
    weights: Weights,
    data: Path,
    *,
    degradation: str = "bicubic",
    engine: str = "auto",
    precision: str = "fp32",
    strength: float = 0.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Measure weights on a picture, or on every picture of a folder, through the frame job.

    `degradation` is one of `evaluation.DEGRADATIONS`. `strength` is that of conditioned weights.

    Raises InputError if there are no usable pictures, UsageError for unknown names, and what `Upscaler`
    raises.
    """
    check_degradation(degradation)
    paths = pictures_of(data)
    factor = weights.spec.scale
    upscalers: dict[tuple[int, int], Upscaler] = {}
    measured = []
    try:
        for index, path in enumerate(paths):
            truth = read_picture(path)
            truth = truth[: truth.shape[0] // factor * factor, : truth.shape[1] // factor * factor]
            low = to_codes(shrink(truth.astype(np.float32), factor, degradation))
            size = low.shape[1], low.shape[0]
            if size not in upscalers:
                if len(upscalers) == _OPEN:
                    upscalers.pop(next(iter(upscalers))).close()
                upscalers[size] = open_upscaler(
                    weights, size, format="rgb24", engine=engine, precision=precision
                )
            result = _upscaled(upscalers[size], low, strength)
            measured.append(_measure(path.name, degradation, low, result, truth, factor))
            progress(index + 1, len(paths))
        some = upscalers[size]
        return evaluation_of(weights, some.session, measures=tuple(MEASURES), rows=measured)
    finally:
        for upscaler in upscalers.values():
            upscaler.close()


def _upscaled(upscaler: Upscaler, low: Codes, strength: float) -> Codes:
    result = upscaler(low, strength=strength) if strength else upscaler(low)
    assert isinstance(result, np.ndarray)
    return result


def _measure(name: str, level: str, low: Codes, result: Codes, truth: Codes, scale: int) -> Measured:
    results = {"model": result}
    results |= {kernel: to_codes(enlarge(low.astype(np.float32), scale, kernel)) for kernel in FILTERS}
    scores = {
        method: {measure: function(picture, truth, scale) for measure, function in MEASURES.items()}
        for method, picture in results.items()
    }
    y, x = most_different(result, results["bicubic"])
    place = slice(y, y + CROP), slice(x, x + CROP)
    crops = {"original": truth[place], **{method: picture[place] for method, picture in results.items()}}
    return Measured(name=name, level=level, scores=scores, crops=crops)


def pictures_of(data: Path) -> list[Path]:
    """The picture, or the pictures of the folder. Raises InputError if there is none."""
    if data.is_file():
        return [data]
    if not data.is_dir():
        raise InputError(f"{data} is neither a picture nor a folder of pictures")
    found = sorted(p for p in data.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"{data} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    return found


def read_picture(path: Path) -> Codes:
    """H×W×3 codes. Raises InputError, also for pictures of less than 48 pixels a side."""
    picture = read_rgb(path)
    if min(picture.shape[:2]) < 48:
        raise InputError(f"{path} is {picture.shape[1]}x{picture.shape[0]}; at least 48 pixels are needed")
    return picture
