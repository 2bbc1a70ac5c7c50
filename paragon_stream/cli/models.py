"""`paragon-stream models`, and `models export`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from paragon_stream.cli.display.sections import SectionedCommand
from paragon_stream.cli.options import choices, verbose_option
from paragon_stream.cli.shortcuts.paths import FilePath
from paragon_stream.cli.standard_streams import print_line
from paragon_stream.errors import UsageError
from paragon_stream.options.network import UpscalerOptions


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@verbose_option
@click.pass_context
def command(context: click.Context, as_json: bool, verbose: bool) -> None:
    """List the shipped weights and their measured quality."""
    if context.invoked_subcommand is None:
        _list(as_json)


@command.command(cls=SectionedCommand)
@click.argument("weights", metavar="NAME|FILE")
@click.argument("destination", metavar="OUT.safetensors", type=FilePath(dir_okay=False, path_type=Path))
@click.option(
    "--strength",
    type=float,
    required=True,
    metavar="S",
    help="Strength of the source's compression: 0 (clean) to 1.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT.safetensors if it exists.")
@choices(UpscalerOptions, only=("variant", "scale"))
@verbose_option
def export(
    weights: str,
    destination: Path,
    strength: float,
    variant: str | None,
    scale: int | None,
    overwrite: bool,
    verbose: bool,
) -> None:
    """Write conditioned weights as plain weights for one strength.

    Other ParagonSR2 programs can read the result, but they ignore two facts in the metadata of shipped sets:
    the limit of Stream's products and the chroma filter. For Stream, use `export onnx` instead.
    """
    from paragon_stream.checkpoint import export_weights, load_weights
    from paragon_stream.framejob.products import warn_of_missing_limit

    if destination.suffix != ".safetensors":
        raise UsageError(f"{destination} must end in .safetensors, the format that is written")
    found = load_weights(weights, variant=variant, scale=scale)
    warn_of_missing_limit(found)
    export_weights(found, strength, destination, overwrite=overwrite)
    print_line(f"{destination}: {found.spec} at strength {strength:g}", err=True)
    if math.isfinite(found.spec.product_limit):
        click.echo(
            "warning: programs that ignore product_limit in the metadata may compute a wrong picture with"
            " these weights: for them, use `paragon-stream export onnx`",
            err=True,
        )


def _list(as_json: bool) -> None:
    from paragon_stream.checkpoint import list_shipped, load_weights, measured_quality

    rows: list[dict[str, Any]] = []
    for shipped in list_shipped():
        weights = load_weights(shipped.path)
        rows.append(
            {
                "variant": str(shipped.variant),
                "scale": shipped.scale,
                "name": shipped.name,
                "default": shipped.is_default,
                "alpha": weights.spec.alpha,
                "conditioned": weights.spec.conditioned,
                "sha256": weights.sha256,
                "path": str(shipped.path),
                "quality": measured_quality(shipped, weights),
            }
        )
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    columns = list(dict.fromkeys(what for row in rows for what in row["quality"]))
    shown = [what for what in columns if not what.endswith((" of U", " of V"))]
    click.echo(f"{'variant':10}{'scale':7}{'weights':14}" + "  ".join(shown))
    for row in rows:
        name = f"{row['name']}{' *' if row['default'] else ''}"
        quality = (f"{row['quality'][what]:.2f}" if what in row["quality"] else "-" for what in shown)
        cells = "  ".join(text.rjust(len(what)) for text, what in zip(quality, shown, strict=True))
        click.echo(f"{row['variant']:10}×{row['scale']:<6}{name:14}{cells}")
    click.echo(
        "* is the default of --weights. In dB of luma, in fp32; gain: over the best filter. --json: chroma."
    )
