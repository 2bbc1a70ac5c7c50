"""One graph for many sizes computes what the graph of each size computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from device_material import make_job
from network_reference import random_spec, random_weights

from paragon_stream.errors import EngineError
from paragon_stream.framejob import build_job
from paragon_stream.framejob.onnx.dynamic import SizeRange, emit_dynamic_onnx
from paragon_stream.framejob.onnx.emit import (
    STRENGTH_INPUT,
    GraphTypes,
    emit_onnx,
    graph_shapes,
    input_names,
)
from paragon_stream.geometry import parse_fit, parse_size, place

SIZES = SizeRange(least=(16, 16), best=(48, 32), most=(96, 96))
TYPES = GraphTypes(bytes=True, filters=True, guard=True)


def outputs(model, job, planes):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = dict(zip(input_names(job.source), planes, strict=True))
    if job.spec.conditioned:
        feed[STRENGTH_INPUT] = np.array([0.4], np.float32)
    return session.run(None, feed)


def codes(plane: np.ndarray, deep: bool) -> np.ndarray:
    """Samples, of which deep ones lie in two bytes."""
    return plane.astype(int) @ [1, 256] if deep else plane.astype(int)


@pytest.mark.parametrize(
    ("name", "variant", "scale"),
    [
        ("yuv420p", "realtime", 2),
        ("yuv420p10le", "stream", 2),
        ("nv12", "realtime", 2),
        ("rgb24", "realtime", 3),
        ("yuv422p", "realtime", 4),
        ("yuv420p", "photo", 2),  # whose number of windows is a product of both sides
    ],
)
def test_every_size_gives_what_its_own_graph_gives(name: str, variant: str, scale: int) -> None:
    source = make_job(48, 32, name).source
    job = build_job(random_weights(random_spec(variant, scale=scale, conditioned=True)), source)
    model = emit_dynamic_onnx(job, SIZES, TYPES)
    rng = np.random.default_rng(1)
    odd = ((52, 64), (96, 20)) if variant == "photo" else ((50, 62), (96, 18))
    for size in ((16, 16), (48, 32), *odd):
        sized = job.resized(*size)
        planes = [
            rng.integers(0, 256 if shape[-1] != 2 or sample == 0 else 4, shape, np.uint8)
            for sample, shape in enumerate(graph_shapes(sized.source, TYPES))
        ]
        ours = outputs(model, sized, planes)
        theirs = outputs(emit_onnx(sized, types=TYPES), sized, planes)
        assert [each.shape for each in ours] == [each.shape for each in theirs]
        deep = source.pixel_format.depth > 8
        for mine, other in zip(ours[:-1], theirs[:-1], strict=True):
            difference = np.abs(codes(mine, deep) - codes(other, deep))
            assert difference.max() <= 1, size
            assert np.count_nonzero(difference) <= 1e-3 * difference.size, size  # sums in another order


def test_what_cannot_serve_many_sizes_is_refused() -> None:
    job = make_job(48, 32)
    for wrong, words in (
        (replace(SIZES, best=(49, 32)), "multiples of 2x2, not 49x32"),
        (replace(SIZES, best=(98, 32)), "must lie between"),
    ):
        with pytest.raises(EngineError, match=words):
            emit_dynamic_onnx(job, wrong, TYPES)
    box = parse_size("60x60")
    placed = place(job.source, box, parse_fit("pad", box))
    resampled = build_job(random_weights(random_spec()), job.source, placement=placed)
    with pytest.raises(EngineError, match="to no other size"):
        emit_dynamic_onnx(resampled, SIZES, TYPES)


def test_ranges_are_written_and_read() -> None:
    assert SizeRange.parse(str(SIZES)) == SIZES
    assert SIZES.admits((16, 96)) and not SIZES.admits((98, 16))
