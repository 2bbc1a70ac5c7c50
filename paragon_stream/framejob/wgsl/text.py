"""The WGSL of every pass. Loops read weights from buffers: unrolled text takes drivers minutes to compile.

A map of features is planar by four: `vec4` number k of the pixel (x, y) lies at (k · rows + y) · columns + x.
"""

from __future__ import annotations

from dataclasses import dataclass

from paragon_stream.framejob import gelu
from paragon_stream.framejob.wgsl.weights import CHUNK

SIDE = 16
"""Threads of a workgroup, across and down; each computes one pixel."""


def head(buffers: list[str], sizes: list[str], *, half: bool, single: bool) -> str:
    """Types, bindings and GELU. `buffers` are the declarations after `var`; `half` computes in 16 bits,
    `single` stores features and detail in 32 bits."""
    lines = ["enable f16;"] if half else []
    kind = "f16" if half else "f32"
    lines += [f"alias F = {kind};", f"alias V4 = vec4<{kind}>;", f"alias M4 = mat4x4<{kind}>;"]
    if single:
        lines += [
            "alias Texel = vec4<f32>;",
            "fn unpacked(t: Texel) -> V4 { return V4(t); }",
            "fn packed(v: V4) -> Texel { return Texel(v); }",
            "alias Pair = vec2<f32>;",
            "fn paired(v: vec2<f32>) -> Pair { return v; }",
            "fn parted(p: Pair) -> vec2<f32> { return p; }",
        ]
    else:
        lines += [
            "alias Texel = vec2<u32>;",
            "fn unpacked(t: Texel) -> V4 {",
            "    return V4(vec4<f32>(unpack2x16float(t.x), unpack2x16float(t.y)));",
            "}",
            "fn packed(v: V4) -> Texel {",
            "    let w = vec4<f32>(v);",
            "    return Texel(pack2x16float(w.xy), pack2x16float(w.zw));",
            "}",
            "alias Pair = u32;",
            "fn paired(v: vec2<f32>) -> Pair { return pack2x16float(v); }",
            "fn parted(p: Pair) -> vec2<f32> { return unpack2x16float(p); }",
        ]
    lines += [f"@group(0) @binding({n}) var{each};" for n, each in enumerate(buffers)]
    if sizes:
        lines.append("struct Sizes {" + " ".join(f"{each}: i32," for each in sizes) + "}")
        lines.append(f"@group(0) @binding({len(buffers)}) var<uniform> s: Sizes;")
    a, b, c, limit = gelu.A, gelu.B, gelu.C, gelu.LIMIT
    lines += [
        "fn gelu(x: V4) -> V4 {",
        f"    let t = clamp(x, V4(-{limit}), V4({limit}));",
        "    let q = t * t;",
        f"    return x / (V4(1.0) + exp2(-t * (V4({a}) + q * (V4({b}) + q * V4({c})))));",
        "}",
    ]
    return "\n".join(lines) + "\n"


WEIGHTS = "<storage, read> weights: array<V4>"
MATRIX = """
fn vector(n: u32) -> V4 { return weights[n]; }
fn matrix(n: u32) -> M4 { return M4(vector(n), vector(n + 1u), vector(n + 2u), vector(n + 3u)); }
"""
ENTRY = f"""
@compute @workgroup_size({SIDE}, {SIDE})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) me: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {{
    let corner = vec2<i32>(group.xy) * {SIDE};
    let pixel = corner + vec2<i32>(me.xy);
"""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The source's planes as input of conv_in, read by `sample_c(y, x)` of `source_text`: centred codes on
    the luma grid."""

    components: int
    margin: tuple[int, int]
    """Rows and columns of the written map above and left of the picture."""
    unit: float
    """Divisor of codes."""

    def weights(self, count: int) -> int:
        """Number of vectors of conv_in: bias, slope over the strength, taps."""
        return 2 * count + 9 * self.components * count

    def tile(self, side: int, *, reach: int) -> str:
        """Fill `w` with the samples of a tile of side × side, which begins `reach` pixels before the
        workgroup's pixels."""
        samples = [f"sample_{c}(p.y, p.x)" for c in range(self.components)] + ["0.0"] * (4 - self.components)
        rows, columns = (each + reach for each in self.margin)
        return f"""
    for (var i = index; i < {side * side}u; i += {SIDE * SIDE}u) {{
        let p = corner + vec2<i32>(vec2<u32>(i % {side}u, i / {side}u)) - vec2<i32>({columns}, {rows});
        w[i] = V4(vec4<f32>({", ".join(samples)}) / {self.unit});
    }}
    workgroupBarrier();
"""

    def conv_in(self, count: int, side: int) -> str:
        """Compute `f`, the features 4k … 4k + 3 of the pixel whose first tap is `w[at]`, in a tile of
        `side`."""
        taps = " ".join(f"f += v.{'xyz'[c]} * vector(n + {c * count}u);" for c in range(self.components))
        return f"""            var f = vector(k) + F(strength[0]) * vector({count}u + k);
            for (var t = 0u; t < 9u; t += 1u) {{
                let v = w[at + (t / 3u) * {side}u + t % 3u];
                let n = {2 * count}u + t * {self.components * count}u + k;
                {taps}
            }}"""


def input_text(features: int, source: Source) -> str:
    """WGSL after `head`: conv_in alone."""
    count, side = features // 4, SIDE + 2
    return (
        MATRIX
        + f"var<workgroup> w: array<V4, {side * side}>;\n"
        + ENTRY
        + source.tile(side, reach=1)
        + f"""
    if (pixel.x < s.columns && pixel.y < s.rows) {{
        let at = me.y * {side}u + me.x;
        for (var k = 0u; k < {count}u; k += 1u) {{
{source.conv_in(count, side)}
            output[(i32(k) * s.rows + pixel.y) * s.columns + pixel.x] = packed(f);
        }}
    }}
}}
"""
    )


def block_text(features: int, *, source: Source | None = None) -> str:
    """WGSL after `head`: x + project(GELU(depthwise(expand(x)))), CHUNK widened channels at a time.

    With a `source`, x is computed from its planes. Otherwise it is the map `input_map`, which is one pixel
    larger, on every side, than the written map.
    """
    count, side, quads = features // 4, SIDE + 2, CHUNK // 4
    begin = source.weights(count) if source else 0
    per_quad = 1 + 4 * count + 1 + 9 + 4 * count
    text = MATRIX + f"var<workgroup> x: array<V4, {count * side * side}>;\n"
    text += f"var<workgroup> w: array<V4, {max(quads * side * side, (side + 2) ** 2 if source else 0)}>;\n"
    text += ENTRY
    if source:
        text += source.tile(side + 2, reach=2)
        text += f"""
    for (var i = index; i < {side * side}u; i += {SIDE * SIDE}u) {{
        let at = (i / {side}u) * {side + 2}u + i % {side}u;
        for (var k = 0u; k < {count}u; k += 1u) {{
{source.conv_in(count, side + 2)}
            x[k * {side * side}u + i] = f;
        }}
    }}
"""
    else:
        text += f"""
    let columns = s.columns + 2;
    for (var i = index; i < {side * side}u; i += {SIDE * SIDE}u) {{
        let p = corner + vec2<i32>(vec2<u32>(i % {side}u, i / {side}u));
        let at = min(p.y, s.rows + 1) * columns + min(p.x, columns - 1);
        for (var k = 0; k < {count}; k += 1) {{
            x[u32(k) * {side * side}u + i] = unpacked(input_map[k * columns * (s.rows + 2) + at]);
        }}
    }}
"""
    text += f"""
    workgroupBarrier();
    let centre = (me.y + 1u) * {side}u + me.x + 1u;
"""
    for k in range(count):
        text += f"    var y{k} = x[{k * side * side}u + centre] + vector({begin + k}u);\n"
    text += f"""
    for (var chunk = 0u; chunk < {2 * features // CHUNK}u; chunk += 1u) {{
        let base = {begin + count}u + chunk * {quads * per_quad}u;
        for (var i = index; i < {side * side}u; i += {SIDE * SIDE}u) {{
            for (var q = 0u; q < {quads}u; q += 1u) {{
                let n = base + q * {per_quad}u;
                var e = vector(n);
                for (var k = 0u; k < {count}u; k += 1u) {{
                    e += matrix(n + 1u + 4u * k) * x[k * {side * side}u + i];
                }}
                w[q * {side * side}u + i] = e;
            }}
        }}
        workgroupBarrier();
        for (var q = 0u; q < {quads}u; q += 1u) {{
            let n = base + q * {per_quad}u + {1 + 4 * count}u;
            var d = vector(n);
            for (var t = 0u; t < 9u; t += 1u) {{
                let at = q * {side * side}u + centre + (t / 3u) * {side}u + t % 3u - {side + 1}u;
                d += vector(n + 1u + t) * w[at];
            }}
            let g = gelu(d);
"""
    for k in range(count):
        text += f"            y{k} += matrix(n + {10 + 4 * k}u) * g;\n"
    return text + "        }\n        workgroupBarrier();\n    }\n" + stored(count)


def stored(count: int) -> str:
    """The end of an entry point, which writes y0, y1 … to the map `output`."""
    text = """    if (pixel.x < s.columns && pixel.y < s.rows) {
        let at = pixel.y * s.columns + pixel.x;
"""
    for k in range(count):
        text += f"        output[{k} * s.columns * s.rows + at] = packed(y{k});\n"
    return text + "    }\n}\n"


def conv_text(features: int, outputs: int, taps: tuple[int, int], *, cells: bool) -> str:
    """WGSL after `head`: a convolution without padding of the map `input_map`, which has taps - 1 more rows
    and columns than the written map. 16 features are in workgroup memory at a time.

    With `cells`, outputs are divided by UNIT and written in pairs.
    """
    rows, columns = taps
    high, wide = SIDE + rows - 1, SIDE + columns - 1
    size, quads = high * wide, outputs // 4
    text = MATRIX + f"var<workgroup> x: array<V4, {4 * size}>;\n" + ENTRY
    text += f"""
    let input_columns = s.columns + {columns - 1};
    let input_rows = s.rows + {rows - 1};
"""
    for o in range(quads):
        text += f"    var y{o} = vector({o}u);\n"
    text += f"""
    for (var group4 = 0; group4 < {features // 4}; group4 += 4) {{
        workgroupBarrier();
        for (var i = index; i < {size}u; i += {SIDE * SIDE}u) {{
            let p = corner + vec2<i32>(vec2<u32>(i % {wide}u, i / {wide}u));
            let at = min(p.y, input_rows - 1) * input_columns + min(p.x, input_columns - 1);
            for (var k = 0; k < 4; k += 1) {{
                x[u32(k) * {size}u + i] = unpacked(input_map[(group4 + k) * input_columns * input_rows + at]);
            }}
        }}
        workgroupBarrier();
        let base = {quads}u + u32(group4) * {rows * columns * quads * 4}u;
        for (var t = 0u; t < {rows * columns}u; t += 1u) {{
            let at = (me.y + t / {columns}u) * {wide}u + me.x + t % {columns}u;
            for (var k = 0u; k < 4u; k += 1u) {{
                let v = x[k * {size}u + at];
                let n = base + (t * 4u + k) * {quads * 4}u;
"""
    for o in range(quads):
        text += f"                y{o} += matrix(n + {4 * o}u) * v;\n"
    text += "            }\n        }\n    }\n"
    if not cells:
        return text + stored(quads)
    text += """    if (pixel.x < s.columns && pixel.y < s.rows) {
        let at = pixel.y * s.columns + pixel.x;
"""
    for o in range(quads):
        text += f"        let z{o} = vec4<f32>(y{o}) / UNIT;\n"
        for n, pair in enumerate(("xy", "zw")):
            text += f"        output[{2 * o + n} * s.columns * s.rows + at] = paired(z{o}.{pair});\n"
    return text + "    }\n}\n"
