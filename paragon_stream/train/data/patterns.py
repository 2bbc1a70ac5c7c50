"""Generated patches with full contrast between pixels, which screens show and photographs do not contain.

Networks with products give arbitrary results for unseen input, and more so the longer they were trained on
photographs. A one-pixel grid has no true larger picture; bicubic's is a reasonable one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paragon_stream.train.data.resample import enlarge, to_codes

_LONGEST_RUN = 4
"""LR pixels of one colour in a row, at most."""


def draw_pattern(
    size: int, scale: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A `size`² LR patch (RGB in [0, 1]) of stripes, a grid, a checkerboard, or blots, and its HR codes.

    It has two colours, black and white in half of the patches; in half of the patches a part is plain.
    """
    rows, columns = np.indices((size, size))
    across, down = (_runs(size, rng) for _ in range(2))
    mask = (
        across[columns],
        across[columns] & down[rows],
        across[columns] ^ down[rows],
        rng.random((size, size)) < rng.uniform(0.1, 0.9),
    )[rng.integers(4)]
    if rng.random() < 0.5:
        top, left = rng.integers(0, size // 2, 2)
        mask = mask & (rows >= top) & (columns >= left)
    colors = rng.random((2, 3)) if rng.random() < 0.5 else np.array([[0.0] * 3, [1.0] * 3])
    low = colors[mask.astype(int)].astype(np.float32)
    return low, to_codes(255 * enlarge(low, scale))


def _runs(size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Alternating runs: of one pixel each, or of new random lengths."""
    if rng.random() < 0.5:
        return np.arange(size) % 2 == rng.integers(2)
    lengths = rng.integers(1, _LONGEST_RUN + 1, size)
    return np.asarray(np.repeat(np.arange(size) % 2 == 0, lengths)[:size])
