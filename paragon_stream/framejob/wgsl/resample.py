"""The WGSL from the network's whole scale to the requested size: rows, then columns, by tables.

A plane is written at the whole scale, unrounded; then its rows are resampled, into a map `tall`; the dispatch
that writes an array of the target resamples the columns of that, draws the bars and rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paragon_stream.framejob.components import OutputPlane
from paragon_stream.framejob.resample import Resampling
from paragon_stream.framejob.tail import Pair

GROUP = (32, 8)
"""Threads of a workgroup, across and down; each computes one sample."""


@dataclass(frozen=True, kw_only=True)
class AxisTable:
    """The table of an axis in `table`: from the word `begin` on, positions of all taps, then their
    weights."""

    begin: int
    taps: int
    size: int

    def taps_of(self, axis: str, value: str) -> str:
        """Compute `sum` over the taps of output sample number `axis`; `value` is the input at position
        `at`."""
        return f"""    var sum = 0.0;
    for (var k = 0; k < {self.taps}; k += 1) {{
        let n = {self.begin} + k * {self.size} + {axis};
        let at = i32(table[n]);
        sum += bitcast<f32>(table[n + {self.taps * self.size}]) * {value};
    }}
"""


def resampling_tables(planes: list[OutputPlane]) -> tuple[bytes, list[Pair[AxisTable]]]:
    """The tables of all planes as words, and their positions."""
    parts: list[bytes] = []
    found = []
    begin = 0
    for plane in planes:
        pair = []
        for axis in plane.resampling:
            places, weights = _table(axis)
            parts += [places.astype(np.uint32).tobytes(), weights.astype(np.float32).tobytes()]
            pair.append(AxisTable(begin=begin, taps=len(places), size=axis.size))
            begin += 2 * places.size
        found.append((pair[0], pair[1]))
    return b"".join(parts), found


def _table(axis: Resampling) -> tuple[np.ndarray, np.ndarray]:
    """Positions and weights (taps, size); one tap if samples are copied."""
    if axis.ratio == 1 and axis.first.denominator == 1:
        positions = int(axis.first) + np.arange(axis.size)[None]
        return np.clip(positions, 0, axis.length - 1), np.ones((1, axis.size))
    table = axis.table()
    return table.places, table.weights


def whole_text(component: int) -> str:
    """WGSL after `codes_text`: the entry point that writes a component at the network's scale."""
    return _entry(f"output[y * s.columns + x] = code_{component}(y, x);")


def rows_text(rows: AxisTable) -> str:
    """The entry point that resamples the rows of `input_map`, a map of s.columns columns."""
    return _entry(rows.taps_of("y", "input_map[at * s.columns + x]") + "    output[y * s.columns + x] = sum;")


def _entry(body: str) -> str:
    return f"""
@compute @workgroup_size({GROUP[0]}, {GROUP[1]})
fn main(@builtin(global_invocation_id) me: vec3<u32>) {{
    let y = i32(me.y);
    let x = i32(me.x);
    if (x >= s.columns || y >= s.rows) {{ return; }}
{body}
}}
"""


def columns_text(plane: OutputPlane, columns: AxisTable) -> str:
    """`code_c(y, x)`: the code of the target's component, resampled from `row_sums_c` (plane.size[1]
    columns), or the code of the bars."""
    c, (above, _), (left, _) = plane.component, *plane.bars
    rows = plane.resampling[0].size
    return f"""
fn code_{c}(row: i32, column: i32) -> f32 {{
    let y = row - {above};
    let x = column - {left};
    if (y < 0 || y >= {rows} || x < 0 || x >= {columns.size}) {{ return {float(plane.black)}; }}
{columns.taps_of("x", f"row_sums_{c}[y * {plane.size[1]} + at]")}    return sum;
}}
"""
