"""A network as compute passes, which is how GPUs run it fast: Vulkan, Direct3D 11, OpenGL 4.3.

Features are textures of four halves per texel; a pixel has features / 4 texels in two rows. Every texture
includes the pixels around the picture that the next pass reads, so no pass needs border handling. A workgroup
of 16×16 threads loads its tile and the tile's halo into shared memory, at most 32 KiB.
"""

from __future__ import annotations

import numpy as np

from paragon_stream.checkpoint import Variant
from paragon_stream.framejob.conv import Conv, Doubles, double
from paragon_stream.framejob.fold import RealtimeBlock, StreamBlock
from paragon_stream.framejob.glsl.literals import matrix, number, vector
from paragon_stream.framejob.glsl.network import ShaderNetwork
from paragon_stream.framejob.glsl.program import Pass, base_type, sample_type, source_value
from paragon_stream.framejob.glsl.stream import stream_block
from paragon_stream.framejob.glsl.tiles import (
    SIDE,
    begin,
    columns,
    depthwise,
    each_of_tile,
    indented,
    load,
    product,
    store,
    workgroup,
)

_WIDE = 8  # channels of the widened features that are in shared memory at a time


def compute_passes(network: ShaderNetwork, hook_name: str) -> list[Pass]:
    """conv_in with the first block, the other blocks, conv_mid unless the tail has it, the tail."""
    margin = network.reach + (1 if network.mid else 0)
    name = hook_name
    passes = []
    if network.variant is Variant.STREAM:
        margin += 4 * len(network.blocks)
        passes.append(_first(network, hook_name, margin))
        name = "PARAGON_IN"
    else:
        margin += len(network.blocks)
    for index, block in enumerate(network.blocks):
        if isinstance(block, StreamBlock):
            margin -= 4
            passes += stream_block(network, block, index, name, margin)
        else:
            margin -= 1
            passes.append(_block(network, block, index, name, margin))
        name = f"PARAGON_{index}"
    if network.mid:
        margin -= 1
        passes.append(_mid(network, network.mid, name, margin))
        name = "PARAGON_MID"
    passes.append(_tail(network, hook_name, name))
    return passes


def _conv_in(network: ShaderNetwork) -> list[str]:
    """f0 … of the sources around the pixel `p` of the picture."""
    first, count = network.first, network.features // 4
    lines = [f"V4 f{k} = {vector(first.bias[4 * k : 4 * k + 4])};" for k in range(count)]
    lines.append(f"{sample_type(network)} v;")
    for y, x in np.ndindex(3, 3):
        lines.append(f"v = {source_value(f'p + ivec2({x - 1}, {y - 1})')};")
        for k in range(count):
            taps = first.weight[4 * k : 4 * k + 4, :, y, x]
            parts = [
                f"{vector(taps[:, c])} * F1({'v' if network.channels == 1 else f'v.{"rgb"[c]}'})"
                for c in range(network.channels)
            ]
            lines.append(f"f{k} += {' + '.join(parts)};")
    return lines


def _first(network: ShaderNetwork, hook_name: str, margin: int) -> Pass:
    """conv_in by itself."""
    count = network.features // 4
    text = begin([], SIDE) + indented(
        1, [f"ivec2 p = corner + ivec2(gl_LocalInvocationID.xy) - {margin};", *_conv_in(network)]
    )
    return Pass(
        description=f"ParagonSR2 {network.variant} x{network.scale}: conv_in",
        binds=(hook_name,),
        saves="PARAGON_IN",
        texels=(columns(network), 2),
        margin=margin,
        body=text + store(network, [f"f{k}" for k in range(count)]) + "}\n",
        group=workgroup(network),
    )


def _block(network: ShaderNetwork, block: RealtimeBlock, index: int, name: str, margin: int) -> Pass:
    """x + project(GELU(depthwise(expand(x)))), a few of the widened channels at a time."""
    count, side = network.features // 4, SIDE + 2
    pixel = "ivec2 p = corner + ivec2(i % {0}, i / {0}){1};"
    if index == 0:
        keep = [f"x[{k}][i] = f{k};" for k in range(count)]
        loading = [pixel.format(side, f" - {margin + 1}"), *_conv_in(network), *keep]
    else:
        loading = [pixel.format(side, ""), *load(network, name, 0, count)]
    expand, project = (double(each.weight[:, :, 0, 0]) for each in (block.expand, block.project))
    text = begin([f"shared V4 x[{count}][{side**2}], w[{_WIDE // 4}][{side**2}];"], side)
    text += each_of_tile(side, loading)
    text += indented(1, ["barrier();"])
    text += indented(
        1,
        [
            f"V4 y{k} = x[{k}][centre] + {vector(block.project.bias[4 * k : 4 * k + 4])};"
            for k in range(count)
        ],
    )
    text += indented(1, ["V4 g;"])
    inputs = [f"x[{k}][i]" for k in range(count)]
    for first in range(0, len(expand), _WIDE):
        quads = range(first, first + _WIDE, 4)
        if first:
            text += indented(1, ["barrier();"])
        text += each_of_tile(
            side,
            [
                f"w[{n}][i] = {vector(block.expand.bias[c : c + 4])} + {product(expand, c, inputs)};"
                for n, c in enumerate(quads)
            ],
        )
        text += indented(1, ["barrier();"])
        for n, c in enumerate(quads):
            text += indented(1, [f"g = gelu({depthwise(block.depthwise, c, f'w[{n}]', side)});"])
            text += indented(
                1, [f"y{k} += {matrix(project[4 * k : 4 * k + 4, c : c + 4])} * g;" for k in range(count)]
            )
    text += store(network, [f"y{k}" for k in range(count)]) + "}\n"
    step = "conv_in and block 1" if index == 0 else f"block {index + 1}"
    return Pass(
        description=f"ParagonSR2 {network.variant} x{network.scale}: {step} of {len(network.blocks)}",
        binds=(name,),
        saves=f"PARAGON_{index}",
        texels=(columns(network), 2),
        margin=margin,
        body=text,
        group=workgroup(network),
    )


def _mid(network: ShaderNetwork, mid: Conv, name: str, margin: int) -> Pass:
    """A 3×3 convolution; 16 input features are in shared memory at a time."""
    count, side = network.features // 4, SIDE + 2
    text = begin([f"shared V4 x[4][{side**2}];"], side)
    text += indented(1, [f"V4 y{k} = {vector(mid.bias[4 * k : 4 * k + 4])};" for k in range(count)])
    for first in range(0, count, 4):
        if first:
            text += indented(1, ["barrier();"])
        loading = [f"ivec2 p = corner + ivec2(i % {side}, i / {side});", *load(network, name, first, 4)]
        text += each_of_tile(side, loading)
        text += indented(1, ["barrier();"])
        for y, x in np.ndindex(3, 3):
            offset = (y - 1) * side + x - 1
            index = f"centre{offset:+d}" if offset else "centre"
            weights = double(mid.weight[:, 4 * first : 4 * first + 16, y, x])
            inputs = [f"x[{k}][{index}]" for k in range(4)]
            text += indented(1, [f"y{k} += {product(weights, 4 * k, inputs)};" for k in range(count)])
    text += store(network, [f"y{k}" for k in range(count)]) + "}\n"
    return Pass(
        description=f"ParagonSR2 {network.variant} x{network.scale}: conv_mid",
        binds=(name,),
        saves="PARAGON_MID",
        texels=(columns(network), 2),
        margin=margin,
        body=text,
        group=workgroup(network),
    )


def _tail(network: ShaderNetwork, hook_name: str, name: str) -> Pass:
    """Detail and base path; each thread computes scale² samples."""
    scale, reach, channels = network.scale, network.reach, network.channels
    side, base_side = SIDE + 2 * reach, SIDE + 2
    kind, base_kind = sample_type(network), base_type(network)
    text = begin([f"shared V4 x[4][{side**2}];", f"shared {base_kind} b[{base_side**2}];"], side)
    text += each_of_tile(base_side, _low_pass(network, base_side))
    samples = list(np.ndindex(scale, scale))
    for r, q in samples:
        bias = network.tail_bias[r, q]
        value = number(bias[0]) if len(bias) == 1 else f"vec3({','.join(map(number, bias))})"
        text += indented(1, [f"{kind} y{r}{q} = {kind}({value});"])
    for first in range(0, network.features // 4, 4):
        if first:
            text += indented(1, ["barrier();"])
        loading = [f"ivec2 p = corner + ivec2(i % {side}, i / {side});", *load(network, name, first, 4)]
        text += each_of_tile(side, loading)
        text += indented(1, ["barrier();"])
        taps = network.tail.shape[-1]
        for y, x in np.ndindex(taps, taps):
            offset = (y + network.tail_first) * side + x + network.tail_first
            index = f"centre{offset:+d}" if offset else "centre"
            for r, q in samples:
                weights = network.tail[r, q, :, 4 * first : 4 * first + 16, y, x]
                if weights.any():
                    text += indented(1, [f"y{r}{q} += {kind}({_dots(weights, index)});"])
    text += indented(1, _enlarge(network, base_kind, base_side))
    if network.chroma_phases is not None:
        text += indented(1, _chroma(network.chroma_phases))
    text += indented(1, [f"ivec2 q = ivec2(gl_GlobalInvocationID.xy) * {scale};"])
    if channels == 3:
        place = f"(vec2(gl_GlobalInvocationID.xy) + .5) * {hook_name}_pt"
        text += indented(1, [f"float alpha = {hook_name}_tex({place}).a;"])
    for r, q in samples:
        value = f"clamp(y{r}{q}, 0., 1.), 0., 0., 1." if channels == 1 else f"y{r}{q}, alpha"
        text += indented(1, [f"imageStore(out_image, q + ivec2({q}, {r}), vec4({value}));"])
    return Pass(
        description=f"ParagonSR2 {network.variant} x{scale}: tail and base",
        binds=(hook_name, name),
        saves=None,
        texels=(scale, scale),
        margin=0,
        body=text + "}\n",
        group=(SIDE * scale, SIDE * scale, SIDE, SIDE),
    )


def _dots(weights: Doubles, index: str) -> str:
    """weights (channels, 16) times the 16 features at `index` of the tile."""
    if len(weights) == 1:
        return " + ".join(f"dot({vector(weights[0, 4 * k : 4 * k + 4])}, x[{k}][{index}])" for k in range(4))
    return " + ".join(
        f"M43({','.join(number(each) for each in weights[:, 4 * k : 4 * k + 4].T.reshape(-1))})"
        f" * x[{k}][{index}]"
        for k in range(4)
    )


def _chroma(phases: Doubles) -> list[str]:
    """Add the filtered chroma to y…: along rows first, then columns. It reads from the texture, because
    shared memory is too small for the filter's reach."""
    scale, taps = phases.shape
    lines = ["ivec2 at_source = ivec2(gl_GlobalInvocationID.xy);", "vec3 c;"]
    lines += [f"vec3 g{q};" for q in range(scale)]
    for row in range(taps):
        lines += [f"g{q} = vec3(0.);" for q in range(scale)]
        for column in range(taps):
            used = [q for q in range(scale) if phases[q, column]]
            if used:
                lines.append(f"c = CHROMA(at_source + ivec2({column - taps // 2}, {row - taps // 2}));")
                lines += [f"g{q} += {number(phases[q, column], 9)} * c;" for q in used]
        lines += [
            f"y{r}{q} += {number(phases[r, row], 9)} * g{q};"
            for r, q in np.ndindex(scale, scale)
            if phases[r, row]
        ]
    return lines


def _low_pass(network: ShaderNetwork, side: int) -> list[str]:
    """b[i]: the input of the base path's enlargement, low-passed if necessary, for pixel i of the tile."""
    lines = [f"ivec2 p = corner + ivec2(i % {side}, i / {side}) - 1;"]
    if network.low_pass is None:
        return [*lines, "b[i] = BASE(p);"]
    kind = base_type(network)
    lines.append(f"{kind} v = {kind}(0.);")
    for y, x in np.argwhere(network.low_pass):
        weight = number(network.low_pass[y, x], 9)
        lines.append(f"v += {weight} * BASE(p + ivec2({x - 3}, {y - 3}));")
    return [*lines, "b[i] = v;"]


def _enlarge(network: ShaderNetwork, kind: str, side: int) -> list[str]:
    """Add the base path to y…: rows of samples first, then columns, 3 taps each."""
    lines = [
        f"int at = (int(gl_LocalInvocationID.y) + 1) * {side} + int(gl_LocalInvocationID.x) + 1;",
    ]
    scale = network.scale
    for q in range(scale):
        for row in (-1, 0, 1):
            parts = [
                f"{number(weight, 9)} * b[at{row * side + column:+d}]"
                for column, weight in zip((-1, 0, 1), network.phases[q], strict=True)
                if weight
            ]
            lines.append(f"{kind} h{q}{row + 1} = {' + '.join(parts)};")
    for r in range(scale):
        for q in range(scale):
            parts = [
                f"{number(weight, 9)} * h{q}{row}" for row, weight in enumerate(network.phases[r]) if weight
            ]
            lines.append(f"y{r}{q} += {' + '.join(parts)};")
    return lines
