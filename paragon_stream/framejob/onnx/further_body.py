"""The bodies of the first version 11's Pro and of Ultimate as ONNX nodes. Formulas: `models.further`.

In a frame job the picture is a `region` of the padded grid: means, categories and dictionaries are made of
the picture alone, and the margin continues the edge of what categories give. Otherwise the picture is the
whole map, padded to whole windows as in upstream. Only for maps of known size.
"""

from __future__ import annotations

import math

import numpy as np

from paragon_stream.checkpoint.block_shapes import QUERY
from paragon_stream.checkpoint.lines.further import (
    CATEGORY,
    MOST_SHARP,
    REDUCED,
    TOKENS_FROM,
    CategorySpec,
    UltimateSpec,
)
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import HEADS
from paragon_stream.framejob.conv import groups_of
from paragon_stream.framejob.fold_attention import NORM_EPSILON
from paragon_stream.framejob.onnx.body import Region
from paragon_stream.framejob.onnx.graph import OnnxGraph
from paragon_stream.framejob.onnx.windows import (
    Filling,
    Squares,
    attend_in_parts,
    relative_bias,
    rolled,
)

type Size = tuple[int, int]
"""Rows and columns."""

_FP16_LIMIT = 65504.0
_APART = -100.0
"""Added to the score of pixels that only the roll makes neighbours."""

_SCORES = 1 << 24
"""Scores of attention that are computed at once: 67 MB in fp32."""
_BATCHES = 32
"""Batches of windows at most: every batch is several nodes of the graph."""


class FurtherBody:
    """Writes the body of one network into a graph. Maps are [1, features, rows, columns].

    `size` is that of maps. `reshaped` collects the shapes in the state dict of tensors that the graph stores
    in another shape.
    """

    def __init__(
        self,
        graph: OnnxGraph,
        tensors: Tensors,
        spec: CategorySpec | UltimateSpec,
        size: Size,
        *,
        region: Region | None = None,
        reshaped: dict[str, list[int]] | None = None,
    ) -> None:
        self._graph = graph
        self._tensors = tensors
        self._spec = spec
        self._size = size
        self._region = region
        self._reshaped = {} if reshaped is None else reshaped

    def body(self, x: str) -> str:
        """All groups."""
        spec = self._spec
        if isinstance(spec, UltimateSpec):
            for number in range(spec.depth):
                x = self._block(x, spec, number)
            return x
        # Maps of a frame job are whole windows already.
        filling = Filling(self._graph, x, self._size)
        picture, self._size = self._size, _whole(self._size, spec.window)
        for group in range(spec.groups):
            x = filling.cut(self._stage(filling.fill(x, spec.window, "reflect"), spec, group))
        self._size = picture
        return x

    # Pro of the first version 11

    def _stage(self, x: str, spec: CategorySpec, group: int) -> str:
        dictionary = self._stored(f"body.{group}.td", np.float32)
        for layer in range(spec.blocks):
            name = f"body.{group}.layers.{layer}"
            x, weights = self._layer(x, spec, name, dictionary, shifted=layer % 2 == 1)
            if layer + 1 < spec.blocks:
                dictionary = self._renewed(name, spec, dictionary, weights, x)
            else:  # nothing reads these, but they are in the state dict
                for unused in ("sigma", "norm3.weight", "norm3.bias") if self._graph.keeps_names else ():
                    self._stored(f"{name}.{unused}", np.float32)
        return x

    def _layer(
        self, x: str, spec: CategorySpec, name: str, dictionary: str, *, shifted: bool
    ) -> tuple[str, str]:
        """The features, and the weights of the dictionary's entries: a map in fp32."""
        graph, w = self._graph, spec.window
        normed = self._layer_norm(x, f"{name}.norm1")
        qkv = self._conv(f"{name}.wqkv", normed)
        read, weights = self._read(normed, spec, f"{name}.attn_atd", dictionary)
        within = self._categories(qkv, weights, spec, f"{name}.attn_aca")
        table = f"{name}.attn_win.relative_position_bias_table"
        bias = relative_bias(graph, table, self._tensors[table], w)
        project = f"{name}.attn_win.proj"
        seen = self._in_windows(qkv, w, spec.heads, project, shifted=shifted, bias=bias)
        x = graph.add(graph.add(x, seen), graph.add(read, within))
        wide = graph.node("Gelu", [self._conv(f"{name}.convffn.fc1", self._layer_norm(x, f"{name}.norm2"))])
        wide = graph.node("Gelu", [self._conv(f"{name}.convffn.dwconv.0", wide)])
        return graph.add(x, self._conv(f"{name}.convffn.fc2", wide)), weights

    def _read(self, normed: str, spec: CategorySpec, name: str, dictionary: str) -> tuple[str, str]:
        """The values that every pixel reads from the dictionary, and its weights."""
        graph, t = self._graph, spec.tokens
        query = self._unit(graph.to_float(self._conv(f"{name}.wq", normed)))
        key = self._unit(self._linear(f"{name}.wk", dictionary))
        limits = graph.constant(0.0), graph.constant(1.0)
        sharp = graph.node("Clip", [self._stored(f"{name}.scale", np.float32), *limits])
        sharp = graph.reshape(graph.add_constant(graph.scale(sharp, math.log(t)), 1.0), [t, 1])
        scores = graph.node("MatMul", [key, graph.reshape(query, [1, REDUCED, -1])])
        weights = graph.node("Softmax", [graph.node("Mul", [scores, sharp])], axis=1)
        values = graph.transpose(self._linear(f"{name}.wv", dictionary), [1, 0])
        read = graph.node("MatMul", [values, weights])
        read, weights = (graph.reshape(each, [1, -1, *self._size]) for each in (read, weights))
        return graph.narrowed(read), weights

    def _categories(self, qkv: str, weights: str, spec: CategorySpec, name: str) -> str:
        """Attention among pixels of the same entry, which are sorted and cut into groups."""
        graph, f, heads = self._graph, spec.features, spec.heads
        rows, columns = self._picture_size
        count = rows * columns
        each = min(count, CATEGORY)
        entries = graph.reshape(self._picture(weights), [1, spec.tokens, count])
        entry = graph.reshape(graph.node("ArgMax", [entries], axis=1, keepdims=0), [count])
        # Sorted by entry, then by place: upstream leaves the order within an entry open (defect D23).
        keys = graph.node("Mul", [entry, graph.constant([count], np.int64)])
        keys = graph.node("Add", [keys, graph.constant(np.arange(count), np.int64)])
        order = graph.sorted_places(keys, count)
        back = graph.sorted_places(order, count)
        groups = -(-count // each)
        mirrored = np.arange(groups * each)
        places = np.minimum(mirrored, 2 * count - 1 - mirrored)  # the last pixels fill up the last group
        taken = graph.node("Gather", [order, graph.constant(places, np.int32)], axis=0)
        pixels = graph.transpose(graph.reshape(self._picture(qkv), [3 * f, count]), [1, 0])
        cut = graph.node("Gather", [pixels, taken], axis=0)
        tokens = graph.transpose(graph.reshape(cut, [groups, each, 3 * heads, -1]), [0, 2, 1, 3])
        query, key, value = (graph.channels(tokens, heads * n, heads * (n + 1)) for n in range(3))
        limit = graph.constant(MOST_SHARP)
        sharp = graph.node("Min", [self._stored(f"{name}.logit_scale", np.float32), limit])
        query = graph.node("Mul", [query, graph.narrowed(graph.node("Exp", [sharp]))])
        seen = self._attended([query, key, value], groups, each**2 * heads)
        flat = graph.reshape(graph.transpose(seen, [0, 2, 1, 3]), [groups * each, f])
        undone = graph.transpose(graph.node("Gather", [flat, back], axis=0), [1, 0])
        attended = self._conv(f"{name}.proj", graph.reshape(undone, [1, f, rows, columns]))
        if self._region is None:
            return attended
        top, left = self._region.top, self._region.left
        below, right = self._size[0] - top - rows, self._size[1] - left - columns
        return graph.pad_edges(attended, (top, below), (left, right))

    def _renewed(self, name: str, spec: CategorySpec, dictionary: str, weights: str, x: str) -> str:
        """The dictionary for the next layer, in fp32."""
        graph, t = self._graph, spec.tokens
        shares = graph.reshape(self._picture(weights), [1, t, -1])
        shares = self._normed(shares, [2], 1e-5)
        for kind, part in (("Mul", "weight"), ("Add", "bias")):
            stored = graph.reshape(self._stored(f"{name}.norm3.{part}", np.float32), [t, 1])
            shares = graph.node(kind, [shares, stored])
        shares = graph.node("Softmax", [shares], axis=2)
        features = graph.reshape(graph.to_float(self._picture(x)), [1, spec.features, -1])
        new = graph.node("MatMul", [shares, graph.transpose(features, [0, 2, 1])])
        new = graph.reshape(new, [t, spec.features])
        keep = graph.node("Sigmoid", [self._stored(f"{name}.sigma", np.float32)])
        change = graph.node("Sub", [dictionary, new])
        return graph.add(new, graph.node("Mul", [keep, change]))

    # Ultimate

    def _block(self, x: str, spec: UltimateSpec, number: int) -> str:
        graph, f = self._graph, spec.features
        name = f"body.{number // spec.blocks}.blocks.{number % spec.blocks}"
        wide = self._conv(f"{name}.gated_conv.dw", self._conv(f"{name}.gated_conv.conv1", x))
        product = graph.node("Mul", [graph.channels(wide, 0, 2 * f), graph.channels(wide, 2 * f, 4 * f)])
        if graph.is_half:
            product = graph.clipped(product, _FP16_LIMIT)
        x = self._plus_scaled(x, self._conv(f"{name}.gated_conv.conv2", product), f"{name}.scale1")
        if spec.attends(number):
            normed, root = self._measured(x, f"{name}.norm2")
            seen = self._attention(normed, f"{name}.window_attn", spec, shifted=number % 2 == 1)
            routed = graph.node("Mul", [seen, self._route(root, spec.window, f"{name}.router2")])
            x = self._plus_scaled(x, routed, f"{name}.scale2")
        if number >= TOKENS_FROM:
            normed, root = self._measured(x, f"{name}.norm3")
            read = self._resized(self._tokens(self._pooled(normed, 2), f"{name}.token_ca"), "linear")
            routed = graph.node("Mul", [read, self._route(root, 2, f"{name}.router3")])
            x = self._plus_scaled(x, routed, f"{name}.scale3")
        return x

    def _measured(self, x: str, name: str) -> tuple[str, str]:
        """The features less the picture's mean over its deviation, and each pixel's root mean square of them
        before weight and bias, in fp32."""
        graph = self._graph
        y = self._normed(x, [1, 2, 3], 1e-6)
        square = graph.node("ReduceMean", [graph.node("Mul", [y, y]), graph.constant([1], np.int64)])
        root = graph.node("Sqrt", [graph.add_constant(square, NORM_EPSILON)])
        y = graph.node("Mul", [graph.narrowed(y), self._stored(f"{name}.weight")])
        return graph.node("Add", [y, self._stored(f"{name}.bias")]), root

    def _attention(self, x: str, name: str, spec: UltimateSpec, *, shifted: bool) -> str:
        graph, picture = self._graph, self._size
        filling = Filling(graph, x, picture)
        self._size = _whole(picture, spec.window)
        qkv = self._conv(f"{name}.qkv", filling.fill(x, spec.window))
        seen = self._in_windows(qkv, spec.window, HEADS, f"{name}.proj", shifted=shifted)
        self._size = picture
        return filling.cut(seen)

    def _route(self, root: str, side: int, name: str) -> str:
        """A factor 0…1 per square of `side` pixels."""
        graph = self._graph
        pooled = self._resized(self._pooled(root, min(side, *self._size)), "nearest")
        routed = graph.node("Mul", [pooled, self._stored(f"{name}.weight", np.float32)])
        routed = graph.add(routed, self._stored(f"{name}.bias", np.float32))
        return graph.narrowed(graph.node("Sigmoid", [routed]))

    def _tokens(self, x: str, name: str) -> str:
        """Every pixel of `x` attends to the dictionary."""
        graph = self._graph
        dictionary = self._stored(f"{name}.token_dict", np.float32)
        keys = graph.scale(self._linear(f"{name}.k_proj", dictionary), QUERY**-0.5)
        query = graph.reshape(graph.to_float(self._conv(f"{name}.q_proj", x)), [1, QUERY, -1])
        weights = graph.node("Softmax", [graph.node("MatMul", [keys, query])], axis=1)
        values = graph.transpose(self._linear(f"{name}.v_proj", dictionary), [0, 2, 1])
        read = graph.node("MatMul", [values, weights])
        sides = [1, self._spec.features, *(side // 2 for side in self._size)]
        return self._conv(f"{name}.out_proj", graph.narrowed(graph.reshape(read, sides)))

    def _pooled(self, x: str, side: int) -> str:
        return self._graph.node("AveragePool", [x], kernel_shape=[side] * 2, strides=[side] * 2)

    def _resized(self, x: str, mode: str) -> str:
        graph = self._graph
        sizes = graph.constant([1, 1 if mode == "nearest" else self._spec.features, *self._size], np.int64)
        how = {"coordinate_transformation_mode": "half_pixel"}
        if mode == "nearest":
            how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return graph.node("Resize", [x, "", "", sizes], mode=mode, **how)

    # Both

    def _in_windows(
        self, qkv: str, window: int, heads: int, project: str, *, shifted: bool, bias: str = ""
    ) -> str:
        """Attention within windows of maps of queries, keys and values, through the layer `project`.

        Shifted windows of a frame job are inside the grid, with zeros around them. Upstream's wrap around;
        where there is a `bias`, pixels that were no neighbours stay apart.
        """
        graph, f = self._graph, self._spec.features
        size, shift, mask = self._size, window // 2 if shifted else 0, bias
        inside = shift > 0 and self._region is not None
        if inside:
            size = size[0] - window, size[1] - window
            ends = [side - (window - shift) for side in self._size]
            qkv = graph.slice(qkv, [shift] * 2, ends, [2, 3])
        elif shift:
            qkv = rolled(graph, qkv, shift)
        squares = Squares(graph, window, size)
        if shift and not inside and bias:
            mask = graph.add(bias, self._between_regions(squares, window, shift))
        packed = squares.tokens(qkv, 3 * heads, f // heads)
        query, key, value = (graph.channels(packed, heads * n, heads * (n + 1)) for n in range(3))
        factor = graph.constant((f // heads) ** -0.5, graph.conv_type)
        tokens = [graph.node("Mul", [query, factor]), key, value]
        count = (size[0] // window) * (size[1] // window)
        if mask == bias:
            seen = self._attended(tokens, count, window**4 * heads, mask)
        else:  # the mask is that of all windows
            seen = attend_in_parts(graph, tokens, count, 0, mask)
        mixed = self._conv(project, squares.map(seen, heads, f // heads))
        if inside:
            return graph.pad_zeros(mixed, (shift, window - shift), (shift, window - shift))
        return rolled(graph, mixed, -shift) if shift else mixed

    def _between_regions(self, squares: Squares, window: int, shift: int) -> str:
        """[windows, 1, pixels, pixels]: negative between pixels that are neighbours only because of the
        roll."""
        regions = [
            (np.arange(side) >= side - window).astype(int) + (np.arange(side) >= side - shift)
            for side in self._size
        ]
        graph = self._graph
        map = graph.constant((3 * regions[0][:, None] + regions[1])[None, None], graph.conv_type)
        each = squares.tokens(map, 1, 1)
        apart = graph.node("Abs", [graph.node("Sub", [each, graph.transpose(each, [0, 1, 3, 2])])])
        one = graph.constant(1, graph.conv_type)
        return graph.node("Mul", [graph.node("Min", [apart, one]), graph.constant(_APART, graph.conv_type)])

    def _attended(self, tokens: list[str], count: int, scores: int, mask: str = "") -> str:
        """`attend_in_parts`, in batches that are neither large nor many; a window has so many `scores`."""
        batch = max(1, _SCORES // scores, -(-count // _BATCHES))
        return attend_in_parts(self._graph, tokens, count, batch, mask)

    @property
    def _picture_size(self) -> Size:
        return (self._region.height, self._region.width) if self._region else self._size

    def _picture(self, x: str) -> str:
        """The map without its margins."""
        region = self._region
        if region is None:
            return x
        ends = [region.top + region.height, region.left + region.width]
        return self._graph.slice(x, [region.top, region.left], ends, [2, 3])

    def _stored(self, name: str, dtype: type[np.generic] | None = None) -> str:
        return self._graph.stored(name, self._tensors[name], dtype)

    def _conv(self, name: str, x: str) -> str:
        """A stored layer; matrices are 1×1 convolutions, and layers with one input per output depthwise."""
        weight = self._tensors[f"{name}.weight"]
        if weight.ndim == 2:
            self._reshaped[f"{name}.weight"] = list(weight.shape)
            weight = weight[:, :, None, None]
        inputs = [x, self._graph.stored(f"{name}.weight", weight), self._stored(f"{name}.bias")]
        return self._graph.node(
            "Conv",
            inputs,
            label=name.rsplit(".", 1)[-1],
            kernel_shape=list(weight.shape[2:]),
            pads=[weight.shape[2] // 2] * 4,
            group=groups_of(weight),
        )

    def _linear(self, name: str, x: str) -> str:
        """A matrix on the rows of `x`, in fp32."""
        graph = self._graph
        weight, bias = (self._stored(f"{name}.{each}", np.float32) for each in ("weight", "bias"))
        return graph.add(graph.node("MatMul", [x, graph.transpose(weight, [1, 0])]), bias)

    def _plus_scaled(self, x: str, branch: str, name: str) -> str:
        return self._graph.add(x, self._graph.node("Mul", [branch, self._stored(f"{name}.gamma")]))

    def _unit(self, x: str) -> str:
        """Vectors along axis 1, of the length 1."""
        graph = self._graph
        length = graph.node("ReduceL2", [x, graph.constant([1], np.int64)])
        return graph.node("Div", [x, graph.node("Max", [length, graph.constant(1e-12)])])

    def _layer_norm(self, x: str, name: str) -> str:
        """A norm over the channels of each pixel, with weight and bias."""
        graph = self._graph
        y = graph.narrowed(self._normed(x, [1], 1e-5))
        for kind, part in (("Mul", "weight"), ("Add", "bias")):
            y = graph.node(kind, [y, graph.reshape(self._stored(f"{name}.{part}"), [-1, 1, 1])])
        return y

    def _normed(self, x: str, axes: list[int], epsilon: float) -> str:
        """`x` less its mean over `axes`, over the root of its variance, in fp32. Over all axes of a map, both
        are the picture's."""
        graph = self._graph
        over, wide = graph.constant(axes, np.int64), graph.to_float(x)
        seen = self._picture(wide) if len(axes) == 3 else wide
        mean = graph.node("ReduceMean", [seen, over])
        centred = graph.node("Sub", [seen, mean])
        variance = graph.node("ReduceMean", [graph.node("Mul", [centred, centred]), over])
        root = graph.node("Sqrt", [graph.add_constant(variance, epsilon)])
        return graph.node("Div", [graph.node("Sub", [wide, mean]), root])


def _whole(size: Size, window: int) -> Size:
    """`size` in whole windows."""
    rows, columns = (-(-side // window) * window for side in size)
    return rows, columns
