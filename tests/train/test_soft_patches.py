"""Patches of softened pictures: the truth is soft, and the input is what shrinking makes of that truth."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from training_material import drawn_picture

from paragon_stream.train.data.batches import Batches
from paragon_stream.train.data.resample import shrink, to_codes
from paragon_stream.train.data.shards import Shard
from paragon_stream.train.recipe import DataRecipe

SIZE, EDGE = 24, 5


def test_the_truth_is_soft_and_the_input_is_shrunk_from_it() -> None:
    picture = drawn_picture(3, 128)
    shard = Shard(hr=picture, rgb=to_codes(shrink(picture.astype(np.float32), 2))[None], frames=())
    plain, soft = (
        Batches(
            [shard],
            DataRecipe(patch=SIZE, batch=8, soft=share, soften=(1.5, 2.5)),
            scale=2,
            kernels=("area",),
            seed=1,
        )
        for share in (0.0, 1.0)
    )
    for step in range(3):
        batch = soft(step)
        means = batch.hr.reshape(8, 3, SIZE, 2, SIZE, 2).mean((3, 5))
        inside = (means - batch.lr)[..., EDGE:-EDGE, EDGE:-EDGE]
        assert float(inside.abs().max()) < 0.01, "rounding alone: the input lies where its truth does"
        again = soft(step)
        assert (again.lr == batch.lr).all() and (again.hr == batch.hr).all()
        steepest = [float(each.hr.diff(dim=-1).abs().max()) for each in (plain(step), batch)]
        assert steepest[1] < 0.6 * steepest[0]
