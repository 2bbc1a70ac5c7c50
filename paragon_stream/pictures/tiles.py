"""Upscales pictures of any size in tiles, so that memory and compile time stay bounded.

Tiles are squares of `TILE` samples. Smaller pictures are one tile, with sides rounded up to `GRAIN`. So one
compiled session serves a folder of photographs of all sizes, and a few sessions serve a folder of icons.
Networks that depend on the whole picture compute it at once, in a session for its size.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from paragon_stream.checkpoint import Weights
from paragon_stream.frame import ColorSpec, FrameFormat, PixelFormat
from paragon_stream.framejob import FrameJob, build_job
from paragon_stream.geometry import Placement
from paragon_stream.runtimes import Flavour, Session
from paragon_stream.runtimes.tiles import Tiling
from paragon_stream.upscaler import UpscalerOptions, compile_job

type Array = NDArray[Any]
type Network = tuple[Weights, Placement]
"""The weights and the placement for a picture; see `choose_network`."""

TILE = 640
"""Source samples along a tile's side: a multiple of `GRAIN`."""
GRAIN = 64
"""The sides of tiles are multiples of this."""
SESSIONS = 4
"""Compiled sessions that are kept; the least recently used is closed first."""


def side(size: int, tile: int = TILE) -> int:
    """The tile length for a picture side of `size` samples."""
    return min(tile, -(-size // GRAIN) * GRAIN)


class PictureUpscaler:
    """Upscales pictures of all sizes and formats. Close it, or use `with`.

    Raises what `Upscaler` raises.
    """

    def __init__(self, options: UpscalerOptions, *, tile: int = TILE, keep: int = SESSIONS) -> None:
        self._options, self._tile, self._keep = options, tile, keep
        self._open: OrderedDict[object, Session] = OrderedDict()

    def run(
        self,
        network: Network,
        source: FrameFormat,
        planes: Sequence[Array],
        pixel_format: PixelFormat,
        color: ColorSpec,
        outputs: Sequence[Array],
        on_tile: Callable[[int, int], None] | None = None,
        *,
        strength: float = 0.0,
    ) -> None:
        """Upscale `planes`, of `source`, into `outputs`, of `pixel_format` and `color`.

        `strength` is the strength of its compression. Arrays may have any strides and byte order. `on_tile`
        is called with the number of finished tiles and the number of all tiles.
        """
        weights, placement = network
        job = build_job(weights, source, pixel_format=pixel_format, color=color, placement=placement)
        tile = source.height, source.width
        if not job.spec.sees_whole_frame:
            tile = side(source.height, self._tile), side(source.width, self._tile)
        tiling = Tiling(job, *tile)
        tiling.run(self._session(tiling.tile), planes, outputs, strength, on_tile)

    @property
    def used(self) -> Session | None:
        """The most recently used session, for reports."""
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

    def _session(self, tile: FrameJob) -> Session:
        key = (tile.weights_sha256, tile.source, tile.target)
        if key not in self._open:
            while len(self._open) >= self._keep:
                self._open.popitem(last=False)[1].close()
            self._open[key] = compile_job(tile, self._options, Flavour.LATENCY)
        self._open.move_to_end(key)
        return self._open[key]
