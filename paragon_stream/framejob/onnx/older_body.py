"""The bodies and tails of the older lines as ONNX nodes. Formulas: `models.feature`, `models.dual`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paragon_stream.checkpoint.fusing import depthwise_kernel
from paragon_stream.checkpoint.lines.dual import FUSES_SCALES, DualBlock, DualSpec
from paragon_stream.checkpoint.lines.feature import REPARAMETERISED, FeatureSpec
from paragon_stream.checkpoint.lines.further import CategorySpec, UltimateSpec
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import HEADS, Generation, NetworkSpec
from paragon_stream.errors import UsageError
from paragon_stream.framejob.conv import Conv, double, folded, groups_of
from paragon_stream.framejob.older import OlderNetwork
from paragon_stream.framejob.onnx.body import Region
from paragon_stream.framejob.onnx.further_body import FurtherBody
from paragon_stream.framejob.onnx.graph import OnnxGraph
from paragon_stream.framejob.onnx.overlap_attention import OverlapAttention
from paragon_stream.framejob.onnx.windows import (
    Filling,
    Squares,
    attend_in_parts,
    relative_bias,
    rolled,
)

SLOPE = 0.1


class Part(dict[str, NDArray[np.float32]]):
    """The tensors of a state dict whose names begin with `prefix`, under their names without it."""

    def __init__(self, tensors: Tensors, prefix: str) -> None:
        super().__init__(
            {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
        )
        self.prefix = prefix


class OlderBody:
    """Writes one older network into a graph. Maps are [1, features, rows, columns].

    In a frame job the picture is a `region` of the padded grid, and attention windows are inside it.
    Otherwise the picture is the whole map, whose size is in `filling`, and windows are padded and wrap around
    as in upstream.
    """

    def __init__(
        self,
        graph: OnnxGraph,
        network: OlderNetwork,
        spec: NetworkSpec,
        region: Region | None,
        *,
        filling: Filling | None = None,
        windows: int = 0,
    ) -> None:
        self._graph = graph
        self._network = network
        self._spec = spec
        self._region = region
        self._filling = filling
        self._windows = windows

    def body(self, x: str) -> str:
        """The groups of blocks; those of the older lines have a skip around each."""
        graph, spec = self._graph, self._spec
        if isinstance(spec, CategorySpec | UltimateSpec):
            assert self._region is not None
            grid, tensors = self._region.grid, self._network.tensors
            return FurtherBody(graph, tensors, spec, grid, region=self._region).body(x)
        for group in range(spec.groups):
            y = x
            for block in range(spec.blocks):
                part = self._part(f"body.{group}.blocks.{block}.")
                shifted = (group * spec.blocks + block) % 2 == 1
                if isinstance(spec, FeatureSpec):
                    y = self._feature(y, part)
                else:
                    y = self._dual(y, part, shifted=shifted)
            if spec.generation in FUSES_SCALES:
                y = self._fused_scales(y, self._part(f"body.{group}."))
            x = graph.add(x, y)
        return x

    def content(self, x: str) -> str:
        """Features, scaled by the content map of v6 to v8 if there is one."""
        part = self._part("content_processor.analyzer.")
        if not part:
            return x
        y = self._leaky(self._conv(x, part, "0"))
        y = self._leaky(self._conv(self._conv(y, part, "2"), part, "3"))
        map = self._graph.node("Sigmoid", [self._conv(y, part, "5")])
        return self._times(self._graph.node("Mul", [x, map]), 2.0)

    def gain(self, planes: str, analyse: Conv) -> str:
        """v5's factor for the detail, [1, 1, 1, 1] in fp32; `analyse` is its first layer, on `planes`."""
        return self.gain_from(self._graph.conv(planes, analyse, "analyse"))

    def gain_from(self, analyzed: str) -> str:
        """The same from the result of the first layer."""
        part = self._part("content_processor.content_analyzer.")
        y = self._leaky(analyzed)
        y = self._leaky(self._conv(self._leaky(self._conv(y, part, "2")), part, "4"))
        seen = self._graph.node("Sigmoid", [self._conv(self._mean(y), part, "7")])
        return self._graph.add_constant(self._graph.scale(self._graph.widened(seen), -0.15), 0.2)

    def stages(self, x: str) -> str:
        """v6 to v8 at ×4 and ×8: doublings, with a convolution and a leaky ReLU between."""
        assert isinstance(self._spec, DualSpec)
        whole = self._part("")
        for name in self._spec.packs:
            x = self._conv(x, whole, name)
            if name.endswith("up_conv"):
                x = self._graph.node("DepthToSpace", [x], blocksize=2, mode="CRD")
            else:
                x = self._leaky(x)
        return x

    def head(self, x: str) -> str:
        """Planes at the large size, all components, from the features behind conv_fuse."""
        graph, network, spec = self._graph, self._network, self._spec
        if isinstance(spec, DualSpec):
            return graph.conv(self.stages(x), network.head[-1], "planes")
        assert isinstance(spec, FeatureSpec) and network.lift is not None
        if network.sharpen is not None:
            x = graph.conv(x, network.sharpen, "sharpen")
        phases = graph.conv(x, network.lift, "lift")
        x = graph.node("DepthToSpace", [phases], blocksize=spec.scale, mode="CRD")
        for layer in network.head[:-1]:
            x = graph.conv(x, layer, "head")
        return graph.conv(self.head_blocks(x), network.head[-1], "planes")

    def head_blocks(self, x: str) -> str:
        """The residual blocks at the large size."""
        spec = self._spec
        assert isinstance(spec, FeatureSpec)
        for index in range(spec.hr_blocks):
            part = self._part(f"hr_head.{index}.")
            y = self._picture_norm(x, spec.scale) if spec.use_norm else x
            y = self._leaky(self._conv(y, part, "conv1"))
            y = self._picture_norm(y, spec.scale) if spec.use_norm else y
            x = self._graph.add(x, self._conv(y, part, "conv2"))
        return x

    def _part(self, prefix: str) -> Part:
        return Part(self._network.tensors, prefix)

    def _feature(self, x: str, part: Part) -> str:
        spec = self._spec
        assert isinstance(spec, FeatureSpec)
        context = self._inception(self._norm(x, part, "norm1"), part)
        x = self._graph.add(x, self._scaled(context, part, "ls1"))
        z = self._norm(x, part, "norm2")
        if spec.generation is Generation.V4:
            y = self._static(z, part)
        else:
            first = "project_in_g" if spec.gated else "project_in"
            y = self._mixed(self._conv(z, part, f"transformer.{first}"), part)
            if spec.gated:
                y = self._graph.node("Mul", [self._mish(y), self._conv(z, part, "transformer.project_in_i")])
            else:
                y = self._mish(y) if spec.generation is Generation.V0 else self._leaky(y)
        x = self._graph.add(x, self._projected(y, part, "transformer.project_out", "ls2"))
        behind = spec.generation is Generation.V4 and spec.use_norm
        return self._picture_norm(x) if behind else x

    def _mixed(self, y: str, part: Part) -> str:
        """Apply the depthwise kernel of evaluation."""
        spec = self._spec
        assert isinstance(spec, FeatureSpec)
        weight, bias = depthwise_kernel(part, spec)
        mix = folded(weight, bias, pads=(1, 1, 1, 1), groups=len(weight))
        if not self._graph.keeps_names:
            return self._graph.conv(y, mix, "mix")
        if spec.gated or spec.generation in REPARAMETERISED:
            slot = "spatial_mixer" if spec.gated else "dynamic_conv"
            return self._graph.conv(y, mix, "mix", name=f"{part.prefix}transformer.{slot}")
        kernel = self._graph.stored(f"{part.prefix}transformer.tracked_kernel", weight)
        return self._graph.node("Conv", [y, kernel], label="mix", pads=[1] * 4, group=len(weight))

    def _static(self, z: str, part: Part) -> str:
        y = self._conv(self._conv(z, part, "transformer.project_in"), part, "transformer.dw_mixer.0")
        y = self._leaky(y)
        y = self._conv(y, part, "transformer.dw_mixer.2")
        if "transformer.attention.gamma" in part:
            y = self._overlap_attention(y, part)
        if "transformer.channel_mod.net.1.weight" in part:
            y = self._excited(y, part, "transformer.channel_mod.net")
        return y

    def _overlap_attention(self, x: str, part: Part) -> str:
        spec, graph = self._spec, self._graph
        assert isinstance(spec, DualSpec)
        grid = self._region.grid if self._region else None
        if self._filling is not None:
            grid = self._filling.grid(1)
        if grid is None:
            raise UsageError(f"the attention of {spec} depends on the size of the picture: give --size")
        names = ("query", "key", "value")
        maps = [self._conv(x, part, f"transformer.attention.{name}") for name in names]
        attention = OverlapAttention(graph, grid, spec.attention, self._windows)
        seen = attention.add(
            maps[0], maps[1], maps[2], len(part["transformer.attention.query.bias"]), spec.hidden
        )
        gamma = self._stored(part, "transformer.attention.gamma", part["transformer.attention.gamma"])
        if attention.keeps_features:
            kept = graph.constant(attention.covered(), graph.conv_type)
            seen = graph.add(graph.node("Mul", [x, kept]), graph.node("Mul", [seen, gamma]))
        return graph.add(x, graph.node("Mul", [seen, gamma]))

    def _window_attention(self, x: str, part: Part, *, shifted: bool) -> str:
        """v6 to v8: the result of attention on `x`, without a skip."""
        spec, graph, w = self._spec, self._graph, self._spec.window
        shift = w // 2 if shifted else 0
        if self._region is not None:
            rows, columns = self._region.grid
            if not shift:
                return self._attended(x, part, Squares(graph, w, (rows, columns)))
            inside = graph.slice(x, [shift] * 2, [rows - (w - shift), columns - (w - shift)], [2, 3])
            seen = self._attended(inside, part, Squares(graph, w, (rows - w, columns - w)))
            return graph.pad_zeros(seen, (shift, w - shift), (shift, w - shift))
        assert self._filling is not None
        x = self._filling.fill(x, w)
        x = rolled(graph, x, shift) if shift else x
        squares = Squares(graph, w, self._filling.grid(w))
        # v6 neither fills nor shifts maps that fit into one window. Without what fills them, a shift only
        # changes the order of a window's pixels, which has no effect.
        small = spec.generation is Generation.V6
        hiding = self._filling.hiding(squares, w, shift) if small else ""
        x = self._attended(x, part, squares, hiding)
        return self._filling.cut(rolled(graph, x, -shift) if shift else x)

    def _attended(self, x: str, part: Part, squares: Squares, mask: str = "") -> str:
        """`mask` is for networks without a relative bias."""
        spec, graph = self._spec, self._graph
        assert isinstance(spec, DualSpec)
        h, each = spec.hidden, spec.hidden // HEADS
        qkv = self._conv(x, part, "attn.qkv")
        maps = [graph.channels(qkv, h * n, h * (n + 1)) for n in range(3)]
        if spec.generation in FUSES_SCALES:
            around = self._conv(self._conv(x, part, "attn.rattention_context"), part, "attn.qkv")
            maps[1:] = [graph.channels(around, h * n, h * (n + 1)) for n in (1, 2)]
            table = "attn.relative_position_bias_table"
            mask = relative_bias(graph, part.prefix + table, part[table], spec.window)
        maps[0] = self._times(maps[0], each**-0.5)
        tokens = [squares.tokens(map, HEADS, each) for map in maps]
        seen = attend_in_parts(graph, tokens, squares.count, self._windows, mask)
        return self._conv(squares.map(seen, HEADS, each), part, "attn.proj")

    def _dual(self, x: str, part: Part, *, shifted: bool) -> str:
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
        y = self._conv(y, part, "dw_mixer.2")
        if spec.attends:
            y = self._window_attention(y, part, shifted=shifted)
        y = self._excited(y, part, "gate")
        return graph.add(x, self._projected(y, part, "project_out", "ls2"))

    def _fused_scales(self, x: str, part: Part) -> str:
        x = self._conv(x, part, "mid_conv")
        views = self._graph.concat([self._conv(x, part, f"mscf.{name}") for name in ("p1", "p3", "p5")])
        y = self._graph.node("Relu", [self._conv(views, part, "mscf.attn.0")])
        weights = self._graph.node("Sigmoid", [self._conv(y, part, "mscf.attn.2")])
        return self._conv(self._graph.node("Mul", [x, weights]), part, "mscf.proj")

    def _conv(self, x: str, part: Part, name: str) -> str:
        """A layer as it is stored; depthwise where it has one input per output."""
        weight, bias = part[f"{name}.weight"], part[f"{name}.bias"]
        pads = (weight.shape[2] // 2, weight.shape[3] // 2) * 2
        layer = Conv(weight=weight, bias=bias, pads=pads, groups=groups_of(weight))
        return self._graph.conv(x, layer, name, name=part.prefix + name)

    def _projected(self, x: str, part: Part, name: str, scale: str) -> str:
        """A 1×1 layer with the layer scale behind it."""
        if self._graph.keeps_names:
            return self._scaled(self._conv(x, part, name), part, scale)
        weight, bias = double(part[f"{name}.weight"]), double(part[f"{name}.bias"])
        if f"{scale}.gamma" in part:
            gamma = double(part[f"{scale}.gamma"]).reshape(-1)
            weight, bias = weight * gamma[:, None, None, None], bias * gamma
        return self._graph.conv(x, folded(weight, bias), "project")

    def _inception(self, x: str, part: Part) -> str:
        third = len(part["context.dwconv_hw.bias"])
        same = self._spec.features - 3 * third
        pieces = [self._graph.channels(x, 0, same)]
        for number, axis in enumerate(("hw", "w", "h")):
            piece = self._graph.channels(x, same + number * third, same + (number + 1) * third)
            pieces.append(self._conv(piece, part, f"context.dwconv_{axis}"))
        return self._graph.concat(pieces)

    def _scaled(self, x: str, part: Part, name: str) -> str:
        if f"{name}.gamma" not in part:
            return x
        gamma = part[f"{name}.gamma"]
        return self._graph.node("Mul", [x, self._per_channel(part, f"{name}.gamma", gamma)])

    def _stored(self, part: Part, name: str, values: ArrayLike) -> str:
        return self._graph.stored(part.prefix + name, values)

    def _per_channel(self, part: Part, name: str, values: NDArray[np.float32]) -> str:
        """A stored value per channel, for products and sums with maps."""
        stored = self._stored(part, name, values)
        if values.ndim >= 3:
            return stored
        return self._graph.reshape(stored, [-1, 1, 1])

    def _times(self, x: str, values: ArrayLike) -> str:
        return self._graph.node("Mul", [x, self._graph.constant(values, self._graph.conv_type)])

    def _leaky(self, x: str) -> str:
        return self._graph.node("LeakyRelu", [x], alpha=SLOPE)

    def _mish(self, x: str) -> str:
        return self._graph.node("Mul", [x, self._graph.node("Tanh", [self._graph.node("Softplus", [x])])])

    def _excited(self, x: str, part: Part, name: str) -> str:
        y = self._graph.node("Relu", [self._conv(self._mean(x), part, f"{name}.1")])
        return self._graph.node("Mul", [x, self._graph.node("Sigmoid", [self._conv(y, part, f"{name}.3")])])

    def _picture(self, x: str, factor: int = 1) -> str:
        """The map without its margins."""
        region = self._region
        if region is None:
            return x
        top, left = region.top * factor, region.left * factor
        ends = [top + region.height * factor, left + region.width * factor]
        return self._graph.slice(x, [top, left], ends, [2, 3])

    def _mean(self, x: str) -> str:
        """Means over the picture: [1, features, 1, 1]."""
        wide = self._graph.to_float(self._picture(x))
        axes = self._graph.constant([2, 3], np.int64)
        return self._graph.narrowed(self._graph.node("ReduceMean", [wide, axes]))

    def _norm(self, x: str, part: Part, name: str) -> str:
        spec = self._spec
        assert isinstance(spec, FeatureSpec)
        if spec.pixel_norm:
            y = self._normed(x, x, [1])
        elif spec.picture_norm:
            y = self._normed(x, self._picture(x), [1, 2, 3])
        else:
            return x
        return self._affine(y, part, f"{name}.weight", f"{name}.bias")

    def _affine(self, x: str, part: Part, weight: str, bias: str) -> str:
        x = self._graph.node("Mul", [x, self._per_channel(part, weight, part[weight])])
        return self._graph.node("Add", [x, self._per_channel(part, bias, part[bias])])

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

    def _root_norm(self, x: str, part: Part) -> str:
        graph = self._graph
        wide = graph.to_float(x)
        square = graph.node("ReduceMean", [graph.node("Mul", [wide, wide]), graph.constant([1], np.int64)])
        root = graph.add_constant(graph.node("Sqrt", [square]), 1e-6)
        y = graph.narrowed(graph.node("Div", [wide, root]))
        return self._affine(y, part, "norm.scale", "norm.offset")
