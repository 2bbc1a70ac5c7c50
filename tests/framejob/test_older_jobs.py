"""Frame jobs of the older lines against their torch modules, whose border is replicated as a job's is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")

from trained_looking import trained_looking  # noqa: E402

from paragon_stream.checkpoint import Weights  # noqa: E402
from paragon_stream.checkpoint.published import published_network  # noqa: E402
from paragon_stream.errors import UsageError  # noqa: E402
from paragon_stream.frame import ColorRange, ColorSpec, FrameFormat, Matrix  # noqa: E402
from paragon_stream.framejob import build_job  # noqa: E402
from paragon_stream.framejob.emit_torch import emit_torch  # noqa: E402
from paragon_stream.framejob.onnx.emit import emit_onnx  # noqa: E402
from paragon_stream.models.build import build  # noqa: E402
from paragon_stream.pixels import pixel_format  # noqa: E402

WIDTH, HEIGHT = 21, 18

NETWORKS: list[tuple[str, str, int, dict[str, Any]]] = [
    ("paragonsr-ps", "nano", 2, {}),
    ("paragonsr-nc", "nano", 2, {}),
    ("paragonsr-mk", "nano", 3, {}),
    ("p2v0", "anime", 2, {}),
    ("p2r1", "anime", 2, {}),
    ("p2r2", "nano", 2, {}),
    ("p2r2", "nano", 4, {}),
    ("p2r3", "nano", 2, {}),
    ("p2r3", "nano", 3, {"hr_blocks": 0}),
    ("p2v1", "nano", 2, {}),
    ("p2v4", "nano", 2, {}),
    ("p2v5", "nano", 2, {"use_attention": False}),
    ("p2v5", "tiny", 3, {"use_attention": False}),
    ("p2v6", "stream", 2, {}),
    ("p2v7", "realtime", 3, {}),
    ("p2v8", "stream", 2, {}),
    ("p2v6", "realtime", 4, {}),
    ("p2v7", "stream", 8, {}),
    ("p2v5", "tiny", 2, {}),
    ("p2v5", "tiny", 2, {"attention": "efficient"}),
    ("p2v6", "photo", 2, {"window_size": 8}),
    ("p2v8", "photo", 4, {"window_size": 4}),
    ("p2v8", "photo", 2, {"attention_mode": "none"}),
    ("p2head", "photo", 2, {"attention_mode": "none"}),
    ("p2head", "pro", 2, {"attention_mode": "none"}),
    ("p2v11atd", "pro", 2, {}),
    ("p2dev", "ultimate", 2, {"window_size": 4}),
]
SHORT = {
    "photo": {"features": 16, "hidden": 32, "groups": 1, "blocks": 2},
    "pro": {"features": 16, "groups": 2, "blocks": 3, "tokens": 5},
    "ultimate": {"features": 8, "groups": 7, "blocks": 7, "tokens": 5},
}
"""Variants with other sizes here: these are slow."""


@pytest.mark.parametrize(("generation", "variant", "scale", "options"), NETWORKS)
def test_a_job_computes_what_the_module_computes(
    generation: str, variant: str, scale: int, options: dict[str, Any]
) -> None:
    spec = published_network(generation, variant, scale, alpha=0.4, **options)
    short = {name: size for name, size in SHORT.get(variant, {}).items() if hasattr(spec, name)}
    weights = trained_looking(replace(spec, **short), seed=7)
    net = build(weights.spec).eval()
    net.load_state_dict({name: torch.tensor(value) for name, value in weights.tensors.items()})
    pixels = pixel_format("rgb24")
    color = ColorSpec(matrix=Matrix.RGB, range=ColorRange.FULL)
    source = FrameFormat(width=WIDTH, height=HEIGHT, pixel_format=pixels, color=color)
    job = build_job(weights, source, pixel_format=replace(pixels, floating=True))
    session = ort.InferenceSession(emit_onnx(job).SerializeToString())
    codes = np.random.default_rng(1).integers(0, 256, (1, HEIGHT, WIDTH, 3)).astype(np.uint8)
    name = session.get_inputs()[0].name
    (found,) = session.run(None, {name: codes})
    net.border = "replicate"
    with torch.no_grad():
        expected = 255 * net(torch.tensor(codes).permute(0, 3, 1, 2) / 255)
    error = np.abs(found - expected.permute(0, 2, 3, 1).numpy())
    assert float(expected.std()) > 5  # the comparison is of something
    assert error.max() < 1e-5 * float(expected.abs().max())
    if generation == "p2v5":  # layers called attention, which are not the operation
        with torch.no_grad():
            (translated,) = emit_torch(job)(torch.tensor(codes))
        assert np.abs(translated.numpy() - found).max() < 1e-5 * float(expected.abs().max())


def test_discriminators_are_refused_by_name() -> None:
    spec = published_network("munetC", "nf8_122", 1)
    weights = Weights(spec=spec, tensors={}, name="random")
    source = FrameFormat(
        width=WIDTH,
        height=HEIGHT,
        pixel_format=pixel_format("rgb24"),
        color=ColorSpec(matrix=Matrix.RGB, range=ColorRange.FULL),
    )
    with pytest.raises(UsageError, match="is a discriminator, which is for training only"):
        build_job(weights, source)
