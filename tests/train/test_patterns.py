"""Drawn patches: two colours from pixel to pixel, and what they should become."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from paragon_stream.train.data.batches import Batches
from paragon_stream.train.data.patterns import draw_pattern
from paragon_stream.train.data.shards import Shard
from paragon_stream.train.recipe import DataRecipe

SIZE, SCALE = 24, 2


def test_patterns_have_two_colours_and_their_truth_is_no_wilder() -> None:
    rng = np.random.default_rng(2)
    finest = 0
    for _ in range(100):
        low, high = draw_pattern(SIZE, SCALE, rng)
        assert low.shape == (SIZE, SIZE, 3) and low.dtype == np.float32
        assert high.shape == (SCALE * SIZE, SCALE * SIZE, 3) and high.dtype == np.uint8
        colours = np.unique(low.reshape(-1, 3), axis=0)
        assert 1 <= len(colours) <= 2
        assert abs(high.mean() / 255 - low.mean()) < 0.05
        steps = (np.diff(low[..., 0], axis=1) != 0).mean(axis=1)
        finest += bool((steps == 1).any())
    assert finest > 10  # rows that change from each pixel to the next


def test_their_share_of_batches() -> None:
    """The rest is as it would be without them: of one gray picture."""
    shard = Shard(
        hr=np.full((64, 64, 3), 128, np.uint8), rgb=np.full((1, 32, 32, 3), 128, np.uint8), frames=()
    )
    for share in (0.0, 0.25):
        batches = Batches([shard], DataRecipe(patch=SIZE, batch=16, patterns=share), scale=SCALE, seed=1)
        drawn = [float(low.std()) > 0 for step in range(20) for low in batches(step).lr]
        assert abs(np.mean(drawn) - share) < 0.06
        again = Batches([shard], DataRecipe(patch=SIZE, batch=16, patterns=share), scale=SCALE, seed=1)
        assert (again(3).lr == batches(3).lr).all() and (again(3).hr == batches(3).hr).all()
