"""The WGSL of a block of Stream in two passes: the mixture of near and far, and the gated product."""

from __future__ import annotations

import math

from paragon_stream.framejob.wgsl.text import ENTRY, MATRIX, SIDE, stored

FAR = 3
"""Pixels that the far convolution reads around each pixel; the gate reads one."""

_GROUP = 4  # vectors of features that are in workgroup memory at a time
_LARGEST_HALF = 65504.0


def mix_text(features: int) -> str:
    """WGSL after `head`: from_near(near(x)) + from_far(far(x)). x is the map `input_map`, which is FAR pixels
    larger, on every side, than the written map."""
    count, side = features // 4, SIDE + 2 * FAR
    size, per_quad = side * side, 2 + 9 + 9 + 8 * count
    text = MATRIX + f"var<workgroup> x: array<V4, {_GROUP * size}>;\n" + ENTRY
    text += f"""
    let columns = s.columns + {2 * FAR};
    let rows = s.rows + {2 * FAR};
"""
    for k in range(count):
        text += f"    var y{k} = vector({k}u);\n"
    text += f"""
    for (var first = 0; first < {count}; first += {_GROUP}) {{
        workgroupBarrier();
        for (var i = index; i < {size}u; i += {SIDE * SIDE}u) {{
            let p = corner + vec2<i32>(vec2<u32>(i % {side}u, i / {side}u));
            let at = min(p.y, rows - 1) * columns + min(p.x, columns - 1);
            for (var k = 0; k < {_GROUP}; k += 1) {{
                x[u32(k) * {size}u + i] = unpacked(input_map[(first + k) * columns * rows + at]);
            }}
        }}
        workgroupBarrier();
        for (var q = 0u; q < {_GROUP}u; q += 1u) {{
            let n = {count}u + (u32(first) + q) * {per_quad}u;
            let corner_q = q * {size}u + me.y * {side}u + me.x;
            var near = vector(n);
            var far = vector(n + 1u);
            for (var t = 0u; t < 9u; t += 1u) {{
                let step = (t / 3u) * {side}u + t % 3u;
                near += vector(n + 2u + t) * x[corner_q + {(FAR - 1) * (side + 1)}u + step];
                far += vector(n + 11u + t) * x[corner_q + {FAR}u * step];
            }}
"""
    for k in range(count):
        text += f"            y{k} += matrix(n + {20 + 4 * k}u) * near;\n"
        text += f"            y{k} += matrix(n + {20 + 4 * (count + k)}u) * far;\n"
    return text + "        }\n    }\n" + stored(count)


def gate_text(features: int, *, limit: float, half: bool, single: bool) -> str:
    """WGSL after `head`: x + project(a ⊙ b), four channels of a and b at a time; a ⊙ b is clamped to
    ±`limit`.

    x is the map `input_map`, which is FAR + 1 pixels larger, on every side, than the written map; a and b are
    computed from the map `mixed`, which is one pixel larger. Workgroups keep their part of `mixed` in 16
    bits; in 32 bits (`single`) it does not fit, and is read again for every four channels.
    """
    count, side = features // 4, SIDE + 2
    size, per_quad = side * side, 2 + 8 * count + 2 + 18 + 4 * count
    text = MATRIX
    if not single:
        text += f"var<workgroup> u: array<Texel, {count * size}>;\n"
    text += f"var<workgroup> w: array<V4, {2 * size}>;\n" + ENTRY
    text += """
    let columns = s.columns + 2;
    let rows = s.rows + 2;
"""
    tile_pixel = f"""            let p = corner + vec2<i32>(vec2<u32>(i % {side}u, i / {side}u));
            let at = min(p.y, rows - 1) * columns + min(p.x, columns - 1);
"""
    if not single:
        text += f"""    for (var i = index; i < {size}u; i += {SIDE * SIDE}u) {{
{tile_pixel}            for (var k = 0; k < {count}; k += 1) {{
                u[u32(k) * {size}u + i] = mixed[k * columns * rows + at];
            }}
    }}
    workgroupBarrier();
"""
    wide = 2 * (FAR + 1)
    text += f"""    let x_columns = s.columns + {wide};
    let x_size = x_columns * (s.rows + {wide});
    let x_at = (min(pixel.y, s.rows - 1) + {FAR + 1}) * x_columns + min(pixel.x, s.columns - 1) + {FAR + 1};
"""
    for k in range(count):
        text += f"    var y{k} = vector({k}u) + unpacked(input_map[{k} * x_size + x_at]);\n"
    here = "mixed[i32(k) * columns * rows + at]" if single else f"u[k * {size}u + i]"
    text += f"""
    for (var quad = 0u; quad < {2 * count}u; quad += 1u) {{
        let n = {count}u + quad * {per_quad}u;
        for (var i = index; i < {size}u; i += {SIDE * SIDE}u) {{
{tile_pixel if single else ""}            var a = vector(n);
            var b = vector(n + 1u);
            for (var k = 0u; k < {count}u; k += 1u) {{
                let v = unpacked({here});
                a += matrix(n + 2u + 4u * k) * v;
                b += matrix(n + {2 + 4 * count}u + 4u * k) * v;
            }}
            w[i] = a;
            w[{size}u + i] = b;
        }}
        workgroupBarrier();
        let m = n + {2 + 8 * count}u;
        var a = vector(m);
        var b = vector(m + 1u);
        for (var t = 0u; t < 9u; t += 1u) {{
            let at = (me.y + t / 3u) * {side}u + me.x + t % 3u;
            a += vector(m + 2u + t) * w[at];
            b += vector(m + 11u + t) * w[{size}u + at];
        }}
        let g = {_clamped("a * b", min(limit, _LARGEST_HALF) if half else limit)};
"""
    for k in range(count):
        text += f"        y{k} += matrix(m + {20 + 4 * k}u) * g;\n"
    return text + "        workgroupBarrier();\n    }\n" + stored(count)


def _clamped(product: str, limit: float) -> str:
    return f"clamp({product}, V4(-{limit}), V4({limit}))" if math.isfinite(limit) else product
