"""Recognising networks: strictly, and others by name."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from network_reference import random_spec, random_weights

from paragon_stream.checkpoint import Generation, Weights
from paragon_stream.checkpoint.detect import detect
from paragon_stream.errors import CheckpointError

GAMMA = "body.0.blocks.1.scale.gamma"


@pytest.mark.parametrize("variant", ["realtime", "stream", "photo"])
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("generation", ["p2v9", "p2v10", "p2v11", "p2head"])
def test_every_network_of_the_release_line(variant: str, scale: int, generation: str) -> None:
    spec = random_spec(variant, scale, generation=generation)
    assert random_weights(spec).spec == spec


@pytest.mark.parametrize("generation", ["p2v11", "p2head"])
def test_pro(generation: str) -> None:
    spec = random_spec("pro", generation=generation)
    assert random_weights(spec).spec == spec
    with pytest.raises(CheckpointError, match=r"p2v10, but its blocks are Pro's"):
        detect(random_weights(spec).tensors, {"generation": "p2v10"}, alpha=0)


def test_the_window_of_attention_comes_from_metadata_or_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    tensors = random_weights(random_spec("pro")).tensors
    assert detect(tensors, {"window_size": "8"}, alpha=0).window == 8
    assert detect(tensors, {"window_size": "8"}, alpha=0, window_size=12).window == 12
    assert detect(random_weights(random_spec("photo")).tensors, {}, alpha=0).window == 16
    warned = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not warned  # every published photo has 16
    assert detect(tensors, {}, alpha=0).window == 16
    assert "nothing says the size of its attention windows; 16 is taken" in caplog.text
    for wrong in ("wide", "0", "1000"):
        with pytest.raises(CheckpointError, match=f"window_size is {wrong}; windows have 2 to 128"):
            detect(tensors, {"window_size": wrong}, alpha=0)
    with pytest.raises(CheckpointError, match="no window attention"):
        detect(random_weights(random_spec()).tensors, {}, alpha=0, window_size=8)


def test_photo_exported_without_attention() -> None:
    tensors = random_weights(random_spec("photo")).tensors
    bare = {name: value for name, value in tensors.items() if ".attn" not in name}
    spec = detect(bare, {}, alpha=0)
    assert (spec.variant, spec.window, spec.reach) == ("photo", 0, spec.radius)


def test_conditioned() -> None:
    assert random_weights(random_spec(conditioned=True)).spec.conditioned
    assert not random_weights(random_spec()).spec.conditioned


def test_the_limit_of_products_comes_from_metadata() -> None:
    tensors = random_weights(random_spec("stream")).tensors
    assert detect(tensors, {}, alpha=0).product_limit == math.inf
    assert detect(tensors, {"product_limit": "16"}, alpha=0).product_limit == 16
    for wrong in ("much", "0", "-16", "nan"):
        with pytest.raises(CheckpointError, match=f"product_limit is '{wrong}'"):
            detect(tensors, {"product_limit": wrong}, alpha=0)


def test_generation_without_metadata() -> None:
    for generation, found in (("p2head", Generation.HEAD), ("p2v9", Generation.V10)):
        tensors = random_weights(random_spec(generation=generation)).tensors
        assert detect(tensors, {}, alpha=0).generation is found


def test_alpha_comes_from_metadata_or_caller() -> None:
    tensors = random_weights(random_spec()).tensors
    assert detect(tensors, {"upsampler_alpha": "0.3"}).alpha == 0.3
    assert detect(tensors, {"upsampler_alpha": "0.3"}, alpha=0.0).alpha == 0.0
    with pytest.raises(CheckpointError, match="it does not state its alpha"):
        detect(tensors, {})
    with pytest.raises(CheckpointError, match="'much', which is not a number"):
        detect(tensors, {"upsampler_alpha": "much"})
    with pytest.raises(CheckpointError, match="alpha is nan"):
        detect(tensors, {"upsampler_alpha": "nan"})


@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_every_missing_tensor_is_named(variant: str) -> None:
    tensors = random_weights(random_spec(variant)).tensors
    for name in tensors:
        rest = {key: value for key, value in tensors.items() if key != name}
        with pytest.raises(CheckpointError, match=f"tensor {name.replace('.', '[.]')} is missing"):
            detect(rest, {}, alpha=0)


def test_unexpected_tensor_is_named() -> None:
    tensors = random_weights(random_spec()).tensors
    for extra in (
        "body.0.mid_conv.weight",
        "conv_fuse.weight",
        "body.0.blocks.1.attn.qkv.weight",
        "surprise",
    ):
        with pytest.raises(CheckpointError, match=f"tensor {extra} does not belong"):
            detect({**tensors, extra: np.zeros(1, np.float32)}, {}, alpha=0)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("conv_mid.weight", (16, 16, 1, 1)), (GAMMA, (16,)), ("detail_gain", (1,)), ("conv_out.bias", (4,))],
)
def test_misshapen_tensor_is_named(name: str, shape: tuple[int, ...]) -> None:
    tensors = random_weights(random_spec()).tensors
    with pytest.raises(CheckpointError, match=f"tensor {name} has the shape"):
        detect({**tensors, name: np.zeros(shape, np.float32)}, {}, alpha=0)


def test_one_layer_scale_missing_is_not_an_older_generation() -> None:
    tensors = random_weights(random_spec()).tensors
    with pytest.raises(CheckpointError, match=f"tensor {GAMMA} is missing"):
        detect({k: v for k, v in tensors.items() if k != GAMMA}, {}, alpha=0)


def test_changed_base_taps_are_not_ignored() -> None:
    tensors = dict(random_weights(random_spec()).tensors)
    tensors["base.blur.v.weight"] = tensors["base.blur.v.weight"] * 1.01
    with pytest.raises(CheckpointError, match=r"base\.blur\.v\.weight does not hold the MagicKernel"):
        detect(tensors, {}, alpha=0)


def test_impossible_scale() -> None:
    tensors = dict(random_weights(random_spec()).tensors)
    for outputs in (16 * 5, 16 * 25, 17):
        tensors["up.0.weight"] = np.zeros((outputs, 16, 3, 3), np.float32)
        with pytest.raises(CheckpointError, match="which fits no scale"):
            detect(tensors, {}, alpha=0)


def test_metadata_that_contradicts_the_tensors() -> None:
    tensors = random_weights(random_spec()).tensors
    with pytest.raises(CheckpointError, match="declared as ×4"):
        detect(tensors, {"scale": "4"}, alpha=0)
    with pytest.raises(CheckpointError, match=r"declared as p2v9, but its blocks are with scale\.gamma"):
        detect(tensors, {"generation": "p2v9"}, alpha=0)
    with pytest.raises(CheckpointError, match="declared as p2v6, but its tensors are those of p2head"):
        detect(tensors, {"generation": "p2v6"}, alpha=0)


def test_golden_state_dicts(shared: Path) -> None:
    for name in (
        "p2head_realtime_x2",
        "p2head_realtime_x3",
        "p2head_stream_x4",
        "p2v9_stream_x2",
        "p2v10_realtime_x2",
    ):
        path = shared / "reference" / "golden" / f"{name}.safetensors"
        with safetensors.safe_open(path, "np") as file:
            metadata = file.metadata()
        tensors = {k[3:]: v for k, v in safetensors.numpy.load_file(path).items() if k.startswith("sd.")}
        spec = Weights.from_tensors(tensors, metadata=metadata).spec
        generation, variant, scale = name.split("_")
        assert (spec.generation, spec.variant, f"x{spec.scale}") == (generation, variant, scale)
