"""Generated drawings: line art, cel shading, flat vector shapes, text and screens.

Photographs have few lines of constant width on a flat background, and weights trained only on them produce
halos and stair steps around such lines. A drawing is a pure function of its number and size. It is rendered
`OVERSAMPLING` times as large and averaged down, as renderers of vector graphics do.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

OVERSAMPLING = 4
WORDS = (
    *("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "it", "rains"),
    *("Yes!", "No?", "Wait...", "What", "is", "it?", "We", "have", "to", "go", "now.", "(door", "opens)"),
    *("File", "Edit", "View", "Help", "OK", "Cancel", "0123456789", "-", "I", "see"),
)

type Rng = np.random.Generator
type Colour = tuple[int, int, int]
type Points = list[tuple[float, float]]

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)


def draw_picture(number: int, side: int) -> NDArray[np.uint8]:
    """Drawing `number`: side² RGB, 8-bit."""
    rng = np.random.default_rng([number, 77])
    large = side * OVERSAMPLING
    image = Image.new("RGB", (large, large), _ground(rng))
    scenes: tuple[Callable[[Image.Image, Rng], None], ...] = (_cartoon, _shapes, _page, _screen)
    scenes[number % len(scenes)](image, rng)
    if rng.random() < 0.35:
        _subtitle(image, rng)
    small = np.asarray(image, np.float32).reshape(side, OVERSAMPLING, side, OVERSAMPLING, 3).mean((1, 3))
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def _ground(rng: Rng) -> Colour:
    return WHITE if rng.random() < 0.3 else _colour(rng, light=float(rng.uniform(0.4, 1)))


def _colour(rng: Rng, *, light: float | None = None) -> Colour:
    """A colour; saturated ones and grays both occur."""
    value = float(rng.uniform(0.1, 1)) if light is None else light
    saturation = float(rng.choice([0.0, 0.4, 0.8, 1.0])) * float(rng.uniform(0.5, 1))
    red, green, blue = colorsys.hsv_to_rgb(float(rng.random()), saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _line_colour(rng: Rng) -> Colour:
    """Mostly black: ink."""
    return BLACK if rng.random() < 0.7 else _colour(rng, light=float(rng.uniform(0, 0.4)))


def _curve(rng: Rng, size: int, *, closed: bool, reach: float) -> Points:
    """A smooth curve through random points around a random place (Catmull-Rom)."""
    centre = rng.uniform(0, size, 2)
    count = int(rng.integers(4, 9))
    if closed:
        angles = np.sort(rng.uniform(0, 2 * np.pi, count))
        radii = reach * rng.uniform(0.4, 1, count)
        knots = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        ring = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        steps = rng.normal(0, reach / 2, (count, 2))
        ring = centre + np.cumsum(steps, 0)
    t = np.linspace(0, 1, 24, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(ring, ring[1:], ring[2:], ring[3:], strict=False):
        cubic = 3 * (b - c) + d - a
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + cubic * t**3))
    return [(float(x), float(y)) for x, y in np.concatenate(pieces)]


def _pen(rng: Rng) -> int:
    """A line's width, in oversampled pixels: 0.6 … 5 pixels of the picture, thin ones more often."""
    return max(2, round(OVERSAMPLING * 0.6 * 8 ** float(rng.random() ** 1.5)))


def _outline(draw: ImageDraw.ImageDraw, points: Points, colour: Colour, width: int) -> None:
    draw.line([*points, points[0]], fill=colour, width=width, joint="curve")


def _cartoon(image: Image.Image, rng: Rng) -> None:
    """Cel shading: flat areas with a shadow of the same hue, ink around them, free lines, hatching."""
    draw, size = ImageDraw.Draw(image), image.width
    ink, pen = _line_colour(rng), _pen(rng)
    if rng.random() < 0.5:
        _gradient(image, rng)
    for _ in range(int(rng.integers(6, 16))):
        colour, reach = _colour(rng), float(rng.uniform(0.06, 0.35)) * size
        points = _curve(rng, size, closed=True, reach=reach)
        draw.polygon(points, fill=colour)
        mask = Image.new("1", image.size)
        ImageDraw.Draw(mask).polygon(points, fill=1)
        shadow = _curve(rng, size, closed=True, reach=reach)
        shift = np.array(points[0]) - np.array(shadow[0])
        lower = Image.new("1", image.size)
        ImageDraw.Draw(lower).polygon([(x + shift[0], y + shift[1]) for x, y in shadow], fill=1)
        both = Image.fromarray(np.asarray(mask) & np.asarray(lower))
        image.paste(tuple(round(0.7 * c) for c in colour), (0, 0), both)
        if rng.random() < 0.85:
            _outline(draw, points, ink, pen)
    for _ in range(int(rng.integers(5, 25))):
        points = _curve(rng, size, closed=False, reach=float(rng.uniform(0.03, 0.3)) * size)
        draw.line(points, fill=ink, width=_pen(rng), joint="curve")
    if rng.random() < 0.5:
        _hatch(image, rng, ink)


def _shapes(image: Image.Image, rng: Rng) -> None:
    """Vector clip art: polygons, ellipses, stars, grids of dots (screentone), with and without outlines."""
    draw, size = ImageDraw.Draw(image), image.width
    for _ in range(int(rng.integers(10, 30))):
        x, y, w, h = (float(v) for v in rng.uniform([0, 0, 0.03, 0.03], [1, 1, 0.4, 0.4]) * size)
        line = _line_colour(rng) if rng.random() < 0.6 else None
        width, colour = (_pen(rng) if line else 0), _colour(rng)
        match int(rng.integers(4)):
            case 0:
                draw.ellipse((x, y, x + w, y + h), fill=colour, outline=line, width=width)
            case 1:
                draw.rounded_rectangle((x, y, x + w, y + h), 0.2 * min(w, h), colour, line, width)
            case 2:
                count = 2 * int(rng.integers(2, 8))
                angles = np.arange(count) * 2 * np.pi / count + rng.uniform(0, 6)
                radii = w / 2 * np.where(np.arange(count) % 2, rng.uniform(0.3, 1), 1.0)
                corners = zip(x + radii * np.cos(angles), y + radii * np.sin(angles), strict=True)
                points = [(float(a), float(b)) for a, b in corners]
                draw.polygon(points, fill=colour)
                if line:
                    _outline(draw, points, line, width)
            case _:
                draw.line((x, y, x + w, y - h), fill=colour, width=_pen(rng))
    if rng.random() < 0.6:
        _screentone(draw, rng, size)
    if rng.random() < 0.5:
        _hatch(image, rng, _line_colour(rng))


def _page(image: Image.Image, rng: Rng) -> None:
    """Text of many sizes, dark on light or light on dark."""
    draw, size = ImageDraw.Draw(image), image.width
    image.paste(WHITE if rng.random() < 0.5 else _colour(rng), (0, 0, size, size))
    dark = sum(image.getpixel((0, 0))) < 380  # type: ignore[arg-type, misc]
    colour = WHITE if dark else _line_colour(rng)
    y = 0.0
    while y < size:
        height = OVERSAMPLING * float(rng.uniform(9, 13) if rng.random() < 0.5 else rng.uniform(12, 48))
        draw.text((float(rng.uniform(-0.1, 0.1)) * size, y), _words(rng, 20), colour, _font(height))
        y += 1.3 * height
        if rng.random() < 0.1:
            colour = WHITE if dark else _colour(rng, light=0.4)
            draw.line((0, y, size, y), fill=colour, width=_pen(rng))


def _screen(image: Image.Image, rng: Rng) -> None:
    """Windows, frames of one pixel, buttons, small text, diagrams."""
    draw, size = ImageDraw.Draw(image), image.width
    pixel = OVERSAMPLING
    for _ in range(int(rng.integers(4, 10))):
        x, y = (int(v) // pixel * pixel for v in rng.uniform(-0.1, 0.7, 2) * size)
        w, h = (int(v) // pixel * pixel for v in rng.uniform(0.25, 0.7, 2) * size)
        ground = WHITE if rng.random() < 0.4 else _colour(rng)
        ink = WHITE if sum(ground) < 380 else BLACK
        draw.rectangle((x, y, x + w - 1, y + h - 1), fill=ground, outline=ink, width=pixel)
        bar = 18 * pixel
        draw.rectangle((x, y, x + w - 1, y + bar), fill=_colour(rng), outline=ink, width=pixel)
        draw.text((x + 4 * pixel, y + 3 * pixel), _words(rng, 3), WHITE, _font(12 * pixel))
        row = y + bar + 4 * pixel
        while row < y + h - 16 * pixel:
            draw.text((x + 6 * pixel, row), _words(rng, 3), ink, _font(float(rng.uniform(10, 14)) * pixel))
            row += 17 * pixel
        if rng.random() < 0.6:
            steps = np.cumsum(rng.normal(0, 0.04 * h, 24))
            places = zip(np.linspace(x, x + w, 24), y + h / 2 + steps, strict=True)
            draw.line([(float(a), float(b)) for a, b in places], fill=_colour(rng), width=_pen(rng))


def _subtitle(image: Image.Image, rng: Rng) -> None:
    """White or yellow text with a dark edge, as players draw it."""
    size = image.width
    height = OVERSAMPLING * float(rng.uniform(14, 30))
    fill: Colour = WHITE if rng.random() < 0.7 else (255, 255, 0)
    place = float(rng.uniform(-0.1, 0.2)) * size, float(rng.uniform(0.1, 0.9)) * size
    edge = max(OVERSAMPLING, round(height / 14))
    ImageDraw.Draw(image).text(
        place, _words(rng, 8), fill, _font(height), stroke_width=edge, stroke_fill=BLACK
    )


def _gradient(image: Image.Image, rng: Rng) -> None:
    """A sky: two colours from top to bottom."""
    size = image.width
    top, bottom = np.array(_colour(rng)), np.array(_colour(rng))
    share = np.linspace(0, 1, size)[:, None]
    column = np.rint(top + (bottom - top) * share).astype(np.uint8)[:, None]
    image.paste(Image.fromarray(np.broadcast_to(column, (size, size, 3)).copy()))


def _hatch(image: Image.Image, rng: Rng, ink: Colour) -> None:
    """Parallel lines within a closed curve."""
    size = image.width
    layer = Image.new("RGB", image.size, ink)
    ground = Image.new("1", image.size)
    draw, slope, step = ImageDraw.Draw(ground), float(rng.uniform(-2, 2)), OVERSAMPLING * rng.uniform(3, 9)
    for x in np.arange(-3 * size, 3 * size, step):
        draw.line((float(x), 0, float(x) + slope * size, size), fill=1, width=OVERSAMPLING)
    area = Image.new("1", image.size)
    curve = _curve(rng, size, closed=True, reach=float(rng.uniform(0.1, 0.4)) * size)
    ImageDraw.Draw(area).polygon(curve, fill=1)
    image.paste(layer, (0, 0), Image.fromarray(np.asarray(ground) & np.asarray(area)))


def _screentone(draw: ImageDraw.ImageDraw, rng: Rng, size: int) -> None:
    """A grid of dots that grow along one axis."""
    step = OVERSAMPLING * float(rng.uniform(4, 10))
    left, top = (float(v) for v in rng.uniform(0, 0.6, 2) * size)
    count, ink = int(rng.integers(8, 30)), _line_colour(rng)
    for row in range(count):
        radius = step * (0.1 + 0.45 * row / count)
        for column in range(count):
            x, y = left + step * (column + 0.5 * (row % 2)), top + step * row
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)


def _words(rng: Rng, count: int) -> str:
    return " ".join(str(word) for word in rng.choice(WORDS, count))


def _font(height: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which every installation has."""
    return ImageFont.load_default(size=height)
