"""A sample as one self-contained HTML page, and as one picture."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from paragon_stream.media.browser import Footage, Pixels, png
from paragon_stream.sample.caption import caption
from paragon_stream.sample.results import Sample

_PAGE = Path(__file__).with_name("page.html")
_GAP = 6
"""Pixels between the pictures of a montage."""


def to_html(sample: Sample) -> str:
    """The HTML page, which contains its pictures and clips and fetches nothing."""
    facts = {
        "source": Path(sample.source).name,
        "source_format": sample.source_format,
        "device": sample.device,
        "warnings": list(sample.warnings),
        "versions": [
            {
                "label": version.label,
                "command": version.command,
                "target": version.target,
                "fps": f"{version.fps:.1f}",
                "time": "" if version.hours is None else _time(version.hours),
                "size": "" if version.size is None else f"{version.size / 1e6:,.1f} MB",
                "fidelity": f"{version.fidelity:.2f} dB",
                "detail": f"{version.detail:.2f}",
            }
            for version in sample.versions
        ],
        "pieces": [
            {
                "clock": _clock(piece.time),
                "width": piece.before.still.shape[1],
                "height": piece.before.still.shape[0],
                "takes": [_media(each) for each in (piece.before, *(take.footage for take in piece.takes))],
                "curves": [
                    {
                        "fidelity": [round(value, 3) for value in take.curves.fidelity],
                        "detail": [round(value, 4) for value in take.curves.detail],
                    }
                    for take in piece.takes
                ],
            }
            for piece in sample.pieces
        ],
    }
    text = json.dumps(facts, ensure_ascii=True).replace("<", "\\u003c")  # nothing closes the script
    return _PAGE.read_text(encoding="utf-8").replace("@DATA@", text)


def to_montage(sample: Sample, side: int = 480) -> bytes:
    """A PNG: a row for each piece; the source first, then each version, all cut out of the middle. Captions
    above them give settings, sizes and speeds."""
    rows = []
    for piece in sample.pieces:
        captions = [[f"source at {_clock(piece.time)}, Lanczos", sample.source_format.split()[0]]]
        captions += [
            [version.label, f"{version.target.split()[0]}, {version.fps:.1f} fps"]
            for version in sample.versions
        ]
        footages = (piece.before, *(take.footage for take in piece.takes))
        rows.append(
            [
                _captioned(_middle(each.still, side), text)
                for each, text in zip(footages, captions, strict=True)
            ]
        )
    height, width = rows[0][0].shape[:2]
    columns = len(rows[0])
    shape = (len(rows) * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3)
    whole = np.full(shape, 128, np.uint8)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            top, left = row * (height + _GAP), column * (width + _GAP)
            whole[top : top + picture.shape[0], left : left + picture.shape[1]] = picture[:height, :width]
    return png(whole)


def _captioned(pixels: Pixels, lines: list[str]) -> Pixels:
    """`pixels` with `lines` of text above them."""
    text = caption(lines, pixels.shape[1])
    return np.vstack([np.repeat(text[..., None], 3, axis=2), pixels])


def _media(footage: Footage) -> dict[str, Any]:
    return {
        "still": "data:image/png;base64," + base64.b64encode(png(footage.still)).decode(),
        "clip": "data:video/mp4;base64," + base64.b64encode(footage.clip).decode(),
    }


def _middle(pixels: Pixels, side: int) -> Pixels:
    height, width = pixels.shape[:2]
    tall, wide = min(height, side), min(width, side)
    top, left = (height - tall) // 2, (width - wide) // 2
    return pixels[top : top + tall, left : left + wide]


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{seconds % 60:04.1f}"


def _time(hours: float) -> str:
    seconds = round(hours * 3600)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
