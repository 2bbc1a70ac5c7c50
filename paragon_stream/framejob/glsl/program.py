"""The parts of a shader file: passes, each with its header, and the text that all passes share."""

from __future__ import annotations

from dataclasses import dataclass

from paragon_stream.checkpoint import Variant
from paragon_stream.framejob import gelu
from paragon_stream.framejob.glsl.literals import number
from paragon_stream.framejob.glsl.network import UNIT, ShaderNetwork

LEAST_ENLARGEMENT = 0.65
"""The shader runs only if the player enlarges the picture by at least this fraction of the network's
scale."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass: reads the textures `binds`, writes the texture `saves`, or, if that is None, the hooked one.

    The texture written has `texels` (columns, rows) for every pixel of the source and of `margin` pixels
    around it.
    """

    description: str
    binds: tuple[str, ...]
    saves: str | None
    texels: tuple[int, int]
    margin: int
    body: str
    group: tuple[int, int, int, int] | None = None
    """For a compute pass: the texels that a workgroup writes (columns, rows) and its threads (columns,
    rows)."""


def common_text(network: ShaderNetwork, hook_name: str, *, half: bool) -> str:
    """Macros and functions of every pass: types, the source's samples, GELU."""
    kind = "f16" if half else ""
    extension = "#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require\n" if half else ""
    a, b, c, limit = (number(each, 9) for each in (gelu.A, gelu.B, gelu.C, gelu.LIMIT))
    return (
        f"{extension}"
        f"#define F1 {'float16_t' if half else 'float'}\n"
        f"#define V4 {kind}vec4\n"
        f"#define M4 {kind}mat4\n"
        f"#define M43 {kind}mat4x3\n"
        f"{_shared_halves(half) if network.variant == Variant.STREAM else ''}"
        f"#define SOURCE(p) {hook_name}_tex((vec2(p) + .5) * {hook_name}_pt)"
        f".{'x' if network.channels == 1 else 'rgb'}\n"
        f"{_base_macros(network)}"
        "V4 gelu(V4 x) {\n"
        f"    V4 t = clamp(x, V4(-{limit}), V4({limit})), s = t * t;\n"
        f"    return x / (V4(1.) + exp2(-t * (V4({a}) + s * (V4({b}) + s * V4({c})))));\n"
        "}\n"
    )


def _base_macros(network: ShaderNetwork) -> str:
    """Macros BASE, the input of the base path, and CHROMA, the input of the chroma filter if there is one."""
    if network.luma is None:
        return "#define BASE(p) SOURCE(p)\n"
    luma = f"vec3({','.join(number(each, 9) for each in network.luma)})"
    return (
        f"#define BASE(p) dot(SOURCE(p), {luma})\n"
        f"vec3 chroma(vec3 v) {{ return v - dot(v, {luma}); }}\n"
        "#define CHROMA(p) chroma(SOURCE(p))\n"
    )


def _shared_halves(half: bool) -> str:
    """Macros for features that are halves in shared memory, as in the textures."""
    if half:
        return "#define H4 f16vec4\n#define PACK(v) (v)\n#define UNPACK(h) (h)\n"
    return (
        "#define H4 uvec2\n"
        "#define PACK(v) uvec2(packHalf2x16((v).xy), packHalf2x16((v).zw))\n"
        "#define UNPACK(h) vec4(unpackHalf2x16((h).x), unpackHalf2x16((h).y))\n"
    )


def sample_type(network: ShaderNetwork) -> str:
    """The GLSL type of a sample of the source or the result."""
    return "float" if network.channels == 1 else "vec3"


def base_type(network: ShaderNetwork) -> str:
    """The GLSL type of the base path's input."""
    return "float" if network.luma is not None else sample_type(network)


def source_value(position: str) -> str:
    """The sample at `position` on the network's input scale."""
    return f"SOURCE({position}) * {number(255 / UNIT, 9)} - {number(128 / UNIT, 9)}"


def header(network: ShaderNetwork, hook_name: str, each: Pass) -> str:
    """The `//!` lines of a pass."""

    def size(letter: str, texels: int) -> str:
        margin = f" {2 * each.margin} +" if each.margin else ""
        return f"{hook_name}.{letter}{margin} {texels} *"

    least = f"{LEAST_ENLARGEMENT * network.scale:g}"
    lines = [
        f"HOOK {hook_name}",
        *(f"BIND {name}" for name in each.binds),
        *([f"SAVE {each.saves}"] if each.saves else []),
        f"DESC {each.description}",
        f"WIDTH {size('w', each.texels[0])}",
        f"HEIGHT {size('h', each.texels[1])}",
        *(["COMPONENTS 4"] if each.saves else []),
        *([f"COMPUTE {' '.join(map(str, each.group))}"] if each.group else []),
        f"WHEN OUTPUT.w {hook_name}.w {least} * > OUTPUT.h {hook_name}.h {least} * > *",
    ]
    return "".join(f"//!{line}\n" for line in lines)
