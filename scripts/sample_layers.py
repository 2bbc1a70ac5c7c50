"""The still layers of the sample clip's picture, far to near: sky, mountains, hills, town, meadow.

Each is a strip wider than the picture, so that the view can pass along it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1920, 1080
SHORE = 716
"""Row of the waterline."""

PAN = {"sky": 40, "mountains": 80, "hills": 170, "town": 300, "meadow": 760}
"""Pixels that each layer passes while the clip runs."""


# Tools


def _noise(
    chance: np.random.Generator, height: int, width: int, cell: tuple[float, float], octaves: int
) -> NDArray[np.float32]:
    """Fractal noise, 0…1: smooth random grids of halving `cell` (rows, columns) and weight."""
    total = np.zeros((height, width), np.float32)
    weights = 0.0
    for octave in range(octaves):
        rows = max(2, round(height / (cell[0] / 2**octave)) + 2)
        columns = max(2, round(width / (cell[1] / 2**octave)) + 2)
        grid = Image.fromarray(chance.random((rows, columns), dtype=np.float32))
        total += np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
        weights += 1 / 2**octave
    return total / weights


def _ridge(chance: np.random.Generator, width: int, cell: float, octaves: int) -> NDArray[np.float32]:
    return _noise(chance, 2, width, (2, cell), octaves)[0]


def mix(a: NDArray[np.float32], b: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    return a + (b - a) * share[..., None]


def rgb(*values: int) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def rgba(colour: NDArray[np.float32], alpha: NDArray[np.float32]) -> Image.Image:
    stacked = np.concatenate([colour, alpha[..., None] * 255], axis=2)
    return Image.fromarray(stacked.clip(0, 255).astype(np.uint8))


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Aileron Regular by Sora Sagano, released under CC0; Pillow carries it."""
    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


# Layers, far to near


def sky(chance: np.random.Generator) -> Image.Image:
    width = WIDTH + PAN["sky"]
    stops = [
        (0, (34, 52, 104)),
        (300, (92, 106, 164)),
        (500, (206, 150, 154)),
        (640, (250, 188, 128)),
        (720, (255, 214, 150)),
    ]
    rows = np.arange(HEIGHT)
    column = np.stack(
        [np.interp(rows, [s[0] for s in stops], [s[1][c] for s in stops]) for c in range(3)], axis=1
    )
    colour = np.repeat(column[:, None, :], width, axis=1).astype(np.float32)
    y, x = np.mgrid[0:HEIGHT, 0:width].astype(np.float32)
    far = np.hypot(x - 1395, (y - 420) * 1.1)
    glow = np.exp(-((far / 330) ** 1.3))
    colour += glow[..., None] * rgb(120, 78, 20)
    cloud = _noise(chance, HEIGHT, width, (150, 620), 6)
    streak = _noise(chance, HEIGHT, width, (36, 900), 4)
    thick = np.clip((0.62 * cloud + 0.38 * streak - 0.5) * 5.5, 0, 1) * np.clip(1.25 - y / 560, 0, 1)
    lit = np.clip(np.roll(cloud, -14, axis=0) - cloud + 0.5, 0, 1)
    tint = mix(
        rgb(112, 100, 142) + 0 * colour, rgb(255, 196, 160) + 0 * colour, np.clip(lit * 2.4 - 0.75, 0, 1)
    )
    colour = mix(colour, tint, thick * 0.85)
    colour = np.where((far < 46)[..., None], rgb(255, 244, 214), colour)
    return Image.fromarray(colour.clip(0, 255).astype(np.uint8))


def mountains(chance: np.random.Generator) -> Image.Image:
    width = WIDTH + PAN["mountains"]
    skyline = sum(_crests(_ridge(chance, width, 620 / 2**k, 1)) / 2**k for k in range(7)) / 2
    top = 640 - 330 * skyline**1.25
    folds = [_crests(_noise(chance, HEIGHT, width, (150 / 2**k, 84 / 2**k), 1)) / 1.7**k for k in range(6)]
    relief = np.sum(folds, axis=0) / 2.4
    y = np.arange(HEIGHT, dtype=np.float32)[:, None]
    down = y - top[None, :]
    facing = np.roll(relief, (-3, -6), (0, 1)) - np.roll(relief, (3, 6), (0, 1))
    shade = np.clip(0.5 + 1.7 * facing, 0, 1)
    blank = np.zeros((HEIGHT, width, 3), np.float32)
    rock = mix(blank + rgb(58, 60, 98), blank + rgb(176, 138, 140), shade)
    snow = np.clip((110 - down * 0.75 + 150 * (relief - 0.55) - (top[None, :] - 400) * 0.7) / 18, 0, 1)
    white = mix(blank + rgb(126, 136, 190), blank + rgb(255, 230, 214), shade)
    colour = mix(rock, white, snow)
    haze = np.clip((y - 440) / 290, 0, 0.8) + np.zeros_like(down)
    return rgba(mix(colour, blank + rgb(236, 178, 150), haze), np.clip(down / 2 + 0.5, 0, 1))


def _crests[Array: NDArray[np.float32]](noise: Array) -> Array:
    """Sharp maxima where smooth noise passes its middle."""
    return 1 - np.abs(2 * noise - 1)


def hills(chance: np.random.Generator) -> Image.Image:
    width = WIDTH + PAN["hills"]
    layer = Image.new("RGBA", (width, HEIGHT))
    draw = ImageDraw.Draw(layer)
    for depth in range(7):
        near = depth / 6
        crest = 592 + 17 * depth - 70 * _ridge(chance, width, 560, 3) * (1 - 0.5 * near)
        green = tuple(round(a + (b - a) * near) for a, b in zip((126, 108, 118), (42, 58, 50), strict=True))
        draw.polygon([(0, HEIGHT), *((x, crest[x]) for x in range(0, width, 4)), (width, HEIGHT)], fill=green)
        for x in np.sort(chance.uniform(0, width, 150 + 25 * depth)):
            height = chance.uniform(0.7, 1.25) * (26 + 7 * depth)
            _conifer(draw, chance, float(x), float(crest[int(x)]) + 6, height, green)
    return layer


def _conifer(
    draw: ImageDraw.ImageDraw,
    chance: np.random.Generator,
    x: float,
    base: float,
    height: float,
    colour: tuple[int, ...],
) -> None:
    dark = tuple(round(c * chance.uniform(0.66, 0.92)) for c in colour)
    light = tuple(min(255, round(c * 1.3 + 22)) for c in dark)
    for step in range(5):
        y = base - height * step / 6
        half = height * 0.24 * (1 - step / 5.6)
        draw.polygon([(x - half, y), (x, y - height * 0.34), (x + half, y)], fill=dark)
        draw.line([(x + half, y), (x + half * 0.15, y - height * 0.3)], fill=light, width=2)


def town(chance: np.random.Generator) -> Image.Image:
    width = WIDTH + PAN["town"]
    layer = Image.new("RGBA", (width, HEIGHT))
    draw = ImageDraw.Draw(layer)
    bank = 700 - 8 * _ridge(chance, width, 300, 4)
    draw.polygon(
        [(0, HEIGHT), *((x, bank[x]) for x in range(0, width, 4)), (width, HEIGHT)], fill=(46, 50, 44)
    )
    for x in chance.uniform(0, width, 170):
        _conifer(draw, chance, float(x), 702, chance.uniform(34, 78), (44, 62, 50))
    for row, (base, size) in enumerate(((684, 0.8), (704, 1.0))):
        x = 520.0 + 40 * row
        while x < 1620:
            x += _house(draw, chance, x, base, size) + chance.uniform(2, 26)
    _church(draw, 1010, 696)
    _mast(draw, 690, 700)
    poles = [60, 330, 640, 950, 1260, 1570, 1880, 2190]
    for a, b in pairwise(poles):
        for level in (0, 13, 26):
            sag = [(a + (b - a) * k / 24, 556 + level + 46 * (1 - (k / 12 - 1) ** 2)) for k in range(25)]
            draw.line(sag, fill=(52, 48, 56, 255), width=3)
    for x in poles:
        draw.line([(x, 702), (x, 540)], fill=(54, 46, 44, 255), width=7)
        for level in (0, 13, 26):
            draw.line([(x - 19, 556 + level), (x + 19, 556 + level)], fill=(54, 46, 44, 255), width=4)
    for k in range(0, width, 34):  # a quay with its railing
        draw.line([(k, 702), (k, 690)], fill=(120, 104, 92, 255), width=3)
    draw.line([(0, 690), (width, 690)], fill=(150, 128, 108, 255), width=3)
    draw.rectangle([0, 702, width, SHORE + 4], fill=(74, 68, 64, 255))
    for k in range(0, width, 46):
        draw.line([(k + 9 * (k // 46 % 2), 703), (k, SHORE)], fill=(52, 48, 46, 255), width=2)
    return layer


def _house(
    draw: ImageDraw.ImageDraw, chance: np.random.Generator, x: float, base: float, size: float
) -> float:
    wide, high = chance.uniform(64, 120) * size, chance.uniform(52, 104) * size
    walls = [
        (214, 178, 142),
        (196, 150, 120),
        (178, 160, 150),
        (226, 204, 170),
        (150, 122, 116),
        (188, 128, 104),
    ]
    roofs = [(124, 62, 52), (96, 54, 52), (76, 66, 84), (140, 80, 56)]
    wall = walls[int(chance.integers(len(walls)))]
    roof = roofs[int(chance.integers(len(roofs)))]
    top = base - high
    draw.rectangle([x, top, x + wide, base], fill=wall)
    draw.rectangle([x + wide * 0.82, top, x + wide, base], fill=tuple(round(c * 0.78) for c in wall))
    peak = top - chance.uniform(26, 44) * size
    draw.polygon(
        [(x - 7, top + 3), (x + wide * 0.22, peak), (x + wide * 0.78, peak), (x + wide + 7, top + 3)],
        fill=roof,
    )
    for k in range(1, 5):  # tiles
        y = peak + (top - peak) * k / 5
        inset = wide * 0.22 * (1 - k / 5)
        draw.line([(x + inset, y), (x + wide - inset, y)], fill=tuple(round(c * 0.8) for c in roof), width=2)
    draw.rectangle([x + wide * 0.62, peak - 14, x + wide * 0.7, peak + 10], fill=(92, 60, 54))
    columns, rows = max(2, round(wide / 27)), max(1, round(high / 36))
    for row in range(rows):
        for column in range(columns):
            wx, wy = x + wide * (column + 0.5) / columns - 7, top + high * (row + 0.5) / rows - 10
            pane = (255, 214, 122) if chance.random() < 0.55 else (74, 82, 106)
            draw.rectangle([wx - 2, wy - 2, wx + 16, wy + 22], fill=(246, 232, 212))
            draw.rectangle([wx, wy, wx + 14, wy + 20], fill=pane)
            draw.line([(wx + 7, wy), (wx + 7, wy + 20)], fill=(246, 232, 212), width=2)
            draw.line([(wx, wy + 9), (wx + 14, wy + 9)], fill=(246, 232, 212), width=2)
    return wide


def _church(draw: ImageDraw.ImageDraw, x: float, base: float) -> None:
    draw.rectangle([x, base - 215, x + 66, base], fill=(222, 198, 168))
    draw.rectangle([x + 50, base - 215, x + 66, base], fill=(176, 148, 128))
    draw.polygon([(x - 6, base - 213), (x + 33, base - 345), (x + 72, base - 213)], fill=(88, 98, 96))
    draw.polygon([(x + 33, base - 345), (x + 72, base - 213), (x + 46, base - 213)], fill=(66, 74, 78))
    draw.line([(x + 33, base - 345), (x + 33, base - 372)], fill=(236, 206, 120), width=3)
    draw.line([(x + 24, base - 362), (x + 42, base - 362)], fill=(236, 206, 120), width=3)
    draw.ellipse(
        [x + 11, base - 190, x + 55, base - 146], fill=(250, 244, 226), outline=(90, 70, 56), width=3
    )
    for k in range(12):
        angle = math.tau * k / 12
        sx, sy = math.sin(angle), math.cos(angle)
        centre = (x + 33, base - 168)
        draw.line(
            [(centre[0] + 15 * sx, centre[1] - 15 * sy), (centre[0] + 19 * sx, centre[1] - 19 * sy)],
            fill=(60, 46, 40),
            width=2,
        )
    draw.line([(x + 33, base - 168), (x + 33, base - 183)], fill=(40, 32, 30), width=3)
    draw.line([(x + 33, base - 168), (x + 43, base - 162)], fill=(40, 32, 30), width=3)
    for k in range(3):
        draw.arc(
            [x + 22, base - 120 + 36 * k, x + 44, base - 98 + 36 * k], 180, 360, fill=(60, 48, 46), width=3
        )
        draw.rectangle([x + 22, base - 109 + 36 * k, x + 44, base - 92 + 36 * k], fill=(255, 206, 112))


def _mast(draw: ImageDraw.ImageDraw, x: float, base: float) -> None:
    """A lattice mast: what aliasing loves."""
    high, steel = 400, (70, 62, 72)
    left = [(x - 36 + 31 * k / 16, base - high * k / 16) for k in range(17)]
    right = [(x + 36 - 31 * k / 16, base - high * k / 16) for k in range(17)]
    draw.line(left, fill=steel, width=5)
    draw.line(right, fill=steel, width=5)
    for k in range(16):
        draw.line([left[k], right[k + 1]], fill=steel, width=3)
        draw.line([right[k], left[k + 1]], fill=steel, width=3)
        draw.line([left[k], right[k]], fill=steel, width=3)
    draw.line([(x, base - high), (x, base - high - 60)], fill=steel, width=4)
    for side in (-1, 1):
        draw.line([(x, base - high + 20), (x + side * 190, base)], fill=(84, 76, 84), width=2)


def meadow(chance: np.random.Generator) -> Image.Image:
    width = WIDTH + PAN["meadow"]
    layer = Image.new("RGBA", (width, HEIGHT))
    draw = ImageDraw.Draw(layer)
    edge = 1010 - 46 * _ridge(chance, width, 620, 3)
    draw.polygon(
        [(0, HEIGHT), *((x, edge[x]) for x in range(0, width, 4)), (width, HEIGHT)], fill=(52, 62, 34)
    )
    for x in chance.uniform(0, width, 5200):
        y = edge[int(x)] + chance.uniform(0, 110)
        tall, lean = chance.uniform(16, 52), chance.uniform(-14, 14)
        tone = chance.uniform(0.75, 1.7)
        draw.line([(x, y), (x + lean, y - tall)], fill=tuple(round(c * tone) for c in (66, 78, 36)), width=3)
    for x in chance.uniform(0, width, 150):
        y = edge[int(x)] + chance.uniform(-30, 60)
        petals = [(240, 226, 190), (232, 168, 84), (206, 110, 138)][int(chance.integers(3))]
        draw.line([(x, y), (x, y + 40)], fill=(70, 86, 40), width=3)
        for k in range(5):
            px, py = x + 8 * math.sin(k * 1.257), y - 8 * math.cos(k * 1.257)
            draw.ellipse([px - 5, py - 5, px + 5, py + 5], fill=petals)
        draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=(150, 100, 30))
    _sign(layer, 1270, 838)
    return layer


def _sign(layer: Image.Image, x: int, y: int) -> None:
    draw = ImageDraw.Draw(layer)
    for post in (x + 54, x + 420):
        draw.rectangle([post, y - 26, post + 26, y + 300], fill=(96, 66, 44))
        draw.line([(post + 21, y - 26), (post + 21, y + 300)], fill=(70, 46, 32), width=5)
    chance = np.random.default_rng(7)
    for plank in range(4):
        top = y + plank * 46
        draw.rectangle([x, top, x + 500, top + 44], fill=(176, 126, 80))
        for _ in range(16):  # grain
            gy, gx = top + chance.uniform(3, 41), x + chance.uniform(0, 300)
            draw.line(
                [(gx, gy), (gx + chance.uniform(60, 200), gy + chance.uniform(-2, 2))],
                fill=(150, 102, 62),
                width=2,
            )
        draw.line([(x, top + 44), (x + 500, top + 44)], fill=(92, 60, 38), width=3)
    draw.text((x + 250, y + 6), "Paragon Lake", font=font(74), fill=(58, 34, 22), anchor="mt")
    draw.text(
        (x + 250, y + 92), "elevation 1,920 m  ·  depth 270 m", font=font(29), fill=(66, 40, 26), anchor="mt"
    )
    draw.text(
        (x + 250, y + 140),
        "boats  ·  fresh fish  ·  no reflections after 10 pm",
        font=font(20),
        fill=(66, 40, 26),
        anchor="mt",
    )


def reeds(chance: np.random.Generator) -> list[tuple[float, ...]]:
    made = []
    for centre, spread, count, tall in (
        (120, 130, 46, 420),
        (700, 90, 26, 270),
        (2300, 170, 60, 400),
        (2620, 90, 34, 460),
    ):
        for _ in range(count):
            x = chance.normal(centre, spread)
            height = tall * chance.uniform(0.45, 1.0)
            lean = chance.normal(0, 0.12) * height
            made.append(
                (
                    x,
                    1085.0,
                    height,
                    lean,
                    chance.uniform(0, 6.3),
                    chance.uniform(0.6, 1.35),
                    float(chance.random() < 0.2),
                )
            )
    return sorted(made, key=lambda reed: reed[5])
