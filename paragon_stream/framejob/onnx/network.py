"""A network in upstream's form, unfolded, as an ONNX graph: RGB in, RGB out, zero padding everywhere.

Frame jobs do not use it. It is the form for other programs (`export onnx`), the baseline of the benchmarks,
and is compared with the golden vectors. Tensors keep their names in the state dict, so that the file can be
read as a checkpoint again (`checkpoint.onnx_file`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from paragon_stream.checkpoint import Variant, Weights, at_strength, fuse, metadata_of
from paragon_stream.checkpoint.constants import known_constant
from paragon_stream.checkpoint.lines.dual import DualSpec
from paragon_stream.checkpoint.lines.feature import FeatureSpec, Tail
from paragon_stream.checkpoint.lines.further import CategorySpec, UltimateSpec
from paragon_stream.checkpoint.onnx_file import STATE, State
from paragon_stream.checkpoint.spec import HEADS, Generation, ReleaseSpec
from paragon_stream.errors import UsageError
from paragon_stream.framejob.conv import groups_of
from paragon_stream.framejob.fold_attention import NORM_EPSILON
from paragon_stream.framejob.older import OlderNetwork, check_has_job
from paragon_stream.framejob.onnx.further_body import FurtherBody
from paragon_stream.framejob.onnx.graph import OnnxGraph
from paragon_stream.framejob.onnx.older_body import OlderBody
from paragon_stream.framejob.onnx.windows import Filling, Squares, attend, rolled

INPUT, OUTPUT = "input", "output"
PREVIOUS_INPUT, FEATURES_OUTPUT = "prev_feat", "feature_map"

VIDEO_WEIGHT = 0.2
"""Weight of the frame before in upstream's video mode."""

_FP16_LIMIT = 65504.0
_ONLY_IN_TRAINING = re.compile(r"\.(kernel_generator|cheap_dynamic)\.|\.tracked_kernel$")


def emit_network(
    weights: Weights, *, size: tuple[int, int] | None = None, half: bool = False, video: bool = False
) -> onnx.ModelProto:
    """`input` fp32 [1, 3, H, W] and `output` fp32 [1, 3, scale·H, scale·W], both 0…1, unclamped.

    `size` is (width, height); without it the graph accepts every size. With `half` the network's body
    computes in fp16; base path and last addition stay in fp32. With `video`, `prev_feat` fp32 [1, features,
    H, W], which is `feature_map` of the frame before, is blended in with the weight VIDEO_WEIGHT.

    Raises UsageError for discriminators, for a video mode that the network does not have, and without a
    `size` for generation 5's attention, the first version 11's Pro and Ultimate.
    """
    check_has_job(weights.spec)
    weights = fuse(at_strength(weights, 0.0) if weights.spec.conditioned else weights)
    if video and not isinstance(weights.spec, ReleaseSpec | CategorySpec | UltimateSpec):
        raise UsageError(f"{weights.spec} has no video mode; generations 9 to 11 have")
    emitter = _Emitter(weights, size and (size[1], size[0]), half)
    model = emitter.emit(video=video)
    facts = metadata_of(weights)
    if video:
        facts["video_weight"] = str(VIDEO_WEIGHT)
    facts[STATE] = json.dumps(emitter.state())
    helper.set_model_props(model, facts)
    return model


class _Emitter:
    """Emits one network into a graph."""

    def __init__(self, weights: Weights, grid: tuple[int, int] | None, half: bool) -> None:
        self._graph = OnnxGraph("network", np.float16 if half else np.float32, keeps_names=True)
        self._weights = weights
        self._spec = weights.spec
        self._tensors = weights.tensors
        self._grid = grid
        self._reshaped: dict[str, list[int]] = {}

    def emit(self, *, video: bool) -> onnx.ModelProto:
        graph, s = self._graph, self._spec.scale
        rows, columns = self._grid or ("height", "width")
        large = [s * side for side in self._grid] if self._grid else ["large_height", "large_width"]
        image = graph.input(INPUT, TensorProto.FLOAT, [1, 3, rows, columns])
        self._filling = Filling(graph, image, self._grid)
        match self._spec:
            case ReleaseSpec() | CategorySpec() | UltimateSpec():
                features = [1, self._spec.features, rows, columns]
                before = graph.input(PREVIOUS_INPUT, TensorProto.FLOAT, features) if video else ""
                out, tap = self._release(image, before)
                if video:
                    graph.output(tap, FEATURES_OUTPUT, TensorProto.FLOAT, features)
            case DualSpec():
                out = self._dual(image)
            case _:
                out = self._feature(image)
        graph.output(out, OUTPUT, TensorProto.FLOAT, [1, 3, *large])
        model = graph.model()
        outputs = {each.name: each for each in model.graph.output}
        del model.graph.output[:]
        model.graph.output.extend(outputs[name] for name in (OUTPUT, FEATURES_OUTPUT) if name in outputs)
        return model

    def state(self) -> State:
        """Metadata with which `checkpoint.onnx_file` finds the state dict in the graph."""
        stored = set(self._graph.stored_names)
        left_out = {}
        for name, shape in self._spec.tensor_shapes().items():
            if name in stored or _ONLY_IN_TRAINING.search(name):
                continue
            assert known_constant(name, shape) is not None, f"{name} is in no node"
            left_out[name] = list(shape)
        return {"left_out": left_out, "reshaped": self._reshaped}

    # The release line

    def _release(self, image: str, before: str) -> tuple[str, str]:
        """The picture, and the features after conv_in."""
        graph = self._graph
        x = self._conv("conv_in", graph.narrowed(image))
        if before:
            old = graph.scale(before, VIDEO_WEIGHT)
            x = graph.narrowed(graph.add(graph.scale(graph.widened(x), 1 - VIDEO_WEIGHT), old))
        tap = x
        x = self._conv("conv_mid", self._body(x))
        if isinstance(self._spec, UltimateSpec):
            x = graph.node("Mul", [x, self._stored("final_norm.weight")])
            x = graph.node("Add", [x, self._stored("final_norm.bias")])
        x = self._conv("up.0", x)
        x = graph.node("DepthToSpace", [x], blocksize=self._spec.scale, mode="CRD")
        detail = self._gained(self._conv("conv_out", x), "detail_gain")
        base = self._magic("base", image, 3, axes=("h", "v"), parts=("sharp", "blur"), in_float=True)
        return graph.add(base, graph.widened(detail)), tap

    def _body(self, x: str) -> str:
        spec = self._spec
        if isinstance(spec, CategorySpec | UltimateSpec):
            if self._grid is None:
                raise UsageError(f"the graph of {spec} depends on the size of the picture: give --size")
            return FurtherBody(self._graph, self._tensors, spec, self._grid, reshaped=self._reshaped).body(x)
        for number in range(spec.depth):
            prefix = f"body.{number // spec.blocks}.blocks.{number % spec.blocks}"
            x = self._block(prefix, x, shifted=number % 2 == 1)
        return x

    def _gained(self, x: str, name: str) -> str:
        return self._graph.node("Mul", [x, self._stored(name)])

    def _block(self, prefix: str, x: str, *, shifted: bool) -> str:
        match self._spec.variant:
            case Variant.REALTIME:
                return self._plus_scaled(x, self._widened(prefix, x), f"{prefix}.scale")
            case Variant.STREAM:
                return self._plus_scaled(x, self._gated(prefix, x), f"{prefix}.scale")
            case Variant.PHOTO:
                branch = self._widened(prefix, self._norm(f"{prefix}.norm", x))
                x = self._plus_scaled(x, branch, f"{prefix}.scale")
                if not self._spec.window:
                    return x
                seen = self._attention(f"{prefix}.attn", self._norm(f"{prefix}.attn_norm", x), shifted)
                return self._plus_scaled(x, seen, f"{prefix}.scale")
        x = self._plus_scaled(x, self._widened(prefix, self._norm(f"{prefix}.norm1", x)), f"{prefix}.scale1")
        x = self._plus_scaled(x, self._channel_attention(prefix, x), f"{prefix}.scale2")
        if self._spec.window:
            seen = self._attention(f"{prefix}.window_attn", self._norm(f"{prefix}.norm3", x), shifted)
            x = self._plus_scaled(x, seen, f"{prefix}.scale3")
        read = self._token_attention(f"{prefix}.token_ca", self._norm(f"{prefix}.norm4", x))
        return self._plus_scaled(x, read, f"{prefix}.scale4")

    def _plus_scaled(self, x: str, branch: str, name: str) -> str:
        if f"{name}.gamma" in self._tensors:
            branch = self._graph.node("Mul", [branch, self._stored(f"{name}.gamma")])
        return self._graph.add(x, branch)

    def _widened(self, prefix: str, x: str) -> str:
        wide = self._conv(f"{prefix}.dw", self._conv(f"{prefix}.conv1", x))
        return self._conv(f"{prefix}.conv2", self._graph.node("Gelu", [wide]))

    def _gated(self, prefix: str, x: str) -> str:
        graph, half = self._graph, 2 * self._spec.features
        seen = graph.concat([self._conv(f"{prefix}.dw1", x), self._conv(f"{prefix}.dw3", x, dilation=3)])
        wide = self._conv(f"{prefix}.gate", self._conv(f"{prefix}.proj", self._conv(f"{prefix}.fuse", seen)))
        a, b = (graph.widened(graph.channels(wide, half * n, half * (n + 1))) for n in (0, 1))
        product = graph.node("Mul", [a, b])
        limit = min(self._spec.product_limit, _FP16_LIMIT if self._spec.has_layer_scale else math.inf)
        if graph.is_half or math.isfinite(limit):
            bounds = [graph.constant(sign * min(limit, _FP16_LIMIT)) for sign in (-1, 1)]
            product = graph.node("Clip", [product, *bounds])
        return self._conv(f"{prefix}.out", graph.narrowed(product))

    def _norm(self, name: str, x: str) -> str:
        graph = self._graph
        wide = graph.widened(x)
        mean = graph.node("ReduceMean", [graph.node("Mul", [wide, wide]), graph.constant([1], np.int64)])
        root = graph.node("Sqrt", [graph.add_constant(mean, NORM_EPSILON)])
        y = graph.narrowed(graph.node("Div", [wide, root]))
        y = graph.node("Mul", [y, self._stored(f"{name}.scale")])
        return graph.node("Add", [y, self._stored(f"{name}.bias")])

    def _attention(self, name: str, x: str, shifted: bool) -> str:
        graph, spec = self._graph, self._spec
        w, each = spec.window, spec.features // HEADS
        shift = w // 2 if shifted else 0
        x = self._filling.fill(x, w)
        x = rolled(graph, x, shift) if shift else x
        squares = Squares(graph, w, self._filling.grid(w))
        tokens = squares.tokens(self._conv(f"{name}.qkv", x), 3 * HEADS, each)
        query, key, value = (graph.channels(tokens, HEADS * n, HEADS * (n + 1)) for n in range(3))
        sharp = graph.node("Mul", [query, graph.constant(each**-0.5, graph.conv_type)])
        y = self._conv(f"{name}.proj", squares.map(attend(graph, sharp, key, value), HEADS, each))
        return self._filling.cut(rolled(graph, y, -shift) if shift else y)

    def _channel_attention(self, prefix: str, x: str) -> str:
        graph = self._graph
        axes = graph.constant([2, 3], np.int64)
        mean = graph.narrowed(graph.node("ReduceMean", [graph.widened(x), axes]))
        squeezed = graph.node("Gelu", [self._conv(f"{prefix}.channel_attn.fc.0", mean)])
        factors = graph.node("Sigmoid", [self._conv(f"{prefix}.channel_attn.fc.2", squeezed)])
        return graph.node("Mul", [x, factors])

    def _token_attention(self, name: str, x: str) -> str:
        """Every pixel attends to the dictionary: [1, tokens, pixels] scores."""
        graph = self._graph
        # Keys and values are constants, which runtimes fold in fp32 alone.
        dictionary = graph.stored(f"{name}.token_dict", self._tensors[f"{name}.token_dict"], np.float32)
        query = self._conv(f"{name}.q_proj", x)
        channels = self._tensors[f"{name}.q_proj.bias"].size
        pixels = graph.reshape(query, [1, channels, -1])
        keys = graph.narrowed(graph.scale(self._linear(f"{name}.k_proj", dictionary), channels**-0.5))
        weights = graph.node("Softmax", [graph.node("MatMul", [keys, pixels])], axis=1)
        values = graph.narrowed(graph.transpose(self._linear(f"{name}.v_proj", dictionary), [0, 2, 1]))
        read = graph.node("MatMul", [values, weights])
        sides = graph.slice(graph.node("Shape", [x]), [0], [4], [0])
        return self._conv(f"{name}.out_proj", graph.node("Reshape", [read, sides]))

    def _linear(self, name: str, x: str) -> str:
        graph = self._graph
        weight, bias = (
            graph.stored(f"{name}.{each}", self._tensors[f"{name}.{each}"], np.float32)
            for each in ("weight", "bias")
        )
        product = graph.node("MatMul", [x, graph.transpose(weight, [1, 0])])
        return graph.add(product, bias)

    # The older lines

    def _dual(self, image: str) -> str:
        graph, spec = self._graph, self._spec
        assert isinstance(spec, DualSpec)
        body = OlderBody(graph, OlderNetwork(tensors=self._tensors), spec, None, filling=self._filling)
        x = self._conv("conv_in", graph.narrowed(image))
        b = body.body(x)
        d = body.content(graph.add(self._conv("conv_fuse", b), b))
        if len(spec.packs) > 1:
            large = body.stages(d)
        else:
            large = graph.node(
                "DepthToSpace", [self._conv(spec.packs[0], d)], blocksize=spec.scale, mode="CRD"
            )
        detail = self._conv("conv_out", large)
        if spec.generation is not Generation.V5:
            detail = self._gained(detail, "global_detail_gain")
        elif spec.content:
            analyzed = self._conv("content_processor.content_analyzer.0", graph.narrowed(image))
            detail = graph.node("Mul", [graph.widened(detail), body.gain_from(analyzed)])
            return graph.add(self._magic(spec.base, image, 3, in_float=True), detail)
        return graph.add(self._magic(spec.base, image, 3, in_float=True), graph.widened(detail))

    def _feature(self, image: str) -> str:
        graph, spec = self._graph, self._spec
        assert isinstance(spec, FeatureSpec)
        body = OlderBody(graph, OlderNetwork(tensors=self._tensors), spec, None, filling=self._filling)
        first = self._conv("conv_in", graph.narrowed(image))
        x = graph.add(self._conv("conv_fuse", body.body(first)), first)
        if spec.magic:
            x = self._magic("magic_upsampler", x, spec.features)
        match spec.tail:
            case Tail.SHUFFLE:
                packed = self._conv(spec.upsampler, x)
                x = graph.node("DepthToSpace", [packed], blocksize=spec.scale, mode="CRD")
            case Tail.NEAREST:
                x = self._conv(spec.upsampler, self._repeated(x))
            case _:
                x = body.head_blocks(self._conv(spec.upsampler, x))
        return graph.widened(self._conv("conv_out", x))

    # What all have

    def _stored(self, name: str) -> str:
        return self._graph.stored(name, self._tensors[name])

    def _conv(self, name: str, x: str, *, dilation: int = 1) -> str:
        """A stored layer; matrices become 1×1 convolutions, depthwise ones have one input each."""
        graph = self._graph
        weight = self._tensors[f"{name}.weight"]
        if weight.ndim == 2:
            self._reshaped[f"{name}.weight"] = list(weight.shape)
            weight = weight[:, :, None, None]
        inputs = [x, graph.stored(f"{name}.weight", weight)]
        if f"{name}.bias" in self._tensors:
            inputs.append(self._stored(f"{name}.bias"))
        pads = [side // 2 * dilation for side in weight.shape[2:]] * 2
        label = name.rsplit(".", 1)[-1]
        return graph.node(
            "Conv",
            inputs,
            label=label,
            kernel_shape=list(weight.shape[2:]),
            pads=pads,
            strides=[1, 1],
            dilations=[dilation] * 2,
            group=groups_of(weight),
        )

    def _magic(
        self,
        name: str,
        x: str,
        channels: int,
        *,
        axes: Sequence[str] = ("conv_h", "conv_v"),
        parts: Sequence[str] = ("sharpen", "resample_conv"),
        in_float: bool = False,
    ) -> str:
        """Half-band blended in by alpha, repetition, blur."""
        graph, alpha = self._graph, self._spec.alpha
        kind: Any = np.float32 if in_float else graph.conv_type
        if alpha:
            low = self._separable(f"{name}.{parts[0]}", x, axes, channels, kind)
            difference = graph.node("Sub", [low, x])
            x = graph.add(x, graph.node("Mul", [difference, graph.constant(alpha, kind)]))
        return self._separable(f"{name}.{parts[1]}", self._repeated(x), axes, channels, kind)

    def _separable(self, name: str, x: str, axes: Sequence[str], channels: int, kind: Any) -> str:
        graph = self._graph
        for axis in axes:
            weight: NDArray[np.float32] = self._tensors[f"{name}.{axis}.weight"]
            pads = [side // 2 for side in weight.shape[2:]] * 2
            stored = graph.stored(f"{name}.{axis}.weight", weight, kind)
            x = graph.node("Conv", [x, stored], label=axis, pads=pads, group=channels)
        return x

    def _repeated(self, x: str) -> str:
        graph, s = self._graph, self._spec.scale
        return graph.node(
            "Resize",
            [x, "", graph.constant([1.0, 1.0, s, s])],
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )
