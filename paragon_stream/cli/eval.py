"""`paragon-stream eval`."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of HR pictures.")
@click.option("--weights", metavar="NAME|FILE", help="A shipped set or a file; default: the default set.")
@click.option("--variant", metavar="V", help="realtime or stream.")
@click.option("--scale", type=int, metavar="S")
@click.option("--degradation", default="bicubic", show_default=True, metavar="D", help="How LR is made.")
@click.option("--strength", type=click.FloatRange(0, 1), default=0.0, show_default=True, metavar="S")
@click.option("--engine", default="auto", show_default=True)
@click.option("--precision", default="fp32", show_default=True)
@click.option("--report", type=click.Path(path_type=Path), metavar="OUT.html", help="Page with crops.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--verbose", is_flag=True, help="Say what is decided and why.")
def command(
    data: Path,
    weights: str | None,
    variant: str | None,
    scale: int | None,
    degradation: str,
    strength: float,
    engine: str,
    precision: str,
    report: Path | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Measure weights on a folder of pictures, in the literature's convention, against plain filters."""
    from paragon_stream.train.evaluate import MEASURES, evaluate, write_report

    result = evaluate(
        data,
        weights=weights,
        variant=variant,
        scale=scale,
        degradation=degradation,
        engine=engine,
        precision=precision,
        strength=strength,
    )
    means = result.means()
    if report is not None:
        write_report(result, report)
    if as_json:
        pictures = {picture.name: picture.scores for picture in result.pictures}
        click.echo(json.dumps({"means": means, "pictures": pictures, "sha256": result.sha256}, indent=2))
        return
    click.echo(f"{result.weights} ×{result.scale}, {len(result.pictures)} pictures, {result.degradation}")
    click.echo(f"{'':10}" + "".join(f"{measure:>12}" for measure in MEASURES))
    for method, values in means.items():
        click.echo(f"{method:10}" + "".join(f"{values[measure]:12.4f}" for measure in MEASURES))
