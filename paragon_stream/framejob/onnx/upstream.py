"""The network as upstream wrote it, unfolded, as an ONNX graph: RGB in, RGB out, zero padding everywhere.

No frame job needs it. It is the form in which other tools run these networks: the baseline of the benchmarks
and what the golden vectors of the architecture are compared with.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from paragon_stream.checkpoint import Variant, Weights
from paragon_stream.checkpoint.spec import MAGIC_BLUR, MAGIC_SHARPEN
from paragon_stream.errors import UsageError
from paragon_stream.framejob.conv import Conv
from paragon_stream.framejob.onnx.graph import OnnxGraph


def emit_upstream_onnx(weights: Weights, width: int, height: int) -> onnx.ModelProto:
    """`in` fp32 [1, 3, height, width], `out` fp32 [1, 3, scale·height, scale·width]; both 0…1, unclamped.

    Raises UsageError for the variants with attention, which `models` has.
    """
    if weights.spec.variant not in (Variant.REALTIME, Variant.STREAM):
        raise UsageError(f"there is no unfolded graph of {weights.spec.variant}")
    spec, graph = weights.spec, OnnxGraph("upstream")
    image = graph.input("in", TensorProto.FLOAT, [1, 3, height, width])
    x = _layer(graph, weights, "conv_in", image)
    for group in range(spec.groups):
        for block in range(spec.blocks):
            x = _block(graph, weights, f"body.{group}.blocks.{block}", x)
    x = _layer(graph, weights, "up.0", _layer(graph, weights, "conv_mid", x))
    x = graph.node("DepthToSpace", [x], blocksize=spec.scale, mode="CRD")
    x = graph.scale(_layer(graph, weights, "conv_out", x), weights.tensors["detail_gain"])
    out = graph.add(_magic_kernel(graph, image, spec.scale, spec.alpha), x)
    graph.output(out, "out", TensorProto.FLOAT, [1, 3, height * spec.scale, width * spec.scale])
    return graph.model()


def _layer(graph: OnnxGraph, weights: Weights, name: str, x: str, *, dilation: int = 1) -> str:
    weight, bias = weights.tensors[f"{name}.weight"], weights.tensors[f"{name}.bias"]
    pad = weight.shape[2] // 2 * dilation
    groups = weight.shape[0] if weight.shape[1] == 1 else 1
    conv = Conv(weight=weight, bias=bias, pads=(pad,) * 4, dilation=dilation, groups=groups)
    return graph.conv(x, conv, name)


def _block(graph: OnnxGraph, weights: Weights, prefix: str, x: str) -> str:
    def layer(name: str, value: str, *, dilation: int = 1) -> str:
        return _layer(graph, weights, f"{prefix}.{name}", value, dilation=dilation)

    spec = weights.spec
    if spec.variant is Variant.REALTIME:
        y = layer("conv2", graph.node("Gelu", [layer("dw", layer("conv1", x))]))
    else:
        seen = graph.concat([layer("dw1", x), layer("dw3", x, dilation=3)])
        wide = layer("gate", layer("proj", layer("fuse", seen)))
        half = 2 * spec.features
        gated = graph.node("Mul", [graph.channels(wide, 0, half), graph.channels(wide, half, 2 * half)])
        y = layer("out", graph.clipped(gated, min(spec.product_limit, 65504.0)))
    if spec.has_layer_scale:
        y = graph.scale(y, weights.tensors[f"{prefix}.scale.gamma"])
    return graph.add(x, y)


def _magic_kernel(graph: OnnxGraph, x: str, scale: int, alpha: float) -> str:
    """Half-band blended in by alpha, nearest neighbour, blur."""
    if alpha:
        difference = graph.node("Sub", [_separable(graph, x, MAGIC_SHARPEN), x])
        x = graph.add(x, graph.scale(difference, alpha))
    sizes = graph.constant([1.0, 1.0, scale, scale])
    x = graph.node(
        "Resize",
        [x, "", sizes],
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )
    return _separable(graph, x, MAGIC_BLUR)


def _separable(graph: OnnxGraph, x: str, taps: tuple[float, ...]) -> str:
    half = len(taps) // 2
    row = np.tile(np.array(taps, np.float32), (3, 1, 1, 1)).reshape(3, 1, 1, -1)
    none = np.zeros(3, np.float32)
    x = graph.conv(x, Conv(weight=row, bias=none, pads=(0, half, 0, half), groups=3), "across")
    column = row.transpose(0, 1, 3, 2)
    return graph.conv(x, Conv(weight=column, bias=none, pads=(half, 0, half, 0), groups=3), "down")
