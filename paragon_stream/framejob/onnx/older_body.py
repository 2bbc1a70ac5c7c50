"""The bodies and tails of the older lines as ONNX nodes. Formulas: `models.feature`, `models.dual`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from paragon_stream.checkpoint.fusing import depthwise_kernel
from paragon_stream.checkpoint.lines.dual import FUSES_SCALES, DualBlock, DualSpec
from paragon_stream.checkpoint.lines.feature import FeatureSpec
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import Generation, NetworkSpec
from paragon_stream.framejob.conv import Conv, double, folded
from paragon_stream.framejob.older import OlderNetwork
from paragon_stream.framejob.onnx.body import Region
from paragon_stream.framejob.onnx.graph import OnnxGraph

SLOPE = 0.1


class OlderBody:
    """Writes one older network into a graph. Maps are [1, features, rows, columns] on the padded grid."""

    def __init__(self, graph: OnnxGraph, network: OlderNetwork, spec: NetworkSpec, region: Region) -> None:
        self._graph = graph
        self._network = network
        self._spec = spec
        self._region = region

    def body(self, x: str) -> str:
        """The groups of blocks, each with a skip around it."""
        graph, spec = self._graph, self._spec
        for group in range(spec.groups):
            y = x
            for block in range(spec.blocks):
                part = self._part(f"body.{group}.blocks.{block}.")
                y = self._feature(y, part) if isinstance(spec, FeatureSpec) else self._dual(y, part)
            if spec.generation in FUSES_SCALES:
                y = self._fused_scales(y, self._part(f"body.{group}."))
            x = graph.add(x, y)
        return x

    def content(self, x: str) -> str:
        """Features scaled by v6 to v8's content map, where there is one."""
        part = self._part("content_processor.analyzer.")
        if not part:
            return x
        y = self._leaky(self._conv(x, part, "0"))
        y = self._leaky(self._conv(self._conv(y, part, "2"), part, "3"))
        map = self._graph.node("Sigmoid", [self._conv(y, part, "5")])
        return self._times(self._graph.node("Mul", [x, map]), 2.0)

    def gain(self, planes: str, analyse: Conv) -> str:
        """v5's factor for the detail, [1, 1, 1, 1] in fp32; `analyse` is its first layer, on `planes`."""
        part = self._part("content_processor.content_analyzer.")
        y = self._leaky(self._graph.conv(planes, analyse, "analyse"))
        y = self._leaky(self._conv(self._leaky(self._conv(y, part, "2")), part, "4"))
        seen = self._graph.node("Sigmoid", [self._conv(self._mean(y), part, "7")])
        return self._graph.add_constant(self._graph.scale(self._graph.widened(seen), -0.15), 0.2)

    def head(self, x: str) -> str:
        """Planes at the large size, all components, from the features behind conv_fuse."""
        graph, network, spec = self._graph, self._network, self._spec
        assert isinstance(spec, FeatureSpec) and network.lift is not None
        if network.sharpen is not None:
            x = graph.conv(x, network.sharpen, "sharpen")
        phases = graph.conv(x, network.lift, "lift")
        x = graph.node("DepthToSpace", [phases], blocksize=spec.scale, mode="CRD")
        for layer in network.head[:-1]:
            x = graph.conv(x, layer, "head")
        for index in range(spec.hr_blocks):
            part = self._part(f"hr_head.{index}.")
            y = self._picture_norm(x, spec.scale) if spec.use_norm else x
            y = self._leaky(self._conv(y, part, "conv1"))
            y = self._picture_norm(y, spec.scale) if spec.use_norm else y
            x = graph.add(x, self._conv(y, part, "conv2"))
        return graph.conv(x, network.head[-1], "planes")

    def _part(self, prefix: str) -> Tensors:
        tensors = self._network.tensors
        return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}

    def _feature(self, x: str, part: Tensors) -> str:
        spec = self._spec
        assert isinstance(spec, FeatureSpec)
        context = self._inception(self._norm(x, part, "norm1"), part)
        x = self._graph.add(x, self._scaled(context, part, "ls1"))
        z = self._norm(x, part, "norm2")
        if spec.generation is Generation.V4:
            y = self._static(z, part)
        else:
            weight, bias = depthwise_kernel(part, spec)
            mix = folded(weight, bias, pads=(1, 1, 1, 1), groups=len(weight))
            first = "project_in_g" if spec.gated else "project_in"
            y = self._graph.conv(self._conv(z, part, f"transformer.{first}"), mix, "mix")
            if spec.gated:
                y = self._graph.node("Mul", [self._mish(y), self._conv(z, part, "transformer.project_in_i")])
            else:
                y = self._mish(y) if spec.generation is Generation.V0 else self._leaky(y)
        x = self._graph.add(x, self._projected(y, part, "transformer.project_out", "ls2"))
        behind = spec.generation is Generation.V4 and spec.use_norm
        return self._picture_norm(x) if behind else x

    def _static(self, z: str, part: Tensors) -> str:
        y = self._conv(self._conv(z, part, "transformer.project_in"), part, "transformer.dw_mixer.0")
        y = self._leaky(y)
        y = self._conv(y, part, "transformer.dw_mixer.2")
        if "transformer.channel_mod.net.1.weight" in part:
            y = self._excited(y, part, "transformer.channel_mod.net")
        return y

    def _dual(self, x: str, part: Tensors) -> str:
        spec, graph = self._spec, self._graph
        assert isinstance(spec, DualSpec)
        if spec.block is DualBlock.NANO:
            y = graph.node("HardSwish", [self._conv(x, part, "net.0")])
            y = graph.node("HardSwish", [self._conv(y, part, "net.2")])
            return graph.add(x, self._conv(y, part, "net.4"))
        if spec.block is DualBlock.GATE:
            y = self._inception(x, part) if spec.band else self._conv(x, part, "context")
            y = self._conv(self._conv(y, part, "proj_in"), part, "dw_gate")
            halves = [graph.channels(y, spec.hidden * n, spec.hidden * (n + 1)) for n in (0, 1)]
            return graph.add(x, self._conv(graph.node("Mul", halves), part, "proj_out"))
        x = graph.add(x, self._scaled(self._inception(x, part), part, "ls1"))
        if spec.block is DualBlock.STATIC:
            x = graph.add(x, self._projected(self._static(x, part), part, "transformer.project_out", "ls2"))
            return self._root_norm(x, part) if spec.normed else x
        y = self._conv(self._root_norm(x, part), part, "project_in")
        y = graph.node("Gelu", [self._conv(y, part, "dw_mixer.0")])
        y = self._excited(self._conv(y, part, "dw_mixer.2"), part, "gate")
        return graph.add(x, self._projected(y, part, "project_out", "ls2"))

    def _fused_scales(self, x: str, part: Tensors) -> str:
        x = self._conv(x, part, "mid_conv")
        views = self._graph.concat([self._conv(x, part, f"mscf.{name}") for name in ("p1", "p3", "p5")])
        y = self._graph.node("Relu", [self._conv(views, part, "mscf.attn.0")])
        weights = self._graph.node("Sigmoid", [self._conv(y, part, "mscf.attn.2")])
        return self._conv(self._graph.node("Mul", [x, weights]), part, "mscf.proj")

    def _conv(self, x: str, part: Tensors, name: str) -> str:
        """A layer as it is stored; depthwise where it has one input per output."""
        weight, bias = part[f"{name}.weight"], part[f"{name}.bias"]
        pads = (weight.shape[2] // 2, weight.shape[3] // 2) * 2
        groups = len(weight) if weight.shape[1] == 1 else 1
        return self._graph.conv(x, Conv(weight=weight, bias=bias, pads=pads, groups=groups), name)

    def _projected(self, x: str, part: Tensors, name: str, scale: str) -> str:
        """A 1×1 layer with the layer scale behind it."""
        weight, bias = double(part[f"{name}.weight"]), double(part[f"{name}.bias"])
        if f"{scale}.gamma" in part:
            gamma = double(part[f"{scale}.gamma"]).reshape(-1)
            weight, bias = weight * gamma[:, None, None, None], bias * gamma
        return self._graph.conv(x, folded(weight, bias), "project")

    def _inception(self, x: str, part: Tensors) -> str:
        third = len(part["context.dwconv_hw.bias"])
        same = self._spec.features - 3 * third
        pieces = [self._graph.channels(x, 0, same)]
        for number, axis in enumerate(("hw", "w", "h")):
            piece = self._graph.channels(x, same + number * third, same + (number + 1) * third)
            pieces.append(self._conv(piece, part, f"context.dwconv_{axis}"))
        return self._graph.concat(pieces)

    def _scaled(self, x: str, part: Tensors, name: str) -> str:
        if f"{name}.gamma" not in part:
            return x
        return self._times(x, part[f"{name}.gamma"].reshape(-1, 1, 1))

    def _times(self, x: str, values: ArrayLike) -> str:
        return self._graph.node("Mul", [x, self._graph.constant(values, self._graph.conv_type)])

    def _plus(self, x: str, values: ArrayLike) -> str:
        return self._graph.node("Add", [x, self._graph.constant(values, self._graph.conv_type)])

    def _leaky(self, x: str) -> str:
        return self._graph.node("LeakyRelu", [x], alpha=SLOPE)

    def _mish(self, x: str) -> str:
        return self._graph.node("Mul", [x, self._graph.node("Tanh", [self._graph.node("Softplus", [x])])])

    def _excited(self, x: str, part: Tensors, name: str) -> str:
        y = self._graph.node("Relu", [self._conv(self._mean(x), part, f"{name}.1")])
        return self._graph.node("Mul", [x, self._graph.node("Sigmoid", [self._conv(y, part, f"{name}.3")])])

    def _picture(self, x: str, factor: int = 1) -> str:
        """The map without its margins."""
        region = self._region
        top, left = region.top * factor, region.left * factor
        ends = [top + region.height * factor, left + region.width * factor]
        return self._graph.slice(x, [top, left], ends, [2, 3])

    def _mean(self, x: str) -> str:
        """Means over the picture: [1, features, 1, 1]."""
        wide = self._graph.to_float(self._picture(x))
        axes = self._graph.constant([2, 3], np.int64)
        return self._graph.narrowed(self._graph.node("ReduceMean", [wide, axes]))

    def _norm(self, x: str, part: Tensors, name: str) -> str:
        spec = self._spec
        assert isinstance(spec, FeatureSpec)
        if spec.pixel_norm:
            y = self._normed(x, x, [1])
        elif spec.picture_norm:
            y = self._normed(x, self._picture(x), [1, 2, 3])
        else:
            return x
        weight, bias = (part[f"{name}.{each}"].reshape(-1, 1, 1) for each in ("weight", "bias"))
        return self._plus(self._times(y, weight), bias)

    def _picture_norm(self, x: str, factor: int = 1) -> str:
        return self._normed(x, self._picture(x, factor), [1, 2, 3])

    def _normed(self, x: str, seen: str, axes: list[int]) -> str:
        """`x` less the mean of `seen`, over the root of its variance, in fp32."""
        graph = self._graph
        over = graph.constant(axes, np.int64)
        wide = graph.to_float(seen)
        mean = graph.node("ReduceMean", [wide, over])
        centred = graph.node("Sub", [wide, mean])
        variance = graph.node("ReduceMean", [graph.node("Mul", [centred, centred]), over])
        root = graph.node("Sqrt", [graph.add_constant(variance, 1e-5)])
        return graph.narrowed(graph.node("Div", [graph.node("Sub", [graph.to_float(x), mean]), root]))

    def _root_norm(self, x: str, part: Tensors) -> str:
        graph = self._graph
        wide = graph.to_float(x)
        square = graph.node("ReduceMean", [graph.node("Mul", [wide, wide]), graph.constant([1], np.int64)])
        root = graph.add_constant(graph.node("Sqrt", [square]), 1e-6)
        y = graph.narrowed(graph.node("Div", [wide, root]))
        return self._plus(self._times(y, part["norm.scale"]), part["norm.offset"])
