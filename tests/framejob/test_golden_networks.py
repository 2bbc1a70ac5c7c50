"""The architecture itself: upstream's recorded answers, by the numpy network and by the unfolded graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors
import safetensors.numpy
from network_reference import network, random_spec, random_weights

from paragon_stream.checkpoint import Weights
from paragon_stream.framejob.onnx.network import emit_network

GOLDEN = [
    "p2head_realtime_x2",
    "p2head_realtime_x3",
    "p2head_realtime_x4",
    "p2head_stream_x2",
    "p2head_stream_x4",
    "p2v9_realtime_x2",
    "p2v9_stream_x2",
    "p2v10_realtime_x2",
]
ATTENTION = ["p2head_redphoto32_ws16_x2", "p2head_redpro32_ws16_x2"]  # fmt: skip


def run_upstream(weights: Weights, image: np.ndarray) -> np.ndarray:
    model = emit_network(weights, size=(image.shape[3], image.shape[2]))
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input": image})[0])


@pytest.mark.parametrize("name", [*GOLDEN, *ATTENTION])
def test_golden_answers(shared: Path, name: str) -> None:
    path = shared / "reference" / "golden" / f"{name}.safetensors"
    with safetensors.safe_open(path, "np") as file:
        metadata = file.metadata()
    golden = safetensors.numpy.load_file(path)
    tensors = {key[3:]: value for key, value in golden.items() if key.startswith("sd.")}
    weights = Weights.from_tensors(tensors, metadata=metadata, window_size=16 if name in ATTENTION else None)
    tolerance = 2e-5 * np.abs(golden["out"]).max()
    plain = network(weights, golden["in"][0].astype(np.float64))
    np.testing.assert_allclose(plain, golden["out"][0], rtol=1e-4, atol=tolerance)
    got = run_upstream(weights, golden["in"])
    np.testing.assert_allclose(got, golden["out"], rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("alpha", [0.0, 0.7])
@pytest.mark.parametrize(("variant", "scale"), [("realtime", 2), ("realtime", 3), ("stream", 2)])
def test_graph_equals_numpy_on_random_weights(variant: str, scale: int, alpha: float) -> None:
    weights = random_weights(random_spec(variant, scale, alpha=alpha), seed=5)
    image = np.random.default_rng(2).random((1, 3, 13, 18)).astype(np.float32)
    expected = network(weights, image[0].astype(np.float64))
    np.testing.assert_allclose(run_upstream(weights, image)[0], expected, rtol=1e-4, atol=1e-5)
