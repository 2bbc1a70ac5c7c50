"""`paragon-stream filter-path`."""

from __future__ import annotations

import click

from paragon_stream.datafiles import data_folder


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--verbose", is_flag=True, help="Say what is decided and why.")
def command(verbose: bool) -> None:
    """Print the path of paragon.vpy, the VapourSynth script for mpv and vspipe."""
    click.echo(data_folder("filters") / "paragon.vpy")
