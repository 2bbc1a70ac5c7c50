"""A network as fragment passes, for OpenGL without compute shaders, the only OpenGL on macOS.

A texture stores its groups of four channels side by side, as tiles of the picture's size, so neighbouring
fragments take the same branch. Every layer is a separate pass, three per block, because fragments cannot
share data. It needs much more memory bandwidth than the compute form; the samples are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from paragon_stream.errors import EngineError
from paragon_stream.framejob.conv import Doubles, double
from paragon_stream.framejob.fold import RealtimeBlock, StreamBlock
from paragon_stream.framejob.glsl.literals import matrix, number, vector
from paragon_stream.framejob.glsl.network import ShaderNetwork
from paragon_stream.framejob.glsl.program import Pass, base_type, sample_type, source_value

type Branch = Callable[[int], list[str]]
"""The lines that compute `r`, the channels 4k … 4k + 3 of the pixel `p`."""


class _Writer:
    """Writes passes in order; the margin shrinks by the reach of each pass."""

    def __init__(self, network: ShaderNetwork, hook_name: str) -> None:
        self._network = network
        self._hook = hook_name
        self.passes: list[Pass] = []
        self.margin = network.reach + (1 if network.mid else 0) + len(network.blocks)

    def add(self, step: str, saves: str, groups: int, branch: Branch, *binds: str, reach: int = 0) -> None:
        """A pass that writes `groups` tiles, of pixels of `binds` up to `reach` away."""
        self.margin -= reach
        across, down = _tiles(groups)
        lines = [
            f"ivec2 size = ivec2({self._hook}_size + .5) + {2 * self.margin};",
            f"ivec2 p = ivec2({self._hook}_pos * vec2(size * ivec2({across}, {down})));",
            f"int k = p.x / size.x + {across} * (p.y / size.y);",
            "p %= size;",
            "V4 r;",
        ]
        for k in range(groups):
            lines.append(f"{'else ' if k else ''}{f'if (k == {k}) ' if k + 1 < groups else ''}{{")
            lines += [*(f"    {line}" for line in branch(k)), "}"]
        text = "".join(f"    {line}\n" for line in [*lines, "return vec4(r);"])
        self.passes.append(
            Pass(
                description=f"ParagonSR2 {self._network.variant} x{self._network.scale}: {step}",
                binds=(self._hook, *binds),
                saves=saves,
                texels=(across, down),
                margin=self.margin,
                body=f"{_readers(binds)}vec4 hook() {{\n{text}}}\n",
            )
        )


def fragment_passes(network: ShaderNetwork, hook_name: str) -> list[Pass]:
    """conv_in; per block expand, depthwise with GELU, project; conv_mid unless the tail has it; the tail.

    Raises EngineError for stream.
    """
    writer = _Writer(network, hook_name)
    if any(isinstance(block, StreamBlock) for block in network.blocks):
        raise EngineError("stream has no fragment form: it would have more passes than players accept")
    blocks = [block for block in network.blocks if isinstance(block, RealtimeBlock)]
    groups = network.features // 4
    writer.add("conv_in", "PARAGON_IN", groups, _conv_in(network, writer.margin))
    name = "PARAGON_IN"
    for index, block in enumerate(blocks):
        expand, project = (double(each.weight[:, :, 0, 0]) for each in (block.expand, block.project))
        wide, active, out = (f"PARAGON_{kind}{index}" for kind in ("WIDE", "ACTIVE", "OUT"))
        of = f"{index + 1} of {len(network.blocks)}"
        writer.add(
            f"expand {of}", wide, 2 * groups, _pointwise(expand, double(block.expand.bias), name), name
        )
        depthwise = double(block.depthwise.weight[:, 0])
        writer.add(
            f"depthwise {of}",
            active,
            2 * groups,
            _depthwise(depthwise, double(block.depthwise.bias), wide),
            wide,
            reach=1,
        )
        writer.add(
            f"project {of}",
            out,
            groups,
            _pointwise(project, double(block.project.bias), active, skip=name),
            active,
            name,
        )
        name = out
    if network.mid:
        weight, bias = double(network.mid.weight), double(network.mid.bias)
        writer.add("conv_mid", "PARAGON_MID", groups, _spatial(weight, bias, name, 0), name, reach=1)
        name = "PARAGON_MID"
    samples = _samples(network)
    weight = np.stack([network.tail[r, q, c] for r, q, c in samples])
    bias = np.array([network.tail_bias[r, q, c] for r, q, c in samples])
    detail = _spatial(weight, bias, name, network.reach + network.tail_first)
    writer.add("tail", "PARAGON_TAIL", math.ceil(len(samples) / 4), detail, name, reach=network.reach)
    return [*writer.passes, _last(network, hook_name)]


def _tiles(groups: int) -> tuple[int, int]:
    return (groups, 1) if groups < 4 or groups % 2 else (groups // 2, 2)


def _samples(network: ShaderNetwork) -> list[tuple[int, int, int]]:
    """(row, column, channel) of the tail's outputs, four to a tile."""
    scale = network.scale
    return [(r, q, c) for r in range(scale) for q in range(scale) for c in range(network.details)]


def _readers(names: tuple[str, ...]) -> str:
    """A macro that reads group k of the pixel p of each texture; `_tile` is its tiles' size."""
    return "".join(
        f"#define {name}_at(p, k, across, down) V4(texelFetch({name}_raw, clamp(p, ivec2(0), "
        f"textureSize({name}_raw, 0) / ivec2(across, down) - 1) + textureSize({name}_raw, 0) / "
        "ivec2(across, down) * ivec2((k) % across, (k) / across), 0))\n"
        for name in names
    )


def _read(name: str, position: str, k: int, groups: int) -> str:
    across, down = _tiles(groups)
    return f"{name}_at({position}, {k}, {across}, {down})"


def _conv_in(network: ShaderNetwork, margin: int) -> Branch:
    first = network.first

    def branch(k: int) -> list[str]:
        lines = [f"r = {vector(first.bias[4 * k : 4 * k + 4])};", f"{sample_type(network)} v;"]
        for y, x in np.ndindex(3, 3):
            lines.append(f"v = {source_value(f'p + ivec2({x - 1 - margin}, {y - 1 - margin})')};")
            taps = first.weight[4 * k : 4 * k + 4, :, y, x]
            lines += [
                f"r += {vector(taps[:, c])} * F1({'v' if network.channels == 1 else f'v.{"rgb"[c]}'});"
                for c in range(network.channels)
            ]
        return lines

    return branch


def _pointwise(weight: Doubles, bias: Doubles, name: str, *, skip: str = "") -> Branch:
    """weight (outputs, inputs); `skip` is added: it has a margin of one pixel more."""
    groups = weight.shape[1] // 4

    def branch(k: int) -> list[str]:
        rows = weight[4 * k : 4 * k + 4]
        lines = [f"r = {vector(bias[4 * k : 4 * k + 4])};"]
        if skip:
            lines.append(f"r += {_read(skip, 'p + 1', k, len(weight) // 4)};")
        lines += [
            f"r += {matrix(rows[:, 4 * n : 4 * n + 4])} * {_read(name, 'p', n, groups)};"
            for n in range(groups)
        ]
        return lines

    return branch


def _depthwise(weight: Doubles, bias: Doubles, name: str) -> Branch:
    """weight (channels, 3, 3)."""

    def branch(k: int) -> list[str]:
        lines = [f"r = {vector(bias[4 * k : 4 * k + 4])};"]
        for y, x in np.ndindex(3, 3):
            taps = vector(weight[4 * k : 4 * k + 4, y, x])
            lines.append(f"r += {taps} * {_read(name, f'p + ivec2({x}, {y})', k, len(weight) // 4)};")
        return [*lines, "r = gelu(r);"]

    return branch


def _spatial(weight: Doubles, bias: Doubles, name: str, first: int) -> Branch:
    """weight (outputs, inputs, taps, taps), its first tap `first` pixels from `p`'s corner."""
    outputs, inputs, taps, _ = weight.shape
    padded = np.zeros((math.ceil(outputs / 4) * 4, inputs, taps, taps))
    padded[:outputs] = weight
    biases = np.zeros(len(padded))
    biases[:outputs] = bias

    def branch(k: int) -> list[str]:
        lines = [f"r = {vector(biases[4 * k : 4 * k + 4])};", "V4 v;"]
        rows = padded[4 * k : 4 * k + 4]
        for y, x in np.ndindex(taps, taps):
            position = f"p + ivec2({x + first}, {y + first})"
            for n in range(inputs // 4):
                part = rows[:, 4 * n : 4 * n + 4, y, x]
                if part.any():
                    lines.append(f"v = {_read(name, position, n, inputs // 4)};")
                    lines += _rows(part)
        return lines

    return branch


def _rows(part: Doubles) -> list[str]:
    """part (4 outputs, 4 inputs) times `v`; outputs that do not see this tap are left out."""
    if part.any(axis=1).all():
        return [f"r += {matrix(part)} * v;"]
    return [f"r.{'xyzw'[n]} += dot({vector(row)}, v);" for n, row in enumerate(part) if row.any()]


def _last(network: ShaderNetwork, hook_name: str) -> Pass:
    """Each sample of the result: its detail, selected by its position in the source pixel, and the base
    path."""
    scale, kind = network.scale, sample_type(network)
    lines = [
        f"ivec2 q = ivec2({hook_name}_pos * vec2(ivec2({hook_name}_size + .5) * {scale}));",
        f"ivec2 p = q / {scale}, s = q - p * {scale};",
        "vec3 x, y;",
    ]
    for axis, name in enumerate("xy"):
        for phase, weights in enumerate(network.phases):
            choice = f"if (s.{'xy'[axis]} == {phase}) " if phase + 1 < scale else ""
            values = ",".join(number(each, 9) for each in weights)
            lines.append(f"{'else ' if phase else ''}{choice}{name} = vec3({values});")
    lines.append(f"{kind} r = {kind}(0.);")
    for row, column in np.ndindex(3, 3):
        lines.append(f"r += y[{row}] * x[{column}] * low(p + ivec2({column - 1}, {row - 1}));")
    if network.chroma_phases is not None:
        lines += _chroma(network.chroma_phases)
    lines.append(f"int n = (s.y * {scale} + s.x) * {network.details};")
    groups = math.ceil(scale**2 * network.details / 4)
    across, down = _tiles(groups)
    for c in range(network.details):
        name = "r" if network.details == 1 else f"r.{'rgb'[c]}"
        lines.append(f"{name} += float(PARAGON_TAIL_at(p, (n + {c}) / 4, {across}, {down})[(n + {c}) % 4]);")
    lines.append(
        "return vec4(clamp(r, 0., 1.), 0., 0., 1.);"
        if network.channels == 1
        else f"return vec4(r, {hook_name}_tex({hook_name}_pos).a);"
    )
    body = "".join(f"    {line}\n" for line in lines)
    return Pass(
        description=f"ParagonSR2 {network.variant} x{scale}: base",
        binds=(hook_name, "PARAGON_TAIL"),
        saves=None,
        texels=(scale, scale),
        margin=0,
        body=f"{_readers(('PARAGON_TAIL',))}{_low(network, base_type(network))}vec4 hook() {{\n{body}}}\n",
    )


def _chroma(phases: Doubles) -> list[str]:
    """Add the filtered chroma to `r`."""
    scale, taps = phases.shape
    lines = [f"float cx[{taps}], cy[{taps}];"]
    for axis in "xy":
        for phase, weights in enumerate(phases):
            choice = f"if (s.{axis} == {phase}) " if phase + 1 < scale else ""
            values = " ".join(f"c{axis}[{k}] = {number(each, 9)};" for k, each in enumerate(weights))
            lines.append(f"{'else ' if phase else ''}{choice}{{ {values} }}")
    return [
        *lines,
        f"for (int i = 0; i < {taps}; i++) {{",
        f"    for (int j = 0; j < {taps}; j++) "
        f"r += cy[i] * cx[j] * CHROMA(p + ivec2(j - {taps // 2}, i - {taps // 2}));",
        "}",
    ]


def _low(network: ShaderNetwork, kind: str) -> str:
    """The input of the base path's enlargement."""
    if network.low_pass is None:
        return "#define low(p) BASE(p)\n"
    terms = " + ".join(
        f"{number(network.low_pass[y, x], 9)} * BASE(p + ivec2({x - 3}, {y - 3}))"
        for y, x in np.argwhere(network.low_pass)
    )
    return f"{kind} low(ivec2 p) {{ return {terms}; }}\n"
