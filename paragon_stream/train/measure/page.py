"""An evaluation as one HTML file: the tables of means, and crops side by side."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

from PIL import Image

from paragon_stream.errors import OutputError, reason
from paragon_stream.train.measure.evaluation import Codes, Evaluation, Measured

STYLE = (
    "body{font:14px sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:right}"
    "figure{display:inline-block;margin:.3em}img{width:192px;image-rendering:pixelated}"
)


def write_report(evaluation: Evaluation, path: Path) -> None:
    """A page with, for each level, the means and each picture's or clip's crops. Raises OutputError."""
    title = evaluation.weights + (f" ×{evaluation.scale}" if evaluation.sha256 else "")
    facts = (
        f"<p>{evaluation.engine}, {evaluation.precision}; sha256 {evaluation.sha256}</p>"
        if evaluation.sha256
        else ""
    )
    page = (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{html.escape(title)}</h1>{facts}"
        + "".join(_level_html(evaluation, level) for level in evaluation.levels)
    )
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {reason(error)}") from error


def _level_html(evaluation: Evaluation, level: str) -> str:
    strength = evaluation.strength(level)
    note = f", strength {strength:.2f}" if strength else ""
    head = "".join(f"<th>{measure}</th>" for measure in evaluation.measures)
    rows = "".join(
        f"<tr><th>{method}</th>" + "".join(f"<td>{values[m]:.4f}</td>" for m in evaluation.measures) + "</tr>"
        for method, values in evaluation.means(level).items()
    )
    crops = "".join(_crops_html(row) for row in evaluation.rows if row.level == level)
    return f"<h2>{html.escape(level)}{note}</h2><table><tr><th></th>{head}</tr>{rows}</table>{crops}"


def _crops_html(row: Measured) -> str:
    figures = []
    for method, crop in row.crops.items():
        note = f" {row.scores[method]['psnr_y']:.2f} dB" if method in row.scores else ""
        image = f'<img src="data:image/png;base64,{_png(crop)}">'
        figures.append(f"<figure>{image}<figcaption>{html.escape(method)}{note}</figcaption></figure>")
    return f"<h3>{html.escape(row.name)}</h3>{''.join(figures)}"


def _png(picture: Codes) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()
