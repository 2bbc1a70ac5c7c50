"""`paragon-stream filter-path`."""

from __future__ import annotations

import click

from paragon_stream.cli.options import verbose_option
from paragon_stream.datafiles import data_folder
from paragon_stream.errors import UsageError

_SCRIPT = "paragon.vpy"


@click.command()
@click.argument("name", default=_SCRIPT)
@verbose_option
def command(name: str, verbose: bool) -> None:
    """Print the path of paragon.vpy, the VapourSynth script for mpv and vspipe, or of a ready-made shader.

    NAME is the file name of the script or of a shader, with or without the suffix .glsl.
    """
    folder = data_folder("filters")
    known = {path.name: path for path in (folder / _SCRIPT, *sorted(folder.glob("*.glsl")))}
    found = known.get(name) or known.get(f"{name}.glsl")
    if found is None:
        raise UsageError(f"unknown filter {name}: choose one of {', '.join(known)}")
    click.echo(found)
