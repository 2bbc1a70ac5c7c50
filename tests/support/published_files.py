"""Checkpoints of the older generations as they were published: bare state dicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.numpy

from paragon_stream.checkpoint.published import published_network
from paragon_stream.checkpoint.spec import MAGIC_BLUR, MAGIC_SHARPEN


def write(path: Path, generation: str, variant: str, metadata: dict[str, str] | None = None) -> Path:
    """A state dict of random numbers with the right taps where a network has fixed ones."""
    rng = np.random.default_rng(2)
    tensors = {}
    for name, shape in published_network(generation, variant, 2).tensor_shapes().items():
        value = 0.1 * rng.standard_normal(shape)
        if ".sharp" in f".{name}" or ".resample_conv." in name or ".blur." in f".{name}":
            taps = MAGIC_SHARPEN if ".sharp" in f".{name}" else MAGIC_BLUR
            value = np.tile(taps, value.size // len(taps)).reshape(shape)
        tensors[name] = np.ascontiguousarray(value, np.float32).reshape(shape)
    safetensors.numpy.save_file(tensors, path, metadata)
    return path
