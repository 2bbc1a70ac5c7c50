"""Pictures of any size, one after another: tile by tile, so that memory and compiling stay bounded.

A tile with enough context around it gives the same samples as the whole picture, so seams do not exist.
Tiles are squares of `TILE` samples; smaller pictures are one tile, its sides rounded up to `GRAIN` by
repeating the last row and column, which is what a frame job does at every edge anyway. So a folder of
photographs of all sizes is served by one compiled session, and one of icons by few.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint import Weights
from paragon_stream.frame import PIXEL_FORMATS, ColorSpec, Family, FrameFormat, Layout, PixelFormat
from paragon_stream.framejob import allocate_planes
from paragon_stream.upscaler import Upscaler, UpscalerOptions

type Array = NDArray[Any]

TILE = 640
"""Source samples along a tile's side: a whole number of grains."""
GRAIN = 64
"""Tiles' sides are multiples of this, so that every chroma grid of every format begins with the tile."""
SESSIONS = 4
"""Compiled sessions kept, the longest unused given up first."""


class Span(NamedTuple):
    """A tile along one axis: where it begins, and the samples [first, last) that it answers for."""

    begin: int
    first: int
    last: int


def side(size: int, tile: int = TILE) -> int:
    """How long the tiles of a picture of `size` samples are."""
    return min(tile, -(-size // GRAIN) * GRAIN)


def spans(size: int, tile: int, margin: int) -> list[Span]:
    """How tiles of `side(size, tile)` with `margin` samples of context cover `size` samples."""
    last_begin = -(-size // GRAIN) * GRAIN - side(size, tile)
    found: list[Span] = []
    begin = first = 0
    while True:
        last = size if begin >= last_begin else begin + tile - margin
        found.append(Span(begin, first, last))
        if last == size:
            return found
        begin, first = min(last - margin, last_begin), last


class PictureUpscaler:
    """Upscales pictures of all sizes and formats by one network. Close it, or use `with`.

    Raises what `Upscaler` raises.
    """

    def __init__(
        self, options: UpscalerOptions, weights: Weights, *, tile: int = TILE, keep: int = SESSIONS
    ) -> None:
        self.weights = weights
        self.scale = weights.spec.scale
        self._options, self._tile, self._keep = options, tile, keep
        # The base path alone: alpha is coverage, no picture, and the network would add detail that is none.
        self._plain = replace(
            weights, tensors={**weights.tensors, "detail_gain": np.zeros_like(weights.tensors["detail_gain"])}
        )
        self._open: OrderedDict[object, Upscaler] = OrderedDict()

    def run(
        self,
        source: FrameFormat,
        planes: Sequence[Array],
        pixel_format: PixelFormat,
        color: ColorSpec,
        outputs: Sequence[Array],
        on_tile: Callable[[int, int], None] | None = None,
    ) -> None:
        """Upscale `planes`, of `source`, into `outputs`, of `pixel_format` and `color`.

        Arrays may have any strides and byte order. `on_tile` hears how many tiles of how many are done.
        """
        self._run(self.weights, source, planes, pixel_format, color, outputs, on_tile)

    def run_alpha(self, source: FrameFormat, alpha: Array, output: Array) -> None:
        """Upscale `alpha`, H×W of `source`'s depth, into `output`, H×W of any depth, by the base path alone.

        Frame jobs know no alpha yet: it is a gray frame of a job whose detail has the gain 0.
        """
        gray, wide = (
            PIXEL_FORMATS["gray16le" if array.dtype.itemsize > 1 else "gray"] for array in (alpha, output)
        )
        format = replace(source, pixel_format=gray)
        self._run(self._plain, format, (alpha,), wide, source.color, (output,), None)

    @property
    def used(self) -> Upscaler | None:
        """The upscaler that ran last, for reports."""
        return next(reversed(self._open.values()), None)

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(
        self,
        weights: Weights,
        source: FrameFormat,
        planes: Sequence[Array],
        pixel_format: PixelFormat,
        color: ColorSpec,
        outputs: Sequence[Array],
        on_tile: Callable[[int, int], None] | None,
    ) -> None:
        high, wide = side(source.height, self._tile), side(source.width, self._tile)
        upscaler = self._upscaler(weights, replace(source, width=wide, height=high), pixel_format, color)
        margin = upscaler.session.job.margin
        tiles = [
            (down, across)
            for down in spans(source.height, self._tile, margin)
            for across in spans(source.width, self._tile, margin)
        ]
        inputs, results = allocate_planes(upscaler.source), allocate_planes(upscaler.target)
        for done, (down, across) in enumerate(tiles, 1):
            for plane, buffer, factor in zip(planes, inputs, _factors(source.pixel_format), strict=True):
                _cut(plane, down.begin // factor[0], across.begin // factor[1], buffer)
            if weights is self._plain and inputs[0].min() == inputs[0].max():
                peaks = pixel_format.peak / source.pixel_format.peak
                results[0][:] = round(float(inputs[0].flat[0]) * peaks)  # the kernel keeps what is flat
            else:
                upscaler.run(inputs, results).wait()
            for plane, result, factor in zip(outputs, results, _factors(pixel_format), strict=True):
                (top, bottom, up), (left, right, aside) = (
                    self._place(span, f) for span, f in zip((down, across), factor, strict=True)
                )
                bottom, right = min(bottom, plane.shape[0]), min(right, plane.shape[1])
                plane[top:bottom, left:right] = result[top - up : bottom - up, left - aside : right - aside]
            if on_tile is not None:
                on_tile(done, len(tiles))

    def _place(self, span: Span, factor: int) -> tuple[int, int, int]:
        """First and last sample of the target plane that a tile answers for, and where the tile begins."""
        first, last, begin = span.first * self.scale, span.last * self.scale, span.begin * self.scale
        return first // factor, -(-last // factor), begin // factor

    def _upscaler(
        self, weights: Weights, source: FrameFormat, pixel_format: PixelFormat, color: ColorSpec
    ) -> Upscaler:
        key = (weights is self._plain, source, pixel_format, color)
        if key not in self._open:
            while len(self._open) >= self._keep:
                self._open.popitem(last=False)[1].close()
            self._open[key] = Upscaler.for_format(
                source, self._options, pixel_format=pixel_format, color=color, weights=weights
            )
        self._open.move_to_end(key)
        return self._open[key]


def _factors(pixels: PixelFormat) -> list[tuple[int, int]]:
    """For each array of the format: luma samples per sample, (vertical, horizontal)."""
    if pixels.layout is Layout.PACKED:
        return [(1, 1)]
    across, down = pixels.subsampling
    chroma = (1, 2) if pixels.family is Family.YUV else ()
    return [(1 << down, 1 << across) if component in chroma else (1, 1) for component in pixels.order]


def _cut(plane: Array, top: int, left: int, buffer: Array) -> None:
    """Fill `buffer` from `plane` at (top, left), repeating the last row and column where the picture ends."""
    part = plane[top : top + buffer.shape[0], left : left + buffer.shape[1]]
    rows, columns = part.shape[:2]
    buffer[:rows, :columns] = part
    buffer[:rows, columns:] = buffer[:rows, columns - 1 : columns]
    buffer[rows:] = buffer[rows - 1 : rows]
