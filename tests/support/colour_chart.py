"""A colour chart of known values: patches, ramps and zone plates, in RGB and as codes of any format.

The formulas stand here once more (H.273, equations 20 to 44), so that no constant of the package is trusted.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from clips import Tags, make_frame
from numpy.typing import NDArray

type Array = NDArray[np.float64]

KR_KB = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""Luma weights of red and blue by H.273 number of the matrix."""

SITES = {1: (0, 0.5), 2: (0.5, 0.5), 3: (0, 0), 4: (0.5, 0), 5: (0, 1), 6: (0.5, 1)}
"""Chroma location → where the first chroma sample of 2:1 sits, right of and below the first luma sample."""

PATCH = 24
PATCHES = (
    *((1, 1, 1), (0, 0, 0), (0.5, 0.5, 0.5), (1, 0, 0), (0, 1, 0), (0, 0, 1)),
    *((0, 1, 1), (1, 0, 1), (1, 1, 0), (0.75, 0.56, 0.45), (0.2, 0.3, 0.5), (0.1, 0.35, 0.12)),
)
"""R'G'B', row by row."""

WIDTH, RAMP, ZONE = 6 * PATCH, 16, 40
RAMPS = 2 * PATCH
HEIGHT = RAMPS + 3 * RAMP + ZONE


def chart() -> Array:
    """R'G'B' (height, width, 3): patches, a gray ramp that leaves 0…1, two of colours, zone plates."""
    picture = np.zeros((HEIGHT, WIDTH, 3))
    for index, rgb in enumerate(PATCHES):
        row, column = divmod(index, 6)
        picture[patch(row, column)] = rgb
    along = np.linspace(0, 1, WIDTH)[None, :, None]
    for index, (first, last) in enumerate(
        [((-0.05,) * 3, (1.05,) * 3), ((1, 0, 0), (0, 0, 1)), ((0, 1, 0), (1, 0, 1))]
    ):
        rows = slice(RAMPS + index * RAMP, RAMPS + (index + 1) * RAMP)
        picture[rows] = np.array(first) * (1 - along) + np.array(last) * along
    y, x = np.mgrid[0:ZONE, 0:WIDTH].astype(float)
    half = WIDTH // 2
    for left, colour in ((0, (1, 1, 1)), (half, (0.2, 1, 0.6))):
        square = (x - left - half / 2) ** 2 + (y - ZONE / 2) ** 2
        wave = 0.5 + 0.4 * np.cos(np.pi * square / (2 * half))
        inside = (x >= left) & (x < left + half)
        zone = picture[RAMPS + 3 * RAMP :]
        zone[inside] = (wave[..., None] * np.array(colour))[inside]
    return picture


def patch(row: int, column: int, *, margin: int = 0, scale: int = 1) -> tuple[slice, slice]:
    """Rows and columns of a patch in luma samples, without `margin` samples of its border."""
    return tuple(
        slice(scale * (n * PATCH + margin), scale * ((n + 1) * PATCH - margin)) for n in (row, column)
    )


def levels(depth: int, full: bool) -> tuple[float, float, float, float]:
    """Black, luma span, chroma zero, chroma span (H.273, equations 20 to 37)."""
    unit = 2.0 ** (depth - 8)
    if full:
        return 0.0, 256 * unit - 1, 128 * unit, 256 * unit - 1
    return 16 * unit, 219 * unit, 128 * unit, 224 * unit


def to_codes(rgb: Array, tags: Tags, depth: int) -> list[Array]:
    """Y, U and V as unrounded code values, all at full resolution."""
    black, luma_span, zero, chroma_span = levels(depth, tags.range == 2)
    kr, kb = KR_KB[tags.matrix]
    r, g, b = np.moveaxis(rgb, -1, 0)
    y = kr * r + (1 - kr - kb) * g + kb * b
    u, v = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    return [black + luma_span * y, zero + chroma_span * u, zero + chroma_span * v]


def planes(rgb: Array, pix_fmt: str, tags: Tags) -> tuple[NDArray, ...]:
    """`rgb` as planes of a planar format; chroma is the mean of the luma samples that it covers."""
    height, width = rgb.shape[:2]
    fmt = av.VideoFormat(pix_fmt, width, height)
    depth = fmt.components[0].bits
    kind, peak = (np.uint16 if depth > 8 else np.uint8), 2**depth - 1
    if fmt.is_rgb:
        values = [rgb[..., c] * peak for c in (1, 2, 0)]
    else:
        values = to_codes(rgb, tags, depth)[: len(fmt.components)]
    found = []
    for component, value in zip(fmt.components, values, strict=True):
        down, across = height // component.height, width // component.width
        mean = value.reshape(component.height, down, component.width, across).mean(axis=(1, 3))
        found.append(np.clip(np.rint(mean), 0, peak).astype(kind))
    return tuple(found)


def write_clip(
    path: Path,
    frame: tuple[NDArray, ...],
    pix_fmt: str,
    tags: Tags,
    codec: str = "ffv1",
    options: dict[str, str] | None = None,
) -> Path:
    """`frame`, twice, in a lossless clip."""
    lossless = {"libx264": {"qp": "0", "preset": "ultrafast"}}
    if codec == "libx265":
        options = {"x265-params": "lossless=1:log-level=none:bframes=0", "preset": "ultrafast"}
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options or lossless.get(codec, {}))
        stream.height, stream.width = frame[0].shape
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        context.thread_count = 1
        context.colorspace, context.color_range = tags.matrix, tags.range
        context.color_trc, context.color_primaries = tags.transfer, tags.primaries
        context.chroma_sample_location = tags.chroma_location
        for index in range(2):
            made = make_frame(frame, pix_fmt)
            made.colorspace, made.color_range = tags.matrix, tags.range
            made.pts, made.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(made))
        out.mux(stream.encode(None))
    return path


def read_tags(path: Path) -> Tags:
    """The colour tags of the first frame, as players read them."""
    with av.open(str(path)) as file:
        context = file.streams.video[0].codec_context
        frame = next(file.decode(video=0))
        return Tags(
            matrix=frame.colorspace,
            range=frame.color_range,
            transfer=frame.color_trc,
            primaries=frame.color_primaries,
            chroma_location=frame.chroma_location or context.chroma_sample_location,
        )
