"""Torch files from before torch 1.6: read without torch, and without running what they hold."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from paragon_stream.checkpoint.reader import read_checkpoint  # noqa: E402
from paragon_stream.errors import CheckpointError  # noqa: E402


def legacy(tmp_path: Path, content: object) -> bytes:
    path = tmp_path / "old.pth"
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path.read_bytes()


def test_a_legacy_file_is_read(tmp_path: Path) -> None:
    whole = torch.arange(24.0).view(4, 6)
    state = {
        "a.weight": whole,
        "module.b": whole[1:3, ::2],
        "c": torch.tensor(True),
        "d": torch.ones(2).half(),
    }
    tensors, metadata = read_checkpoint(legacy(tmp_path, {"params_ema": state}))
    assert metadata == {}
    assert np.array_equal(tensors["a.weight"], whole.numpy())
    assert np.array_equal(tensors["b"], whole[1:3, ::2].numpy())
    assert tensors["c"] == 1
    assert np.array_equal(tensors["d"], [1, 1])


def test_what_a_legacy_file_holds_never_runs(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    data = legacy(tmp_path, {"a": torch.ones(2)})
    for hostile in (data[:15] + pickle.dumps(Hostile(), protocol=2), legacy(tmp_path, {"a": Hostile()})):
        with pytest.raises(CheckpointError, match="not loaded for safety"):
            read_checkpoint(hostile)
    assert not (tmp_path / "ran").exists()


def test_a_legacy_file_that_is_cut_off(tmp_path: Path) -> None:
    data = legacy(tmp_path, {"a": torch.ones(1000)})
    with pytest.raises(CheckpointError, match="cut off"):
        read_checkpoint(data[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(data[:120])
