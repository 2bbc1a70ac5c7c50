"""The picture of the sample clip: an evening at a lake, drawn from nothing but numbers.

Everything is painted at 1920×1080 in layers that pass at different speeds; `make_sample.py` filters it down
to the clip's 480×270. Fine lines, lettering, stripes, foliage and water are there to be upscaled.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from sample_layers import (
    HEIGHT,
    PAN,
    SHORE,
    WIDTH,
    font,
    hills,
    meadow,
    mix,
    mountains,
    reeds,
    rgb,
    rgba,
    sky,
    town,
)

SECONDS = 7.0

type Picture = NDArray[np.uint8]


class Scene:
    """`frame(t)` paints the moment `t` (seconds, 0…7) as H×W×3 RGB. The same numbers in every run."""

    def __init__(self) -> None:
        chance = np.random.default_rng(270)
        self._sky = sky(chance)
        self._mountains = mountains(chance)
        self._hills = hills(chance)
        self._town = town(chance)
        self._meadow = meadow(chance)
        self._reeds = reeds(chance)
        self._boat = _boat()
        self._flock = chance.uniform(-1, 1, (9, 3))
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        distance = np.hypot((x - 960) / 1150, (y - 560) / 760)
        self._vignette = (256 * np.clip(1.06 - 0.22 * distance**2, 0, 1)).astype(np.uint16)[..., None]

    def frame(self, t: float) -> Picture:
        passed = t / SECONDS
        canvas = _window(self._sky, passed * PAN["sky"]).convert("RGB")
        _paint(canvas, _window(self._mountains, passed * PAN["mountains"]))
        self._birds(canvas, t)
        _balloon(canvas, t)
        _turbines(canvas, t, passed * PAN["hills"])
        _paint(canvas, _window(self._hills, passed * PAN["hills"]))
        _paint(canvas, _window(self._town, passed * PAN["town"]))
        _beacon(canvas, t, passed * PAN["town"])
        canvas = Image.fromarray(_water(np.asarray(canvas), t))
        self._sail(canvas, t)
        near = passed * PAN["meadow"]
        _paint(canvas, _window(self._meadow, near))
        self._sway(canvas, t, near)
        return (np.asarray(canvas).astype(np.uint16) * self._vignette >> 8).clip(0, 255).astype(np.uint8)

    def _birds(self, canvas: Image.Image, t: float) -> None:
        draw = ImageDraw.Draw(canvas)
        for number, (dx, dy, phase) in enumerate(self._flock):
            x = 1180 - 75 * t + dx * 150
            y = 190 + dy * 55 + 6 * math.sin(t + phase * 3) + abs(dx) * 40
            flap = 11 * math.sin(t * 7.5 + phase * 6)
            span = 17 + number % 3 * 3
            points = [(x - span, y - flap), (x - span * 0.4, y - 5), (x, y), (x + span * 0.4, y - 5)]
            draw.line([*points, (x + span, y - flap)], fill=(44, 44, 66), width=4, joint="curve")

    def _sail(self, canvas: Image.Image, t: float) -> None:
        x, y = 980 + 22 * t, 560 + 3 * math.sin(t * 1.7)
        boat = self._boat.rotate(1.6 * math.sin(t * 1.3), Image.Resampling.BICUBIC, center=(130, 250))
        mirrored = np.asarray(boat.transpose(Image.Transpose.FLIP_TOP_BOTTOM)).copy()
        rows = np.arange(mirrored.shape[0])
        for row, shift in zip(rows, 5 * np.sin(rows / 5.5 + t * 4) * (rows / 150 + 0.3), strict=True):
            mirrored[row] = np.roll(mirrored[row], round(float(shift)), axis=0)
        fade = np.clip(0.5 - rows / 620, 0, 1)[:, None]
        mirrored[..., 3] = (mirrored[..., 3] * fade).astype(np.uint8)
        _paint(canvas, Image.fromarray(mirrored), round(x), round(y) + 246)
        _paint(canvas, boat, round(x), round(y))

    def _sway(self, canvas: Image.Image, t: float, near: float) -> None:
        draw = ImageDraw.Draw(canvas)
        for x0, y0, height, lean, phase, shade, head in self._reeds:
            x = x0 - near
            if not -120 < x < WIDTH + 120:
                continue
            bend = lean + (0.06 * math.sin(t * 1.25 + phase) + 0.03 * math.sin(t * 2.9 + phase * 2)) * height
            colour = tuple(int(c * shade) for c in (88, 104, 52))
            middle = (x + bend * 0.35, y0 - height * 0.55)
            tip = (x + bend, y0 - height)
            wide = 5 + height / 90
            draw.polygon([(x - wide, y0), (middle[0] - wide * 0.7, middle[1]), tip,
                          (middle[0] + wide * 0.7, middle[1]), (x + wide, y0)], fill=colour)  # fmt: skip
            draw.line([(x, y0), middle, tip], fill=tuple(min(255, c + 34) for c in colour), width=2)
            if head:
                top = (tip[0] + bend * 0.02, tip[1])
                draw.line([top, (top[0] - bend * 0.1, top[1] + 62)], fill=(96, 60, 34), width=15)
                draw.line([top, (top[0] - bend * 0.08, top[1] + 50)], fill=(142, 92, 52), width=4)


def _window(strip: Image.Image, left: float) -> Image.Image:
    at = round(left)
    return strip.crop((at, 0, at + WIDTH, HEIGHT))


def _paint(canvas: Image.Image, layer: Image.Image, x: int = 0, y: int = 0) -> None:
    canvas.paste(layer, (x, y), layer)


# Things that move


def _balloon(canvas: Image.Image, t: float) -> None:
    radius, x0, y0 = 128, 470 + 15 * t, 300 - 9 * t
    y, x = np.mgrid[-radius - 2 : radius + 90, -radius - 2 : radius + 3].astype(np.float32)
    profile = np.where(
        y < 0,
        np.sqrt(np.clip(1 - (y / radius) ** 2, 0, 1)),
        np.clip(1 - 0.78 * (np.maximum(y, 0) / (radius + 62)) ** 1.7, 0, 1),
    )
    half = np.maximum(profile * radius, 1e-3)
    inside = (np.abs(x) < half) & (y < radius + 62)
    around = np.arcsin(np.clip(x / half, -1, 1))
    gore = np.floor((around + 0.16 * t) / math.pi * 16).astype(int)
    palette = np.array([(206, 56, 48), (248, 226, 182), (44, 92, 140), (248, 226, 182)], np.float32)
    colour = palette[gore % 4]
    band = (y > -16) & (y < 40)
    checks = (gore + np.floor(y / 14).astype(int)) % 2
    colour = np.where(
        band[..., None], np.where(checks[..., None] == 0, rgb(236, 164, 58), rgb(86, 40, 66)), colour
    )
    light = 0.62 + 0.5 * np.cos(around - 0.7) * np.clip(1.05 - 0.25 * (y / radius), 0, 1.2)
    alpha = np.clip(half - np.abs(x), 0, 1) * inside
    _paint(
        canvas,
        rgba(colour * np.clip(light, 0.35, 1.15)[..., None], alpha),
        round(x0) - radius - 2,
        round(y0) - radius - 2,
    )
    draw = ImageDraw.Draw(canvas)
    bottom, basket = y0 + radius + 60, y0 + radius + 112
    for side in (-1, -0.35, 0.35, 1):
        draw.line([(x0 + side * 44, bottom), (x0 + side * 19, basket)], fill=(70, 52, 46), width=2)
    draw.rectangle([x0 - 22, basket, x0 + 22, basket + 30], fill=(128, 86, 50))
    for k in range(4):
        draw.line([(x0 - 22, basket + 6 + 7 * k), (x0 + 22, basket + 6 + 7 * k)], fill=(92, 58, 34), width=2)


def _turbines(canvas: Image.Image, t: float, passed: float) -> None:
    draw = ImageDraw.Draw(canvas)
    for number, (x0, y0, size) in enumerate(((330, 520, 1.0), (206, 540, 0.8), (1860, 512, 1.05))):
        x = x0 - passed
        draw.polygon(
            [(x - 5 * size, 660), (x - 2.5 * size, y0), (x + 2.5 * size, y0), (x + 5 * size, 660)],
            fill=(236, 226, 224),
        )
        for blade in range(3):
            angle = math.tau * blade / 3 + t * 1.15 + number * 0.7
            ux, uy = math.sin(angle), -math.cos(angle)
            reach = 96 * size
            root = 20 * size
            draw.polygon(
                [
                    (x, y0),
                    (x + ux * root - uy * 6 * size, y0 + uy * root + ux * 6 * size),
                    (x + ux * reach, y0 + uy * reach),
                    (x + ux * root + uy * 3 * size, y0 + uy * root - ux * 3 * size),
                ],
                fill=(246, 238, 236),
            )
        draw.ellipse([x - 6 * size, y0 - 6 * size, x + 6 * size, y0 + 6 * size], fill=(210, 200, 204))


def _beacon(canvas: Image.Image, t: float, passed: float) -> None:
    if math.sin(t * math.tau * 0.8) > 0:
        x, y = 690 - passed, 238
        ImageDraw.Draw(canvas).ellipse([x - 8, y - 8, x + 8, y + 8], fill=(255, 72, 56))


def _boat() -> Image.Image:
    boat = Image.new("RGBA", (300, 280))
    draw = ImageDraw.Draw(boat)
    draw.polygon([(20, 222), (284, 214), (252, 258), (52, 258)], fill=(238, 232, 222))
    draw.polygon([(24, 226), (282, 219), (278, 225), (27, 233)], fill=(178, 44, 46))
    draw.polygon([(40, 248), (262, 245), (252, 258), (52, 258)], fill=(40, 60, 96))
    draw.line([(132, 224), (132, 6)], fill=(92, 66, 46), width=6)
    draw.polygon([(138, 16), (138, 206), (252, 206)], fill=(252, 246, 232))
    draw.polygon([(126, 34), (126, 208), (36, 212)], fill=(236, 220, 200))
    for k in range(1, 6):
        y = 16 + 190 * k / 6
        draw.line([(138, y), (138 + 114 * k / 6, y)], fill=(206, 194, 178), width=2)
    for a, b in (
        ((132, 6), (282, 214)),
        ((132, 6), (22, 222)),
        ((132, 60), (84, 228)),
        ((132, 60), (184, 226)),
    ):
        draw.line([a, b], fill=(66, 58, 56), width=2)
    draw.text((172, 150), "2x", font=font(44), fill=(178, 44, 46), anchor="mm")
    draw.text((152, 240), "PARAGON", font=font(17), fill=(40, 60, 96), anchor="mm")
    return boat.filter(ImageFilter.SMOOTH)


def _water(picture: Picture, t: float) -> Picture:
    """The lower part: what stands above the shore, mirrored, broken by waves, darkened, with glints."""
    out = picture.copy()
    depth = np.arange(HEIGHT - SHORE, dtype=np.float32)[:, None]
    x = np.arange(WIDTH, dtype=np.float32)[None, :]
    scale = 1 + depth / 34
    wave = (
        np.sin(depth / scale * 5.2 - t * 2.6 + x / 210)
        + 0.6 * np.sin(depth / scale * 9.1 + t * 3.4 - x / 96)
        + 0.5 * np.sin(x / 31 + depth / 3.5 + t * 2.2)
    )
    rise = (0.8 + depth / 26) * wave
    rows = np.clip(SHORE - 2 - depth * 1.35 + rise * 1.8, 0, SHORE - 1).astype(np.int32)
    columns = np.clip(x + rise * 0.7, 0, WIDTH - 1).astype(np.int32)
    mirrored = picture[rows, columns].astype(np.float32)
    share = np.clip(0.2 + depth / 520, 0, 0.62)
    deep = rgb(34, 58, 84) + np.zeros_like(mirrored)
    mixed = mix(mirrored * 0.9, deep, share + 0 * x)
    glint = np.clip(wave - 1.45, 0, 1) * np.exp(-(((x - 1370) / (150 + depth * 0.9)) ** 2))
    mixed += glint[..., None] * rgb(255, 196, 120) * 0.9
    crest = np.clip(wave - 1.55, 0, 1) * 0.35
    mixed += crest[..., None] * rgb(150, 150, 170)
    out[SHORE:] = mixed.clip(0, 255).astype(np.uint8)
    return out
