"""`paragon-stream export shader`: a user shader for mpv and all players that are built on libplacebo."""

from __future__ import annotations

from pathlib import Path

import click

from paragon_stream.cli.display.sections import SectionedCommand
from paragon_stream.cli.options import choices, verbose_option
from paragon_stream.cli.shortcuts.paths import FilePath
from paragon_stream.cli.standard_streams import print_line
from paragon_stream.errors import UsageError
from paragon_stream.options.network import UpscalerOptions


@click.command(cls=SectionedCommand)
@click.argument("destination", metavar="OUT.glsl", type=FilePath(dir_okay=False, path_type=Path))
@click.option(
    "--hook",
    type=click.Choice(["luma", "rgb"]),
    default="luma",
    show_default=True,
    help="Planes that the network enlarges: only luma, or all.",
)
@click.option(
    "--strength",
    type=float,
    metavar="S",
    help="Strength of the source's compression, 0 to 1, for conditioned weights (default: 0.4).",
)
@click.option(
    "--range",
    "range_",
    type=click.Choice(["limited", "full"]),
    default="limited",
    show_default=True,
    help="Luma range of the videos to play.",
)
@click.option("--half", is_flag=True, help="Compute in fp16: faster on many GPUs, Vulkan only.")
@click.option("--fragment", is_flag=True, help="Use no compute shaders: for macOS and old OpenGL; slower.")
@click.option("--overwrite", is_flag=True, help="Replace OUT.glsl if it exists.")
@choices(UpscalerOptions, only=("variant", "scale", "weights", "alpha"))
@verbose_option
def shader(
    destination: Path,
    weights: str | None,
    variant: str | None,
    scale: int | None,
    alpha: float | None,
    hook: str,
    strength: float | None,
    range_: str,
    half: bool,
    fragment: bool,
    overwrite: bool,
    verbose: bool,
) -> None:
    """Write a network as a user shader.

    mpv, libplacebo, FFmpeg and VapourSynth take such shaders.

    The package's folder filters has ready-made shaders; docs/shader.md says which to choose.
    """
    from paragon_stream.checkpoint import load_weights
    from paragon_stream.checkpoint.inspection import alpha_doubts
    from paragon_stream.framejob.glsl.emit import ShaderOptions, emit_shader
    from paragon_stream.framejob.glsl.network import Hook
    from paragon_stream.framejob.products import warn_of_missing_limit
    from paragon_stream.wholefile import whole_file

    if destination.suffix.lower() not in (".glsl", ".hook"):
        raise UsageError(f"{destination}: the name of a shader must end in .glsl or .hook")
    if hook == "rgb" and range_ == "full":
        raise UsageError("--range is for --hook luma: with rgb the player has converted the colours")
    found = load_weights(weights, variant=variant, scale=scale, alpha=alpha)
    warn_of_missing_limit(found)
    for doubt in () if alpha is None else alpha_doubts(found.spec):
        print_line(f"warning: {doubt}", err=True)
    text = emit_shader(
        found,
        ShaderOptions(
            hook=Hook(hook),
            strength=strength,
            full_range=range_ == "full",
            half=half,
            fragment=fragment,
        ),
    )
    with whole_file(destination, overwrite=overwrite) as file:
        file.write(text.encode())
    print_line(f"{destination}: {found.name}, {found.spec}, hook {hook}, {len(text) / 1e3:.0f} kB", err=True)
