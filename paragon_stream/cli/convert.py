"""`paragon-stream convert`: writes a checkpoint of any generation as a safetensors file with full
metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from paragon_stream.cli.config_option import config_option
from paragon_stream.cli.display.sections import SectionedCommand
from paragon_stream.cli.options import choices, given, verbose_option
from paragon_stream.cli.shortcuts.paths import FilePath
from paragon_stream.cli.standard_streams import print_line
from paragon_stream.errors import UsageError
from paragon_stream.options.network import UpscalerOptions


@click.command(cls=SectionedCommand)
@click.argument("source", metavar="IN")
@click.argument("destination", metavar="OUT.safetensors", type=FilePath(dir_okay=False, path_type=Path))
@click.option("--attention", metavar="KIND", help="Attention of generation 5: local or efficient.")
@click.option(
    "--use-norm/--no-use-norm",
    default=None,
    help="Whether v1, v3 or v4 has norms (default: as upstream registers its size).",
)
@click.option("--fuse", is_flag=True, help="Fold training-only branches into plain kernels.")
@click.option("--overwrite", is_flag=True, help="Replace OUT.safetensors if it exists.")
@choices(UpscalerOptions, only=("variant", "scale", "alpha", "window_size", "generation"))
@config_option
@verbose_option
def command(
    source: str, destination: Path, fuse: bool, overwrite: bool, verbose: bool, **options: Any
) -> None:
    """Write the weights in IN as a safetensors file. Its metadata hold all facts that tensors do not show."""
    from paragon_stream.checkpoint import convert_weights, load_weights
    from paragon_stream.checkpoint.inspection import alpha_doubts

    if destination.suffix != ".safetensors":
        raise UsageError(f"{destination} must end in .safetensors, the format that is written")
    weights = load_weights(source, **given(**options))
    for doubt in () if options["alpha"] is None else alpha_doubts(weights.spec):
        print_line(f"warning: {doubt}", err=True)
    written = convert_weights(weights, destination, fuses=fuse, overwrite=overwrite)
    print_line(f"{destination}: {written.spec}, {written.spec.parameters:,} parameters", err=True)
