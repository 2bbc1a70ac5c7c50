"""Measuring weights: pictures are shrunk, upscaled by the shipped frame job, and compared with the originals.

The literature's convention: MATLAB's bicubic to 8-bit RGB, PSNR and SSIM on luma, a border of `scale` pixels
left out. Every result is compared with bicubic, Lanczos and MagicKernel on the same input. No torch here.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from paragon_stream.checkpoint import load_weights
from paragon_stream.errors import InputError, OutputError, UsageError
from paragon_stream.train.data import SUFFIXES
from paragon_stream.train.metrics import ms_ssim_y, psnr, psnr_y, shave, ssim_y
from paragon_stream.train.resample import enlarge, shrink, to_codes
from paragon_stream.upscaler import Upscaler

type Codes = NDArray[np.uint8]

FILTERS = ("bicubic", "lanczos", "magic")
DEGRADATIONS = ("bicubic", "lanczos", "area", "magic")
MEASURES: Mapping[str, Callable[[Codes, Codes, int], float]] = {
    "psnr_y": psnr_y,
    "ssim_y": ssim_y,
    "psnr_rgb": lambda result, truth, border: psnr(shave(result, border), shave(truth, border)),
    "ms_ssim_y": ms_ssim_y,
}
CROP = 96
"""Side of the report's crops, in HR pixels."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One picture: its name, and for each method (`model` and FILTERS) each of MEASURES."""

    name: str
    scores: Mapping[str, Mapping[str, float]]
    crops: Mapping[str, Codes]
    """The same place from the original and from every method: where the methods differ most."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What `evaluate` found."""

    weights: str
    sha256: str
    scale: int
    degradation: str
    engine: str
    precision: str
    pictures: tuple[Measured, ...]

    def means(self) -> dict[str, dict[str, float]]:
        """Method → measure → mean over the pictures."""
        methods = self.pictures[0].scores
        return {
            method: {
                measure: float(np.mean([p.scores[method][measure] for p in self.pictures]))
                for measure in MEASURES
            }
            for method in methods
        }


def evaluate(
    data: str | Path,
    *,
    weights: str | Path | None = None,
    variant: str | None = None,
    scale: int | None = None,
    degradation: str = "bicubic",
    engine: str = "auto",
    precision: str = "fp32",
    strength: float = 0.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Measure weights on every picture of the folder `data`, through the frame job.

    `weights`, `variant` and `scale` choose as in `upscale`; `degradation` is one of DEGRADATIONS. `strength`
    is what conditioned weights are told.

    Raises InputError if there are no usable pictures, UsageError for unknown names, and what `load_weights`
    and `Upscaler` raise.
    """
    if degradation not in DEGRADATIONS:
        raise UsageError(f"no degradation is called {degradation}; choose from {', '.join(DEGRADATIONS)}")
    paths = _pictures(Path(data))
    found = load_weights(weights, variant=variant, scale=scale)
    factor = found.spec.scale
    upscalers: dict[tuple[int, int], Upscaler] = {}
    measured = []
    try:
        for index, path in enumerate(paths):
            truth = _read(path)
            truth = truth[: truth.shape[0] // factor * factor, : truth.shape[1] // factor * factor]
            low = to_codes(shrink(truth.astype(np.float32), factor, degradation))
            size = low.shape[1], low.shape[0]
            if size not in upscalers:
                upscalers[size] = Upscaler(
                    width=size[0],
                    height=size[1],
                    pixel_format="rgb24",
                    weights=found.path,
                    engine=engine,
                    precision=precision,
                )
            result = _upscaled(upscalers[size], low, strength)
            measured.append(_measure(path.name, low, result, truth, factor))
            progress(index + 1, len(paths))
        some = next(iter(upscalers.values()))
        return Evaluation(
            weights=found.name,
            sha256=found.sha256,
            scale=factor,
            degradation=degradation,
            engine=some.session.engine,
            precision=str(some.session.precision),
            pictures=tuple(measured),
        )
    finally:
        for upscaler in upscalers.values():
            upscaler.close()


def _upscaled(upscaler: Upscaler, low: Codes, strength: float) -> Codes:
    result = upscaler(low, strength=strength) if strength else upscaler(low)
    assert isinstance(result, np.ndarray)
    return result


def _measure(name: str, low: Codes, result: Codes, truth: Codes, scale: int) -> Measured:
    results = {"model": result}
    results |= {kernel: to_codes(enlarge(low.astype(np.float32), scale, kernel)) for kernel in FILTERS}
    scores = {
        method: {measure: function(picture, truth, scale) for measure, function in MEASURES.items()}
        for method, picture in results.items()
    }
    y, x = _most_different(result, results["bicubic"])
    place = slice(y, y + CROP), slice(x, x + CROP)
    crops = {"original": truth[place], **{method: picture[place] for method, picture in results.items()}}
    return Measured(name=name, scores=scores, crops=crops)


def _most_different(a: Codes, b: Codes) -> tuple[int, int]:
    """Top left corner of the CROP² window in which two pictures differ most."""
    difference = np.abs(a.astype(np.float32) - b.astype(np.float32)).sum(-1)
    sums = np.pad(difference.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    height, width = (min(CROP, side) for side in difference.shape)
    window = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    y, x = np.unravel_index(int(window.argmax()), window.shape)
    return int(y), int(x)


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder of pictures")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    return found


def _read(path: Path) -> Codes:
    try:
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a picture: {error}") from error
    if min(picture.shape[:2]) < 48:
        raise InputError(f"{path} is {picture.shape[1]}x{picture.shape[0]}; at least 48 pixels are needed")
    return picture


def write_report(evaluation: Evaluation, path: Path) -> None:
    """An HTML page with the table of means and, for each picture, crops side by side. Raises OutputError."""
    means = evaluation.means()
    rows = "".join(
        f"<tr><th>{method}</th>" + "".join(f"<td>{values[m]:.4f}</td>" for m in MEASURES) + "</tr>"
        for method, values in means.items()
    )
    pictures = "".join(_picture_html(p) for p in evaluation.pictures)
    title = f"{evaluation.weights} ×{evaluation.scale}, {evaluation.degradation}"
    page = (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"
        "<style>body{font:14px sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:right}"
        "figure{display:inline-block;margin:.3em}img{width:192px;image-rendering:pixelated}</style>"
        f"<h1>{html.escape(title)}</h1><p>{evaluation.engine}, {evaluation.precision}; "
        f"sha256 {evaluation.sha256}</p><table><tr><th></th>"
        + "".join(f"<th>{m}</th>" for m in MEASURES)
        + f"</tr>{rows}</table>{pictures}"
    )
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def _picture_html(picture: Measured) -> str:
    figures = []
    for method, crop in picture.crops.items():
        stream = io.BytesIO()
        Image.fromarray(crop).save(stream, "PNG")
        data = base64.b64encode(stream.getvalue()).decode()
        note = f" {picture.scores[method]['psnr_y']:.2f} dB" if method in picture.scores else ""
        image = f'<img src="data:image/png;base64,{data}">'
        figures.append(f"<figure>{image}<figcaption>{method}{note}</figcaption></figure>")
    return f"<h2>{html.escape(picture.name)}</h2>{''.join(figures)}"
