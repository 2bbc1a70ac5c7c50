"""`paragon-stream models`."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.option("--verbose", is_flag=True, help="Say what is decided and why.")
def command(as_json: bool, verbose: bool) -> None:
    """List the shipped weights, with the quality that was measured on them."""
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
    click.echo(f"{'variant':10}{'scale':7}{'weights':14}measured")
    for row in rows:
        name = f"{row['name']}{' *' if row['default'] else ''}"
        quality = ", ".join(f"{what} {value:.2f}" for what, value in row["quality"].items())
        click.echo(f"{row['variant']:10}×{row['scale']:<6}{name:14}{quality or 'not measured'}")
    click.echo("* is taken when --weights is not given.")
