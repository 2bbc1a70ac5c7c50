"""bf16 on machines without it: the ONNX graph of a job with the inputs and weights of convolutions rounded.

That is what the CPU's instructions do (VDPBF16PS: products of bf16 values, summed in fp32); the results that
pass from one convolution to the next are rounded when the next one reads them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from paragon_stream.framejob import FrameJob
from paragon_stream.framejob.onnx.emit import (
    STRENGTH_INPUT,
    emit_onnx,
    input_names,
    output_names,
    tensor_shapes,
)

type Planes = tuple[NDArray, ...]


def to_bf16(values: NDArray) -> NDArray:
    """The nearest bf16 values, ties to even, as float32."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32).reshape(np.shape(values))


NATIVE = ("expand", "project", "from_near", "from_far")
"""The convolutions that the engine native's form avx512_bf16 computes in bf16, except in Realtime's last
block; all others are fp32 there."""


def bf16_emulation(job: FrameJob, kinds: tuple[str, ...] = ("",)) -> Callable[[Planes], Planes]:
    """A function that runs `job` in this way, at strength 0: all of its convolutions, or those of these
    kinds."""
    model = emit_onnx(job, lanes=16)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    chosen = [
        n for n, node in enumerate(model.graph.node) if node.op_type == "Conv" and node.name.startswith(kinds)
    ]
    if kinds == NATIVE and job.spec.variant == "realtime":
        del chosen[-2:]
    for number, node in enumerate(model.graph.node):
        if number in chosen:
            for place, kind in ((0, "maps"), (1, "weights")):
                name, rounded = node.input[place], f"{kind}_{number}"
                if place and name in weights:
                    values = to_bf16(onnx.numpy_helper.to_array(weights[name]))
                    model.graph.initializer.append(onnx.numpy_helper.from_array(values, rounded))
                else:
                    narrow = onnx.helper.make_node(
                        "Cast", [name], [rounded + "_bf16"], to=onnx.TensorProto.BFLOAT16
                    )
                    wide = onnx.helper.make_node(
                        "Cast", [rounded + "_bf16"], [rounded], to=onnx.TensorProto.FLOAT
                    )
                    nodes += [narrow, wide]
                node.input[place] = rounded
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def run(planes: Planes) -> Planes:
        shapes = tensor_shapes(job.source)
        feed = {
            name: plane.reshape(shape)
            for name, plane, shape in zip(input_names(job.source), planes, shapes, strict=True)
        }
        if job.spec.conditioned:
            feed[STRENGTH_INPUT] = np.zeros(1, np.float32)
        results = session.run(output_names(job.target), feed)
        return tuple(
            result.reshape(shape) for result, shape in zip(results, job.target.plane_shapes, strict=True)
        )

    return run
