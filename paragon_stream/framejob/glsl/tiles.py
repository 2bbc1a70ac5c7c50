"""Helpers for writing compute passes: tiles in shared memory, features in textures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from paragon_stream.framejob.conv import Conv, Doubles
from paragon_stream.framejob.glsl.literals import matrix, vector
from paragon_stream.framejob.glsl.network import ShaderNetwork

SIDE = 16
"""Threads of a workgroup, across and down; each computes one pixel."""

THREADS = SIDE * SIDE


def indented(depth: int, lines: Iterator[str] | list[str]) -> str:
    return "".join(f"{'    ' * depth}{line}\n" for line in lines)


def each_of_tile(side: int, body: list[str]) -> str:
    """A loop of all threads over the side² pixels of a tile."""
    loop = f"for (int i = int(gl_LocalInvocationIndex); i < {side * side}; i += {THREADS}) {{"
    return indented(1, [loop]) + indented(2, body) + indented(1, ["}"])


def columns(network: ShaderNetwork) -> int:
    """Texels of a pixel in a row of a feature texture."""
    return network.features // 8


def texel(network: ShaderNetwork, index: int) -> str:
    row, column = divmod(index, columns(network))
    return f"ivec2({column}, {row})"


def workgroup(network: ShaderNetwork) -> tuple[int, int, int, int]:
    return SIDE * columns(network), SIDE * 2, SIDE, SIDE


def load(
    network: ShaderNetwork, name: str, first: int, count: int, into: str = "x[{k}][i] = {value};"
) -> list[str]:
    """Texels `first` … of pixel `p` of a feature texture, each assigned by the statement `into`."""
    pixel = f"ivec2({columns(network)}, 2)"
    values = [fetch(network, name, "p", first + k) for k in range(count)]
    return [
        f"p = min(p, textureSize({name}_raw, 0) / {pixel} - 1);",
        *(into.format(k=k, value=value) for k, value in enumerate(values)),
    ]


def fetch(network: ShaderNetwork, name: str, pixel: str, index: int) -> str:
    """Texel `index` of a pixel."""
    return f"V4(texelFetch({name}_raw, {pixel} * ivec2({columns(network)}, 2) + {texel(network, index)}, 0))"


def store(network: ShaderNetwork, values: list[str]) -> str:
    pixel = f"ivec2({columns(network)}, 2)"
    return indented(
        1,
        [
            f"ivec2 q = ivec2(gl_GlobalInvocationID.xy) * {pixel};",
            *(
                f"imageStore(out_image, q + {texel(network, k)}, vec4({value}));"
                for k, value in enumerate(values)
            ),
        ],
    )


def begin(declarations: list[str], side: int) -> str:
    """`corner`: the first pixel of the workgroup's own; `centre`: a thread's pixel among the tile's."""
    halo = (side - SIDE) // 2
    return (
        "\n".join(declarations)
        + "\nvoid hook() {\n"
        + indented(
            1,
            [
                f"ivec2 corner = ivec2(gl_WorkGroupID.xy) * {SIDE};",
                f"int centre = (int(gl_LocalInvocationID.y) + {halo}) * {side}"
                f" + int(gl_LocalInvocationID.x) + {halo};",
            ],
        )
    )


def product(weights: Doubles, first: int, inputs: list[str]) -> str:
    """Outputs `first` … + 3 of weights (outputs, inputs) times the vectors `inputs`."""
    rows = weights[first : first + 4]
    return " + ".join(f"{matrix(rows[:, 4 * k : 4 * k + 4])} * {name}" for k, name in enumerate(inputs))


def depthwise(conv: Conv, first: int, name: str, side: int) -> str:
    """Channels `first` … + 3 of a depthwise 3×3 on a tile in shared memory."""
    parts = [vector(conv.bias[first : first + 4])]
    for y, x in np.ndindex(3, 3):
        offset = conv.dilation * ((y - 1) * side + x - 1)
        index = f"centre{offset:+d}" if offset else "centre"
        parts.append(f"{vector(conv.weight[first : first + 4, 0, y, x])} * {name}[{index}]")
    return " + ".join(parts)
