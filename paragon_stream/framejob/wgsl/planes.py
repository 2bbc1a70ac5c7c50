"""The WGSL between bytes and samples: reading components of the source, writing arrays of the target.

Storage buffers are arrays of 32-bit words, so samples are taken out of words, and one thread makes one word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.components import InputPlane, Mix, OutputPlane
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.tail import Detail
from paragon_stream.framejob.taps import FilterBank
from paragon_stream.framejob.wgsl.weights import base_table

WORDS = (32, 8)
"""Threads of a workgroup that writes an array, across and down; each makes one word of a row."""


def source_text(job: FrameJob) -> str:
    """`raw_c(y, x)`: centred codes of component c on its own grid, edges replicated; `sample_c(y, x)`: the
    same on the luma grid. Reads the arrays `plane_a`, whose rows have `s.pitch_a` bytes, of a picture of
    `s.width` × `s.height` pixels."""
    places = _places(job.source)
    wide = job.source.pixel_format.bytes_per_sample == 2
    text = ""
    for plane in job.inputs:
        c, (array, stride, offset) = plane.component, places[plane.component]
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
    """Set the first tap's place and the two weights by the phase of the coordinate."""
    phases = len(bank.phases)
    text = f"    let {name}_cell = {axis} >> {int(math.log2(phases))}u;\n"
    text += f"    switch {axis} & {phases - 1} {{\n"
    for p, taps in enumerate(bank.phases):
        first = min(taps)
        weights = f"vec2<f32>({float(taps[first])}, {float(taps.get(first + 1, 0))})"
        label = f"case {p}" if p + 1 < phases else "default"
        text += f"        {label} {{ {name} = {name}_cell + {first}; {name}s = {weights}; }}\n"
    return text + "    }\n"


def target_text(
    job: FrameJob, details: Sequence[Detail | None], array: int, tables: dict[int, list[int]]
) -> str:
    """The entry point that writes array `array` of the target: detail from `cells`, base path, rounding.

    `tables` gives for every component where the tables of its base terms begin in `weights` (single floats).
    A sample that is not a number, or far from any code, sets `status`.
    """
    pixels = job.target.pixel_format
    stored = pixels.stored[array]
    wide = pixels.bytes_per_sample == 2
    per_word, bits = (2, 16) if wide else (4, 8)
    outputs = {plane.component: (plane, detail) for plane, detail in zip(job.outputs, details, strict=True)}
    text = "".join(_component(*outputs[c], tables[c]) for c in stored)
    factor = outputs[stored[0]][0].factor
    text += f"""
@compute @workgroup_size({WORDS[0]}, {WORDS[1]})
fn main(@builtin(global_invocation_id) me: vec3<u32>) {{
    if (i32(me.x) * 4 >= s.row_bytes || i32(me.y) >= s.rows) {{ return; }}
    let samples = s.row_bytes / {bits // 8};
    var word = 0u;
    for (var n = 0u; n < {per_word}u; n += 1u) {{
        let place = i32(me.x * {per_word}u + n);
        if (place >= samples) {{ break; }}
        let y = i32(me.y);
        let x = place / {len(stored)};
        var v: f32;
        switch place % {len(stored)} {{
"""
    for n, c in enumerate(stored):
        label = f"case {n}" if n + 1 < len(stored) else "default"
        text += f"            {label} {{ v = made_{c}(y, x); }}\n"
    return (
        text
        + f"""        }}
        // By its bits: compilers may take it for granted that there are no such numbers.
        if ((bitcast<u32>(v) & 0x7f800000u) == 0x7f800000u || abs(v) > {16.0 * pixels.peak}) {{
            atomicOr(&status[0], 1u);
            v = 0.0;
        }}
        let code = u32(clamp(round(v), 0.0, {float(pixels.peak)})) << {pixels.shift}u;
        word |= code << (n * {bits}u);
    }}
    went[me.y * u32(s.pitch / 4) + me.x] = word;
}}
// Samples per luma sample of this array: {1 / factor[0]:g} down, {1 / factor[1]:g} across.
"""
    )


def _component(plane: OutputPlane, detail: Detail | None, tables: list[int]) -> str:
    """`made_c(y, x)`: the unrounded code of the component."""
    text = f"\nfn made_{plane.component}(y: i32, x: i32) -> f32 {{\n"
    text += _detail(detail) if detail is not None else "    var v = 0.0;\n"
    text += f"    v += {plane.offset!r};\n"
    for term, begin in zip(plane.base, tables, strict=True):
        table, (first_y, first_x), (step_y, step_x) = base_table(term)
        phases_y, phases_x, taps_y, taps_x = table.shape
        text += f"""    {{
        let j_y = y / {phases_y};
        let j_x = x / {phases_x};
        let phase = (y - j_y * {phases_y}) * {phases_x} + x - j_x * {phases_x};
        var n = {begin}u + u32(phase) * {taps_y * taps_x}u;
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


def _detail(detail: Detail) -> str:
    """`v`: the sample's detail, out of its cell."""
    (lead_y, lead_x), (block_y, block_x) = detail.lead, detail.block
    return f"""    let cell_y = (y + {lead_y}) / {block_y};
    let cell_x = (x + {lead_x}) / {block_x};
    let channel = {detail.channels[0]} + (y + {lead_y} - cell_y * {block_y}) * {block_x}
        + x + {lead_x} - cell_x * {block_x};
    let pair = parted(cells[((channel >> 1u) * s.cell_rows + cell_y) * s.cell_columns + cell_x]);
    var v = select(pair.x, pair.y, (channel & 1) == 1) * UNIT;
"""


def _mixed(mix: Mix) -> str:
    """The sample at (at_y, at_x) of what a term filters; the gain of a single plane is in its table."""
    if len(mix) == 1:
        return f"raw_{mix[0][0]}(at_y, at_x)"
    return " + ".join(f"{gain!r} * raw_{component}(at_y, at_x)" for component, gain in mix)


def _places(format: FrameFormat) -> dict[int, tuple[int, int, int]]:
    """By component: array, samples from pixel to pixel, place in the pixel."""
    return {
        component: (array, len(stored), offset)
        for array, stored in enumerate(format.pixel_format.stored)
        for offset, component in enumerate(stored)
    }
