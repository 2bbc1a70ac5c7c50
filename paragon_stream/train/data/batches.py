"""Batches from shards. A batch is a function of (seed, step) alone, so a resumed training gets the same
batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paragon_stream.errors import InputError
from paragon_stream.train.data.degradations import Frame, softened
from paragon_stream.train.data.patterns import draw_pattern
from paragon_stream.train.data.planes import to_rgb
from paragon_stream.train.data.resample import shrink, to_codes
from paragon_stream.train.data.shards import Shard
from paragon_stream.train.recipe import DataRecipe

CHROMA_MARGIN = 2
"""Margin of LR pixels around a patch for chroma interpolation (rounded up to whole chroma samples)."""


SHRINKING_MARGIN = 6
"""LR pixels around a patch that the shrinking kernels look at (Lanczos-4: 4)."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """N×3×L×L LR patches, their N×3×sL×sL truth, both RGB around [0, 1], and N strengths.

    `halved` marks the patches of 4:2:0 video, whose chroma is compared on its own grid. Flipping or
    transposing such a patch would change that grid. So the network gets `lr` in the orientation `turn` (see
    `oriented`), and the loss compares its result in the original orientation (`upright`).
    """

    lr: Tensor
    hr: Tensor
    strength: Tensor
    halved: Tensor
    turn: int = 0


class Batches:
    """Random patches as `data` describes them; each batch is flipped and transposed at random.

    `kernels` shrink the softened stills.
    """

    def __init__(
        self,
        shards: list[Shard],
        data: DataRecipe,
        *,
        scale: int,
        kernels: Sequence[str] = ("bicubic",),
        seed: int = 0,
    ) -> None:
        self.shards, self.data = shards, data
        self.scale, self.kernels, self.seed = scale, tuple(kernels), seed
        for shard in shards:
            if (side := shard.least_side) is not None and side < data.patch:
                raise InputError(f"a picture gives only {side} LR pixels; the patch is {data.patch}")

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng([self.seed, step])
        samples = [self._sample(rng) for _ in range(self.data.batch)]
        return Batch(
            lr=_tensor(np.stack([sample.low for sample in samples])),
            hr=_tensor(np.stack([sample.high for sample in samples])) / 255,
            strength=torch.tensor([sample.strength for sample in samples], dtype=torch.float32),
            halved=torch.tensor([sample.halved for sample in samples]),
            turn=int(rng.integers(8)),
        )

    def stream(self, start: int, stop: int, *, threads: int = 1) -> Iterator[Batch]:
        """The batches of steps start … stop - 1, the next `threads` always being prepared in as many."""
        with ThreadPoolExecutor(threads) as pool:
            coming = deque(pool.submit(self, step) for step in range(start, min(start + threads, stop)))
            for step in range(start, stop):
                batch = coming.popleft().result()
                if step + threads < stop:
                    coming.append(pool.submit(self, step + threads))
                yield batch

    def _sample(self, rng: np.random.Generator) -> _Sample:
        if self.data.patterns and rng.random() < self.data.patterns:
            low, high = draw_pattern(self.data.patch, self.scale, rng)
            return _Sample(low, high, float(rng.random()))
        shard = self.shards[rng.integers(len(self.shards))]
        share = self.data.clip_share if len(shard.rgb) and shard.frames else float(not len(shard.rgb))
        return self._clip(shard, rng) if rng.random() < share else self._still(shard, rng)

    def _still(self, shard: Shard, rng: np.random.Generator) -> _Sample:
        s, size = self.scale, self.data.patch
        lr = shard.rgb[rng.integers(len(shard.rgb))]
        y, x = (int(rng.integers(side - size + 1)) for side in lr.shape[:2])
        if self.data.soft and rng.random() < self.data.soft:
            return self._soft(shard, y, x, rng)
        low = lr[y : y + size, x : x + size].astype(np.float32) / np.float32(255)
        return _Sample(low, shard.hr[s * y : s * (y + size), s * x : s * (x + size)])

    def _soft(self, shard: Shard, y: int, x: int, rng: np.random.Generator) -> _Sample:
        """The patch at an LR place, of the softened picture."""
        s, size, m = self.scale, self.data.patch, SHRINKING_MARGIN
        height, width = (side // s for side in shard.hr.shape[:2])
        y0, x0 = max(0, y - m), max(0, x - m)
        y1, x1 = min(height, y + size + m), min(width, x + size + m)
        sigma, kernel = float(rng.uniform(*self.data.soften)), self.kernels[rng.integers(len(self.kernels))]
        around = softened(shard.hr, s * y0, s * x0, (s * (y1 - y0), s * (x1 - x0)), sigma)
        small = to_codes(shrink(around.astype(np.float32), s, kernel))
        y, x = y - y0, x - x0
        low = small[y : y + size, x : x + size].astype(np.float32) / np.float32(255)
        return _Sample(low, around[s * y : s * (y + size), s * x : s * (x + size)])

    def _clip(self, shard: Shard, rng: np.random.Generator) -> _Sample:
        s, size = self.scale, self.data.patch
        frame = shard.frames[rng.integers(len(shard.frames))]
        height, width = frame.planes[0].shape
        y, x = (2 * int(rng.integers((side - size) // 2 + 1)) for side in (height, width))
        top, left = frame.top + s * y, frame.left + s * x
        high = softened(shard.hr, top, left, (s * size, s * size), frame.soften)
        strength = frame.strength
        if strength > 0:  # strengths at run time are not exact either
            strength = float(np.clip(strength + rng.normal(0, self.data.strength_jitter), 0, 1))
        return _Sample(frame_patch(frame, y, x, size), high, strength, halved=True)


@dataclass(frozen=True)
class _Sample:
    """One patch: `low` is L×L×3 LR, about 0…1; `high` is sL×sL×3 truth in 8-bit codes."""

    low: NDArray[np.float32]
    high: NDArray[np.uint8]
    strength: float = 0.0
    halved: bool = False


def frame_patch(frame: Frame, y: int, x: int, size: int) -> NDArray[np.float32]:
    """RGB of a `size`² window of a frame (all even), chroma interpolated across the window's edge."""
    height, width = frame.planes[0].shape
    m = CHROMA_MARGIN
    y0, x0 = max(0, y - m), max(0, x - m)
    y1, x1 = min(height, y + size + m), min(width, x + size + m)
    luma = frame.planes[0][y0:y1, x0:x1]
    blue, red = (plane[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2] for plane in frame.planes[1:])
    rgb = to_rgb((luma, blue, red), frame.matrix, frame.range)
    return rgb[y - y0 : y - y0 + size, x - x0 : x - x0 + size]


def oriented(pictures: Tensor, turn: int) -> Tensor:
    """N×C×H×W in one of eight orientations: flipped (1: rows, 2: columns), then transposed (4)."""
    axes = [axis for bit, axis in ((1, 2), (2, 3)) if turn & bit]
    pictures = pictures.flip(axes) if axes else pictures
    return pictures.transpose(2, 3) if turn & 4 else pictures


def upright(pictures: Tensor, turn: int) -> Tensor:
    """The inverse of `oriented`."""
    pictures = pictures.transpose(2, 3) if turn & 4 else pictures
    axes = [axis for bit, axis in ((1, 2), (2, 3)) if turn & bit]
    return pictures.flip(axes) if axes else pictures


def _tensor(pictures: NDArray[np.generic]) -> Tensor:
    """N×H×W×C to N×C×H×W float32, stored channels last."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
