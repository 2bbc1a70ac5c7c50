"""Video mode: the network's input is a blend of a frame and earlier frames, the base path's is the frame
alone.

Blending features after the linear conv_in, as upstream does, equals blending the frames. So the state is one
frame's planes, and frame jobs of the video mode have twice as many input planes: the blended ones, by their
components, and the frame's own, by their components plus CURRENT. Both always have 16 bits: with 8 bits the
state would converge to values that are 2 codes off.

    s = w · s' + (1 - w) · x,   w = 0.2 (upstream)
    w = MOST · max(0, 1 - d / FULL)    (adaptive; d: mean difference |x - s'| of luma around, in 8-bit codes)

The state restarts (s = x) at scene cuts, and after `restart`. After WARM frames it does not depend on its
start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import UsageError
from paragon_stream.frame import ColorRange, Family, FrameFormat
from paragon_stream.framejob.components import ALPHA, CURRENT
from paragon_stream.framejob.planes import allocate_planes
from paragon_stream.media.frames.scene_cuts import is_cut, small_picture

UPSTREAM_WEIGHT = 0.2
MOST = 0.4
FULL = 6.0
WARM = 12

type Array = NDArray[Any]


class Temporal(StrEnum):
    """The use of earlier frames."""

    OFF = "off"
    UPSTREAM = "upstream"
    """A weight of 0.2 everywhere, as in upstream's video mode: moving edges leave traces."""
    ADAPTIVE = "adaptive"
    """A larger weight in static areas, none in moving ones."""

    @classmethod
    def parse(cls, text: str) -> Temporal:
        """Raises UsageError."""
        try:
            return cls(text)
        except ValueError:
            raise UsageError(f"the video mode is {', '.join(cls)}, not {text!r}") from None


def doubled(source: FrameFormat) -> FrameFormat:
    """The input format of a video mode frame job for frames of `source`."""
    like = source.pixel_format
    components = sorted(set(like.order) - {-1})
    colours = [component for component in components if component != ALPHA]
    order = (*components, *(component + CURRENT for component in colours))
    pixels = replace(
        like, name=f"{like.name} twice", depth=16, layout=type(like.layout).PLANAR, order=order, shift=0
    )
    return replace(source, pixel_format=pixels)


class TemporalState:
    """Blends the frames of one stream, one after another. Not thread-safe."""

    def __init__(self, source: FrameFormat, mode: Temporal) -> None:
        self.source = source
        self.format = doubled(source)
        self._mode = mode
        self._state: dict[int, NDArray[np.uint16]] | None = None
        self._small: NDArray[np.float32] | None = None

    def restart(self) -> None:
        """Restart: the next frame does not continue the one before."""
        self._state = None

    def advance(self, planes: Sequence[Array]) -> tuple[Array, ...]:
        """Planes of `format` for the next frame, which the caller owns. `planes` are those of `source`."""
        small = small_picture(planes[0], self.source.pixel_format.peak << self.source.pixel_format.shift)
        if self._state is not None and self._small is not None and is_cut(self._small, small):
            self._state = None
        self._small = small
        current = self._deepened(planes)
        self._state = current if self._state is None else self._blended(current, self._state)
        result = allocate_planes(self.format)
        for array, component in zip(result, self.format.pixel_format.order, strict=True):
            held = self._state if component < ALPHA else current
            np.copyto(array, held[component if component <= ALPHA else component - CURRENT])
        return result

    def _deepened(self, planes: Sequence[Array]) -> dict[int, NDArray[np.uint16]]:
        """16-bit planes by component."""
        pixels, full = self.source.pixel_format, self.source.color.range is ColorRange.FULL
        found: dict[int, NDArray[np.uint16]] = {}
        for array, held in zip(planes, pixels.stored, strict=True):
            for position, component in enumerate(held):
                if component < 0:
                    continue
                codes = array[..., position] if len(held) > 1 else array
                if pixels.shift:
                    codes = codes >> pixels.shift
                chroma = pixels.family is Family.YUV and component in (1, 2)
                if not full and component != ALPHA:
                    found[component] = np.left_shift(codes, 16 - pixels.depth, dtype=np.uint16)
                    continue
                gain, zero = 65535 / pixels.peak, float(1 << (pixels.depth - 1)) if chroma else 0.0
                wide = (codes.astype(np.float32) - zero) * gain + (32768.0 if chroma else 0.0)
                found[component] = np.clip(np.rint(wide), 0, 65535).astype(np.uint16)
        return found

    def _blended(
        self, current: dict[int, NDArray[np.uint16]], before: dict[int, NDArray[np.uint16]]
    ) -> dict[int, NDArray[np.uint16]]:
        cells = None if self._mode is Temporal.UPSTREAM else self._weights(current[0], before[0])
        blended = {}
        for component, now in current.items():
            if component == ALPHA:
                blended[component] = now
                continue
            weight: float | NDArray[np.float32] = UPSTREAM_WEIGHT
            if cells is not None:
                weight = _spread(cells, now.shape, current[0].shape)
            then = before[component].astype(np.float32)
            then -= now
            then *= weight
            then += now
            blended[component] = np.rint(then).astype(np.uint16)
        return blended

    def _weights(self, now: NDArray[np.uint16], then: NDArray[np.uint16]) -> NDArray[np.float32]:
        """A weight for each cell of 2×2 luma samples: the largest difference of the cells around counts."""
        difference = np.abs(now.astype(np.float32) - then)
        difference = np.pad(difference, [(0, side % 2) for side in difference.shape], mode="edge")
        mean = difference.reshape(difference.shape[0] // 2, 2, difference.shape[1] // 2, 2).mean((1, 3))
        around = np.pad(mean, 1, mode="edge")
        rows = np.maximum(np.maximum(around[:-2], around[1:-1]), around[2:])
        most = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
        return (MOST * np.maximum(0, 1 - most / (FULL * 257))).astype(np.float32)


class TemporalHistory:
    """`TemporalState` for frames that are requested by number, in any order."""

    def __init__(self, mode: Temporal) -> None:
        self._mode = mode
        self._state: TemporalState | None = None
        self._last = -1

    def planes(
        self, number: int, source: FrameFormat, earlier: Callable[[int], Sequence[Array]]
    ) -> tuple[Array, ...]:
        """The result of `TemporalState.advance` for frame `number`. `earlier(n)` returns the planes of the
        nth frame before it, n up to WARM; before the first frame they are its own."""
        state = self._state
        if state is None or state.source != source or number != self._last + 1:
            state = self._state = TemporalState(source, self._mode)
            for ago in range(WARM, 0, -1):
                state.advance(earlier(ago))
        self._last = number
        return state.advance(earlier(0))


def _spread(cells: NDArray[np.float32], shape: Sequence[int], luma: Sequence[int]) -> NDArray[np.float32]:
    """The weights of cells for the samples of a plane of `shape`."""
    for axis in (0, 1):
        step = -(-luma[axis] // shape[axis])  # luma samples per sample of this plane
        if step == 1:
            cells = np.repeat(cells, 2, axis)
        elif step > 2:
            cells = cells.take(np.arange(0, cells.shape[axis], step // 2), axis)
    return cells[: shape[0], : shape[1]]
