"""The text of a user shader: the licence, a description, then every pass with its header."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from paragon_stream.checkpoint import Weights
from paragon_stream.framejob.glsl.compute import compute_passes
from paragon_stream.framejob.glsl.fragment import fragment_passes
from paragon_stream.framejob.glsl.network import Hook, shader_network
from paragon_stream.framejob.glsl.program import common_text, header

USUAL_STRENGTH = 0.4
"""Default strength of conditioned weights in shaders: players mostly show compressed video."""

_HOOKS = {Hook.LUMA: "LUMA", Hook.RGB: "MAIN"}
"""The names of the textures in mpv and libplacebo."""

_LICENCE = """\
Copyright (c) 2026 The paragon-stream developers
SPDX-License-Identifier: MIT

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction, including
without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions: The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF
ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS
FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE
LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


@dataclass(frozen=True, kw_only=True)
class ShaderOptions:
    """Options of a shader.

    `strength` is the fixed strength of conditioned weights; None means USUAL_STRENGTH. `full_range`: luma is
    from 0 to 255, not from 16 to 235. `half` computes in 16 bits, which only Vulkan supports. `fragment` uses
    fragment shaders instead of compute shaders.
    """

    hook: Hook = Hook.LUMA
    strength: float | None = None
    full_range: bool = False
    half: bool = False
    fragment: bool = False


def emit_shader(weights: Weights, options: ShaderOptions) -> str:
    """The shader file of `weights`, in ASCII.

    Raises EngineError for networks without a shader form, and UsageError for a `strength` outside 0…1, or any
    strength for weights that are not conditioned.
    """
    strength = options.strength
    if strength is None and weights.spec.conditioned:
        strength = USUAL_STRENGTH
    network = shader_network(weights, hook=options.hook, strength=strength, full_range=options.full_range)
    hook = _HOOKS[options.hook]
    common = common_text(network, hook, half=options.half)
    facts = [
        f"ParagonSR2 {network.variant} x{network.scale}, hook {hook}, made by paragon-stream",
        f"Weights: {weights.name}, sha256 {weights.sha256 or 'unknown'}"
        + (f", strength {strength:g}" if strength is not None else ""),
        *(["Computes in 16 bits: needs Vulkan"] if options.half else []),
        *(["Fragment shaders: needs no compute shaders"] if options.fragment else []),
        *(["For luma of full range, 0 to 255"] if options.full_range and options.hook is Hook.LUMA else []),
    ]
    make = fragment_passes if options.fragment else compute_passes
    top = textwrap.indent("\n".join([*facts, _LICENCE]), "// ", lambda line: True)
    passes = [header(network, hook, each) + common + each.body for each in make(network, hook)]
    return "\n".join([top.replace("// \n", "//\n"), *passes]).encode("ascii", "replace").decode("ascii")
