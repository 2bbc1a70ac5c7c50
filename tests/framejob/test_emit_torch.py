"""Only torch: a network body in 16 bits, with everything else in fp32."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from network_reference import random_spec, random_weights

from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import allocate_planes, build_job
from paragon_stream.framejob.onnx import emit as emitter
from paragon_stream.framejob.onnx.emit import tensor_shapes

torch = pytest.importorskip("torch")


def compute(name: str, body: object, variant: str = "realtime") -> list[np.ndarray]:
    """Planes before nothing but the last cast, of noise."""
    from paragon_stream.framejob.emit_torch import emit_torch

    source = FrameFormat.of(name, 34, 22)
    job = build_job(random_weights(random_spec(variant)), source)
    rng = np.random.default_rng(0)
    given = []
    for plane, shape in zip(allocate_planes(source), tensor_shapes(source), strict=True):
        plane[:] = rng.integers(0, source.pixel_format.peak + 1, plane.shape)
        given.append(torch.from_numpy(plane.reshape(shape)))
    with torch.inference_mode():
        results = emit_torch(job, body=body)(*given)
    return [result.numpy().astype(int) for result in results]


@pytest.mark.parametrize(("body", "allowed"), [("float16", 0.05), ("bfloat16", 0.25)])
@pytest.mark.parametrize("variant", ["realtime", "stream", "photo", "pro"])
def test_a_body_in_16_bits_changes_little(body: str, allowed: float, variant: str) -> None:
    """The detail alone suffers, in proportion; the base path, ten bits deep, would show every other loss."""
    exact = compute("yuv420p10le", torch.float32, variant)
    rough = compute("yuv420p10le", getattr(torch, body), variant)
    for a, b in zip(exact, rough, strict=True):
        error = np.sqrt(np.mean((a - b) ** 2))
        assert 0 < error < 4 * allowed


def test_unknown_operations_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from paragon_stream.framejob import emit_torch as module

    def emit_and_spoil(job: object, types: object) -> onnx.ModelProto:
        model = emitter.emit_onnx(job, types=types)
        model.graph.node[-2].op_type = "Einsum"
        return model

    monkeypatch.setattr(module, "emit_onnx", emit_and_spoil)
    with pytest.raises(EngineError, match="torch cannot run Einsum"):
        compute("yuv420p", torch.float32)
