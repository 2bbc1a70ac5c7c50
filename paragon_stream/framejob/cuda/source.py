"""The constants of a frame job for the CUDA kernels, as the head of their source text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import cache
from importlib.resources import files

import numpy as np

from paragon_stream.checkpoint import Variant
from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.components import InputPlane
from paragon_stream.framejob.cuda.passes import TILE, Member, Pass, joint_reach
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.tail import Tail
from paragon_stream.framejob.taps import FilterBank

FEATURES: dict[str, int] = {Variant.REALTIME: 16, Variant.STREAM: 32}
"""Number of features of the networks that have kernels."""

LEAD = {16: 0, 32: 4}
"""By number of features: columns of a map before the picture's first, for the context of strips."""

CELLS_Y = {16: 16, 32: 7}
"""By number of features: rows of cells that a block of the kernel `head` computes. They fit into Turing's
shared memory, and those of two blocks into the shared memory of consumer cards (100 KiB)."""

_GELU_RANGE = 3.875
_GELU = (-0.050964, 0.092468, -0.054504, -0.0065956, 0.022507, -0.0074158, -0.0011663, 0.00069427)
"""Coefficients of the polynomial in kernels/gelu.cuh (minus the bump), by powers of t - range / 2."""


@cache
def kernel_text(name: str) -> str:
    """One of the files in paragon_stream/kernels."""
    return (files("paragon_stream") / "kernels" / name).read_text(encoding="utf-8")


def source_unit(format: FrameFormat) -> float:
    """The factor that brings centred codes of every depth to -1…1."""
    return float(2.0 ** (1 - format.pixel_format.depth))


def program_text(job: FrameJob, tail: Tail, passes: Sequence[Pass]) -> str:
    """The whole translation unit. Raises EngineError if the kernels do not support the job."""
    blocks = ("gelu", "realtime") if job.spec.variant is Variant.REALTIME else ("stream",)
    names = ("features", "source", *blocks, "body", "head")
    return "\n".join(
        [
            kernel_text("simt.cuh"),
            preamble(job, tail, passes),
            *(kernel_text(f"{name}.cuh") for name in names),
        ]
    )


def preamble(job: FrameJob, tail: Tail, passes: Sequence[Pass]) -> str:
    """Constants, tables, and the passes with their groups of planes.

    Raises EngineError if the kernels do not support the job.
    """
    realtime = job.spec.variant is Variant.REALTIME
    features = job.spec.features
    blocks = len(job.blocks) if realtime else 0
    lines = [
        f"constexpr int FEATURES = {features};",
        f"typedef uint{features // 8} Pairs;  // what a lane has of a pixel",
        f"constexpr int LEAD = {LEAD[features]};",
        f"constexpr int BLOCKS = {blocks};  // that `body` computes",
        f"constexpr int SPOILED = {blocks + 1};  // pixels at each end of a slice",
        "constexpr int SLICE = 128 - 2 * SPOILED;",
        f"constexpr half2 PRODUCT_LIMIT = {_half2(job.spec.product_limit)};",
        f"constexpr half2 MINUS_PRODUCT_LIMIT = {_half2(-job.spec.product_limit)};",
        f"constexpr bool CONDITIONED = {_truth(job.spec.conditioned)};",
        f"constexpr int SCALE = {job.scale};",
        f"constexpr int TAIL_ROWS = {tail.conv.weight.shape[2]};",
        f"constexpr int TAIL_COLUMNS = {tail.conv.weight.shape[3]};",
        f"constexpr int TAIL_TILES = {len(tail.conv.weight) // TILE};",
        f"constexpr int CELLS_Y = {CELLS_Y[features]};",
        *(gelu_constants() if realtime else ()),
        *_format("SOURCE", "Source", "source", job.source),
        f"constexpr int SOURCE_COMPONENTS = {len(job.inputs)};",
        f"constexpr float SOURCE_CENTRE = {_float(job.centre)};",
        f"constexpr float SOURCE_UNIT = {_float(source_unit(job.source))};",
        *_switch("source_log_y", [int(math.log2(plane.factor[0])) for plane in job.inputs]),
        *_switch("source_log_x", [int(math.log2(plane.factor[1])) for plane in job.inputs]),
        *_chroma_up(job.inputs),
        *_format("TARGET", "Target", "target", job.target),
    ]
    lines.append(f"constexpr int PASS_TILES = {max(each.tiles for each in passes)};")
    calls = []
    for p, each in enumerate(passes):
        names = [f"Group{p}_{g}" for g in range(len(each.groups))]
        for name, members in zip(names, each.groups, strict=True):
            lines += _group(job, name, members, each.first_tile)
        facts = (str(each.first_tile), str(each.tiles), _truth(each.holds_taps))
        calls.append(f"PASS({', '.join((*facts, *names))})")
    return "\n".join([*lines, f"#define EACH_PASS {' '.join(calls)}", ""])


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _float(value: float) -> str:
    return f"{float(np.float32(value))!r}f"


def _half2(value: float) -> str:
    bits = int(np.float16(value).view(np.uint16))
    return f"0x{bits * 0x10001:08x}u"


def gelu_constants() -> list[str]:
    """Constants of kernels/gelu.cuh."""
    named = {f"GELU_{k}": value for k, value in enumerate(_GELU)}
    named |= {"GELU_HALF_RANGE": _GELU_RANGE / 2, "GELU_MINUS_HALF_RANGE": -_GELU_RANGE / 2}
    return [f"constexpr half2 {name} = {_half2(value)};" for name, value in named.items()]


def _switch(name: str, values: Iterable[int], parameters: str = "int c", selector: str = "c") -> list[str]:
    """A function from a small number to a small number: chosen by comparisons, so never a load."""
    *others, last = values
    choice = " : ".join([*(f"{selector} == {i} ? {value}" for i, value in enumerate(others)), str(last)])
    return [f"DEVICE constexpr int {name}({parameters}) {{ return {choice}; }}"]


def _format(upper: str, camel: str, lower: str, format: FrameFormat) -> list[str]:
    """Constants for the positions of a format's samples: array, samples from pixel to pixel, offset in the
    pixel."""
    pixels = format.pixel_format
    positions: dict[int, tuple[int, int, int]] = {}
    count = 0
    for array, shape in enumerate(format.plane_shapes):
        stride = shape[2] if len(shape) == 3 else 1
        for offset in range(stride):
            positions[pixels.order[count]] = (array, stride, offset)
            count += 1
    components = [positions[c] for c in sorted(positions) if c >= 0]
    return [
        f"typedef {'u8' if pixels.bytes_per_sample == 1 else 'u16'} {camel}Sample;",
        f"constexpr int {upper}_SHIFT = {pixels.shift};",
        f"constexpr int {upper}_PEAK = {pixels.peak};",
        f"constexpr int {upper}_PADDING = {positions[-1][2] if -1 in positions else -1};",
        *_switch(f"{lower}_array", [array for array, _, _ in components]),
        *_switch(f"{lower}_stride", [stride for _, stride, _ in components]),
        *_switch(f"{lower}_offset", [offset for _, _, offset in components]),
    ]


def _unit(banks: Iterable[FilterBank]) -> int:
    """The common denominator of all taps."""
    return math.lcm(
        *(Fraction(w).denominator for bank in banks for taps in bank.phases for w in taps.values())
    )


def _chroma_up(inputs: tuple[InputPlane, ...]) -> list[str]:
    """up_row and up_column: (first tap's offset, its weight, the next one's), in units of 1 / UP_UNIT."""
    unit = _unit(bank for plane in inputs for bank in plane.up)
    lines = [f"constexpr int UP_UNIT = {unit};"]
    for axis, name in enumerate(("row", "column")):
        chroma = inputs[-1]
        table: list[list[int]] = [[], [], []]
        for taps in chroma.up[axis].phases:
            start = min(taps)
            table[0].append(start)
            table[1].append(int(taps[start] * unit))
            table[2].append(int(taps.get(start + 1, 0) * unit))
        for part, values in enumerate(table):
            # `&` of a negative coordinate rounds down, as floor division does.
            lines += _switch(f"up_{name}_{part}", values, "int place", f"(place & {len(values) - 1})")
        plain = f"source_log_{'yx'[axis]}(c) == 0"
        lines.append(
            f"DEVICE int up_{name}(int c, int place, int part) {{\n"
            f"    if ({plain}) return part == 1 ? 1 : 0;\n"
            f"    if (part == 0) return up_{name}_0(place);\n"
            f"    return part == 1 ? up_{name}_1(place) : up_{name}_2(place);\n"
            "}"
        )
    return lines


def _group(job: FrameJob, name: str, members: tuple[Member, ...], first_tile: int) -> list[str]:
    first = members[0]
    plane, detail, filters = first.plane, first.detail, first.filters
    rows, columns = [rows for _, rows, _ in filters], [columns for *_, columns in filters]
    unit = _unit(columns)
    (first_row, row_taps), (first_column, column_taps) = joint_reach(rows), joint_reach(columns)
    facts = {
        "COMPONENT": plane.component,
        "COMPONENTS": len(members),
        "CHANNEL": detail.channels[0] - TILE * first_tile,
        "BLOCK_Y": detail.block[0],
        "BLOCK_X": detail.block[1],
        "LEAD_Y": detail.lead[0],
        "LEAD_X": detail.lead[1],
        "FACTOR_Y": plane.factor[0],
        "FACTOR_X": plane.factor[1],
        "FILTERS": len(filters),
        "PHASES_Y": len(rows[0].phases),
        "PHASES_X": len(columns[0].phases),
        "STEP_X": columns[0].step,
        "FIRST_ROW": first_row,
        "ROW_TAPS": row_taps,
        "FIRST_COLUMN": first_column,
        "COLUMN_TAPS": column_taps,
    }
    if any((bank.step, len(bank.phases)) != (1, facts["PHASES_Y"]) for bank in rows):
        raise EngineError(f"the cuda engine has no filter for {job.source} to {job.target}")
    if job.source.pixel_format.peak * unit >= 1 << 31:
        raise EngineError("the cuda engine's base path cannot represent these filters at this depth")
    # Rounded, so that all matrices give the same text: the true value is 0, up to the last bits.
    offset = round(plane.offset - _level(first) * job.centre, 6) + 0.0

    def row_weight(f: int, phase: int, k: int) -> str:
        gain = 1.0 if first.mixes else first.own[f]
        return _float(gain * filters[f][0] * rows[f].phases[phase].get(first_row + k, Fraction(0)) / unit)

    def column_weight(f: int, phase: int, k: int) -> str:
        return str(int(columns[f].phases[phase].get(first_column + k, Fraction(0)) * unit))

    mixes = zip(*first.shared, strict=True) if first.mixes else ()
    own = first.own if first.mixes else ()
    return [
        f"struct {name} {{",
        *(f"    static constexpr int {key} = {value};" for key, value in facts.items()),
        f"    static constexpr bool MIXES = {_truth(first.mixes)};",
        f"    static constexpr float OFFSET = {_float(offset)};",
        *_table("float", "row_weight", facts["PHASES_Y"], row_taps, len(filters), row_weight),
        *_table("int", "column_weight", facts["PHASES_X"], column_taps, len(filters), column_weight),
        *_mixing(own, list(mixes)),
        "};",
    ]


def _mixing(own: Sequence[float], shared: Sequence[Sequence[float]]) -> list[str]:
    """The gain of filter f for its own component, and the gains by component of the source that all planes
    share."""
    if not own:
        return []
    return [
        f"    DEVICE_METHOD static float own(int f) {{ return {_choice('f', own)}; }}",
        "    DEVICE_METHOD static float shared(int f, int c) {",
        *(f"        if (c == {c}) return {_choice('f', values)};" for c, values in enumerate(shared)),
        "        return 0;",
        "    }",
    ]


def _choice(selector: str, values: Sequence[float]) -> str:
    *others, last = map(_float, values)
    return " : ".join([*(f"{selector} == {i} ? {value}" for i, value in enumerate(others)), last])


def _table(
    kind: str, name: str, phases: int, taps: int, filters: int, value: Callable[[int, int, int], str]
) -> list[str]:
    """A table as nested choices, which the compiler resolves wherever the indices are constants."""
    lines = [f"    DEVICE_METHOD static {kind} {name}(int f, int phase, int k) {{"]
    for f in range(filters):
        for k in range(taps):
            *others, last = [value(f, phase, k) for phase in range(phases)]
            choice = " : ".join([*(f"phase == {p} ? {v}" for p, v in enumerate(others)), last])
            lines.append(f"        if (f == {f} && k == {k}) return {choice};")
    return [*lines, "        return 0;", "    }"]


def _level(member: Member) -> float:
    """The base path's result for a constant 1 in all components: its gain, because all filters preserve
    constants."""
    gains = [own + (sum(member.shared[f]) if member.mixes else 0.0) for f, own in enumerate(member.own)]
    return sum(
        gain * weight * float(sum(rows.phases[0].values())) * float(sum(columns.phases[0].values()))
        for gain, (weight, rows, columns) in zip(gains, member.filters, strict=True)
    )
