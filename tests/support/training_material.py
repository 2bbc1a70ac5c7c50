"""Pictures to train on that tests draw themselves: edges, lines, text-like blocks and soft gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw


def drawn_picture(seed: int, size: int = 192) -> NDArray[np.uint8]:
    """size×size RGB, drawn at four times the size and reduced, so that edges are antialiased."""
    rng = np.random.default_rng(seed)
    large = 4 * size
    ramp = np.linspace(0, 1, large)[:, None, None] * rng.uniform(-60, 60, 3)
    ground = np.clip(rng.uniform(60, 200, 3) + ramp + np.zeros((large, large, 3)), 0, 255)
    image = Image.fromarray(ground.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = rng.integers(0, large, 2)
        w, h = rng.integers(large // 40, large // 5, 2)
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        kind = rng.integers(4)
        if kind == 0:
            draw.ellipse((x, y, x + w, y + h), fill=colour)
        elif kind == 1:
            draw.rectangle((x, y, x + w, y + h), outline=colour, width=int(rng.integers(4, 16)))
        elif kind == 2:
            draw.line((x, y, x + w, y + 2 * h), fill=colour, width=int(rng.integers(4, 20)))
        else:
            for k in range(6):
                left = x + k * w // 6
                draw.rectangle((left, y, left + w // 12, y + h), fill=colour)
    return np.array(image.resize((size, size), Image.Resampling.LANCZOS))


def write_pictures(folder: Path, count: int, size: int = 192, first: int = 0) -> None:
    """`count` PNGs and a manifest that holds out every fifth one."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file\tsplit"]
    for index in range(count):
        name = f"{index:03d}.png"
        Image.fromarray(drawn_picture(first + index, size)).save(folder / name)
        rows.append(f"{name}\t{'val' if index % 5 == 4 else 'train'}")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
