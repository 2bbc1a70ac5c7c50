"""The WGSL between bytes and samples: reading components of the source, writing arrays of the target.

Storage buffers are arrays of 32-bit words, so samples are extracted from words, and one thread writes one
word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from paragon_stream.frame import FrameFormat, PixelFormat
from paragon_stream.framejob.components import InputPlane, Mix, OutputPlane
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.tail import Detail
from paragon_stream.framejob.taps import FilterBank
from paragon_stream.framejob.wgsl.weights import base_table

WORDS = (32, 8)
"""Threads of a workgroup that writes an array, (columns, rows); each writes one word of a row."""


def source_text(job: FrameJob) -> str:
    """`raw_c(y, x)`: centred codes of component c on its own grid, edges replicated; `sample_c(y, x)`: the
    same on the luma grid. Reads the arrays `plane_a`, whose rows have `s.pitch_a` bytes, of a picture of
    `s.width` × `s.height` pixels."""
    positions = _positions(job.source)
    wide = job.source.pixel_format.bytes_per_sample == 2
    text = ""
    for plane in job.all_inputs.values():
        c, (array, stride, offset) = plane.component, positions[plane.component]
        down, across = plane.factor
        word = f"plane_{array}[n >> 2u] >> ((n & {2 if wide else 3}u) * 8u)"
        code = f"(({word}) & {0xFFFF if wide else 0xFF}u) >> {job.source.pixel_format.shift}u"
        text += f"""
fn raw_{c}(y: i32, x: i32) -> f32 {{
    let row = clamp(y, 0, (s.height + {down - 1}) / {down} - 1);
    let column = clamp(x, 0, (s.width + {across - 1}) / {across} - 1);
    let n = u32(row * s.pitch_{array} + (column * {stride} + {offset}) * {2 if wide else 1});
    return f32({code}) - {float(job.centre)};
}}
fn sample_{c}(y: i32, x: i32) -> f32 {{
{_up(plane)}}}
"""
    return text


def _up(plane: InputPlane) -> str:
    c = plane.component
    if plane.factor == (1, 1):
        return f"    return raw_{c}(y, x);\n"
    text = ""
    for axis, name, bank in zip("yx", ("row", "column"), plane.up, strict=True):
        text += f"    var {name}: i32;\n    var {name}s: vec2<f32>;\n"
        text += _choice(axis, bank, name)
    return text + (
        f"    let above = columns.x * raw_{c}(row, column) + columns.y * raw_{c}(row, column + 1);\n"
        f"    let below = columns.x * raw_{c}(row + 1, column) + columns.y * raw_{c}(row + 1, column + 1);\n"
        "    return rows.x * above + rows.y * below;\n"
    )


def _choice(axis: str, bank: FilterBank, name: str) -> str:
    """Set the position of the first tap and the two weights by the phase of the coordinate."""
    phases = len(bank.phases)
    text = f"    let {name}_cell = {axis} >> {int(math.log2(phases))}u;\n"
    text += f"    switch {axis} & {phases - 1} {{\n"
    for p, taps in enumerate(bank.phases):
        first = min(taps)
        weights = f"vec2<f32>({float(taps[first])}, {float(taps.get(first + 1, 0))})"
        label = f"case {p}" if p + 1 < phases else "default"
        text += f"        {label} {{ {name} = {name}_cell + {first}; {name}s = {weights}; }}\n"
    return text + "    }\n"


def codes_text(
    job: FrameJob,
    components: Sequence[int],
    details: Sequence[Detail | None],
    tables: dict[int, list[int]],
    lead: tuple[int, int],
) -> str:
    """`code_c(y, x)`, the unrounded code of component c: detail from `cells`, and the base path.

    `tables` has, for every component, the positions of its base terms' tables in `weights` (in floats);
    `lead` is the number of rows and columns of `cells` before the picture's first cell.
    """
    found = dict(zip([plane.component for plane in job.outputs], details, strict=True))
    outputs = job.all_outputs
    return "".join(_component(outputs[c], found.get(c), tables[c], job.scale, lead) for c in components)


def array_text(pixels: PixelFormat, stored: Sequence[int], computed: Sequence[int]) -> str:
    """The entry point that rounds `code_c(y, x)` and writes an array with the components `stored`.

    A sample that is NaN or far out of range sets `status`. Alpha that is not among `computed`, and padding,
    get the peak. Codes of a `floating` format are neither rounded nor clipped.
    """
    size = pixels.bytes_per_sample
    text = f"""
@compute @workgroup_size({WORDS[0]}, {WORDS[1]})
fn main(@builtin(global_invocation_id) me: vec3<u32>) {{
    if (i32(me.x) * 4 >= s.row_bytes || i32(me.y) >= s.rows) {{ return; }}
    let samples = s.row_bytes / {size};
    var word = 0u;
    for (var n = 0u; n < {4 // size}u; n += 1u) {{
        let sample = i32(me.x * {4 // size}u + n);
        if (sample >= samples) {{ break; }}
        let y = i32(me.y);
        let x = sample / {len(stored)};
        var v: f32;
        switch sample % {len(stored)} {{
"""
    for n, c in enumerate(stored):
        label = f"case {n}" if n + 1 < len(stored) else "default"
        value = f"code_{c}(y, x)" if c in computed else f"{float(pixels.peak)}"
        text += f"            {label} {{ v = {value}; }}\n"
    text += f"""        }}
        // Compilers may assume that there are no infinities and NaN, so the bits are tested.
        if ((bitcast<u32>(v) & 0x7f800000u) == 0x7f800000u || abs(v) > {16.0 * pixels.peak}) {{
            atomicOr(&status[0], 1u);
            v = 0.0;
        }}
"""
    if pixels.floating:
        text += "        word = bitcast<u32>(v);\n"
    else:
        text += f"""        let code = u32(clamp(round(v), 0.0, {float(pixels.peak)})) << {pixels.shift}u;
        word |= code << (n * {8 * size}u);
"""
    return text + "    }\n    output[me.y * u32(s.pitch / 4) + me.x] = word;\n}\n"


def _component(
    plane: OutputPlane, detail: Detail | None, tables: list[int], scale: int, lead: tuple[int, int]
) -> str:
    """`code_c(y, x)`: the unrounded code of the component."""
    text = ""
    if detail is None:
        begin = "    var v = 0.0;\n"
    elif detail.down is None:
        text = _cell(plane.component, detail.channels[0], detail.block, detail.lead, lead)
        begin = f"    var v = cell_{plane.component}(y, x);\n"
    else:  # of whole detail, whose cells begin one sample before the picture
        text = _cell(plane.component, detail.channels[0], (scale, scale), (1, 1), lead)
        begin = _shrunk(plane)
    text += f"\nfn code_{plane.component}(y: i32, x: i32) -> f32 {{\n{begin}    v += {plane.offset!r};\n"
    for term, start in zip(plane.base, tables, strict=True):
        table, (first_y, first_x), (step_y, step_x) = base_table(term)
        phases_y, phases_x, taps_y, taps_x = table.shape
        text += f"""    {{
        let j_y = y / {phases_y};
        let j_x = x / {phases_x};
        let phase = (y - j_y * {phases_y}) * {phases_x} + x - j_x * {phases_x};
        var n = {start}u + u32(phase) * {taps_y * taps_x}u;
        for (var k = 0; k < {taps_y}; k += 1) {{
            for (var l = 0; l < {taps_x}; l += 1) {{
                let at_y = j_y * {step_y} + {first_y} + k;
                let at_x = j_x * {step_x} + {first_x} + l;
                v += weights[n] * ({_mixed(term.mix)});
                n += 1u;
            }}
        }}
    }}
"""
    return text + "    return v;\n}\n"


def _cell(
    component: int, channel: int, block: tuple[int, int], first: tuple[int, int], lead: tuple[int, int]
) -> str:
    """`cell_c(y, x)`: the detail of a sample. Each cell has `block` samples, in channels from `channel` on.

    The picture's first cell begins `first` samples before the picture; there are `lead` cells before it.
    """
    ahead_y, ahead_x = (f + n * b for f, n, b in zip(first, lead, block, strict=True))
    return f"""
fn cell_{component}(y: i32, x: i32) -> f32 {{
    let row = (y + {ahead_y}) / {block[0]};
    let column = (x + {ahead_x}) / {block[1]};
    let channel = {channel} + (y + {ahead_y} - row * {block[0]}) * {block[1]}
        + x + {ahead_x} - column * {block[1]};
    let pair = parted(cells[((channel >> 1u) * s.cell_rows + row) * s.cell_columns + column]);
    return select(pair.x, pair.y, (channel & 1) == 1) * UNIT;
}}
"""


def _shrunk(plane: OutputPlane) -> str:
    """Set `v` to the sample's detail, filtered from the detail at full resolution."""
    rows, columns = ([(k, float(w)) for k, w in sorted(bank.phases[0].items())] for bank in plane.down)
    down, across = (bank.step for bank in plane.down)

    def table(name: str, values: list[tuple[int, float]]) -> str:
        weights = ", ".join(str(weight) for _, weight in values)
        return f"    var {name} = array<f32, {len(values)}>({weights});\n"

    return (
        "    var v = 0.0;\n"
        + table("rows", rows)
        + table("columns", columns)
        + f"""    for (var k = 0; k < {len(rows)}; k += 1) {{
        for (var l = 0; l < {len(columns)}; l += 1) {{
            let at_y = y * {down} + {rows[0][0]} + k;
            let at_x = x * {across} + {columns[0][0]} + l;
            v += rows[k] * columns[l] * cell_{plane.component}(at_y, at_x);
        }}
    }}
"""
    )


def _mixed(mix: Mix) -> str:
    """The input of a base term's filter at (at_y, at_x); the gain of a single plane is in its table."""
    if len(mix) == 1:
        return f"raw_{mix[0][0]}(at_y, at_x)"
    return " + ".join(f"{gain!r} * raw_{component}(at_y, at_x)" for component, gain in mix)


def _positions(format: FrameFormat) -> dict[int, tuple[int, int, int]]:
    """Component → (array, samples from pixel to pixel, offset in the pixel)."""
    return {
        component: (array, len(stored), offset)
        for array, stored in enumerate(format.pixel_format.stored)
        for offset, component in enumerate(stored)
    }
