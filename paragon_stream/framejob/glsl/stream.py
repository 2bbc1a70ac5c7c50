"""A block of Stream as two compute passes: the sum of near and far, and the gated product."""

from __future__ import annotations

from paragon_stream.framejob.conv import double
from paragon_stream.framejob.fold import StreamBlock
from paragon_stream.framejob.glsl.literals import matrix, number, vector
from paragon_stream.framejob.glsl.network import ShaderNetwork
from paragon_stream.framejob.glsl.program import Pass
from paragon_stream.framejob.glsl.tiles import (
    SIDE,
    begin,
    columns,
    depthwise,
    each_of_tile,
    fetch,
    indented,
    load,
    product,
    store,
    workgroup,
)

_REACH = 3  # of the far convolution
_GROUP = 4  # vectors of features that are in shared memory at a time


def stream_block(
    network: ShaderNetwork, block: StreamBlock, index: int, name: str, margin: int
) -> list[Pass]:
    """The passes from the texture `name` to PARAGON_`index`. `margin` is the result's, four pixels less than
    the input's."""
    mixed = f"PARAGON_MIXED{index}"
    return [
        _pass(network, index, "near and far", (name,), mixed, margin + 1, _mix(network, block, name)),
        _pass(
            network,
            index,
            "gate",
            (name, mixed),
            f"PARAGON_{index}",
            margin,
            _gate(network, block, name, mixed),
        ),
    ]


def _pass(
    network: ShaderNetwork, index: int, step: str, binds: tuple[str, ...], saves: str, margin: int, body: str
) -> Pass:
    of = f"block {index + 1} of {len(network.blocks)}"
    return Pass(
        description=f"ParagonSR2 {network.variant} x{network.scale}: {of}, {step}",
        binds=binds,
        saves=saves,
        texels=(columns(network), 2),
        margin=margin,
        body=body,
        group=workgroup(network),
    )


def _mix(network: ShaderNetwork, block: StreamBlock, name: str) -> str:
    """from_near(near(x)) + from_far(far(x)), some of the features at a time."""
    count, side = network.features // 4, SIDE + 2 * _REACH
    near, far = (double(each.weight[:, :, 0, 0]) for each in (block.from_near, block.from_far))
    text = begin([f"shared V4 x[{_GROUP}][{side**2}];"], side)
    biases = block.from_near.bias + block.from_far.bias
    text += indented(1, [f"V4 y{k} = {vector(biases[4 * k : 4 * k + 4])};" for k in range(count)])
    text += indented(1, ["V4 n, f;"])
    for first in range(0, count, _GROUP):
        if first:
            text += indented(1, ["barrier();"])
        place = f"ivec2 p = corner + ivec2(i % {side}, i / {side});"
        text += each_of_tile(side, [place, *load(network, name, first, _GROUP)])
        text += indented(1, ["barrier();"])
        for q in range(_GROUP):
            c = 4 * (first + q)
            text += indented(
                1,
                [
                    f"n = {depthwise(block.near, c, f'x[{q}]', side)};",
                    f"f = {depthwise(block.far, c, f'x[{q}]', side)};",
                    *(
                        f"y{k} += {matrix(near[4 * k : 4 * k + 4, c : c + 4])} * n"
                        f" + {matrix(far[4 * k : 4 * k + 4, c : c + 4])} * f;"
                        for k in range(count)
                    ),
                ],
            )
    return text + store(network, [f"y{k}" for k in range(count)]) + "}\n"


def _gate(network: ShaderNetwork, block: StreamBlock, name: str, mixed: str) -> str:
    """x + project(a ⊙ b), four channels of a and b at a time."""
    count, side = network.features // 4, SIDE + 2
    expand = [double(each.weight[:, :, 0, 0]) for each in block.expand]
    project = double(block.project.weight[:, :, 0, 0])
    text = begin([f"shared H4 u[{count}][{side**2}];", f"shared V4 w[2][{side**2}];"], side)
    place = f"ivec2 p = corner + ivec2(i % {side}, i / {side});"
    loaded = load(network, mixed, 0, count, into="u[{k}][i] = PACK({value});")
    text += each_of_tile(side, [place, *loaded])
    text += indented(
        1, ["barrier();", f"ivec2 o = (corner + ivec2(gl_LocalInvocationID.xy)) + {_REACH + 1};"]
    )
    text += indented(
        1,
        [
            f"V4 y{k} = {fetch(network, name, 'o', k)} + {vector(block.project.bias[4 * k : 4 * k + 4])};"
            for k in range(count)
        ],
    )
    text += indented(1, ["V4 g;"])
    inputs = [f"UNPACK(u[{k}][i])" for k in range(count)]
    for c in range(0, len(project[0]), 4):
        if c:
            text += indented(1, ["barrier();"])
        text += each_of_tile(
            side,
            [
                f"w[{n}][i] = {vector(each.bias[c : c + 4])} + {product(weights, c, inputs)};"
                for n, (each, weights) in enumerate(zip(block.expand, expand, strict=True))
            ],
        )
        text += indented(1, ["barrier();"])
        a, b = (depthwise(each, c, f"w[{n}]", side) for n, each in enumerate(block.gate))
        limit = number(block.limit)
        held = f"clamp(g, V4(-{limit}), V4({limit}))" if block.limit < 65504 else "g"
        text += indented(1, [f"g = ({a}) * ({b});"])
        text += indented(
            1, [f"y{k} += {matrix(project[4 * k : 4 * k + 4, c : c + 4])} * {held};" for k in range(count)]
        )
    return text + store(network, [f"y{k}" for k in range(count)]) + "}\n"
