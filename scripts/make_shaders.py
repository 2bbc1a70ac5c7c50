"""Write the ready-made shaders in filters/ anew, from the shipped weights.

scripts/python scripts/make_shaders.py
"""

from __future__ import annotations

from pathlib import Path

from paragon_stream.checkpoint import load_weights
from paragon_stream.framejob.glsl.emit import ShaderOptions, emit_shader
from paragon_stream.framejob.glsl.network import Hook

FILTERS = Path(__file__).resolve().parent.parent / "filters"

READY_MADE = {
    **{f"realtime_x2_luma_video_{s}": ("video", ShaderOptions(strength=s)) for s in (0.0, 0.4, 0.6, 0.8)},
    "realtime_x2_luma_fidelity": ("fidelity", ShaderOptions()),
    "realtime_x2_rgb_video_0.4": ("video", ShaderOptions(hook=Hook.RGB, strength=0.4)),
    "realtime_x2_luma_video_0.4_half": ("video", ShaderOptions(strength=0.4, half=True)),
    "realtime_x2_luma_video_0.4_fragment": ("video", ShaderOptions(strength=0.4, fragment=True)),
}
"""File name without its ending → (shipped weights, options)."""


def main() -> None:
    for name, (weights, options) in READY_MADE.items():
        text = emit_shader(load_weights(weights, variant="realtime", scale=2), options)
        (FILTERS / f"{name}.glsl").write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
