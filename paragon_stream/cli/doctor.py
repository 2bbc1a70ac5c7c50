"""`paragon-stream doctor`."""

from __future__ import annotations

from dataclasses import asdict
from itertools import chain

import click

from paragon_stream.cli.options import verbose_option
from paragon_stream.json_text import json_text

_TOPIC = 16
"""Columns of the topics."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--quick", is_flag=True, help="Test no engine and measure no speed.")
@verbose_option
def command(as_json: bool, quick: bool, verbose: bool) -> None:
    """Show what this machine has (GPU, engines, codecs, players), what is missing, and how to install it.

    Every engine is tested against stored samples, and the speed is measured: ten seconds, unless --quick.
    """
    from paragon_stream.doctor.examination import examine, measure
    from paragon_stream.runtimes import installed_engines

    findings = examine() if quick else chain(examine(), measure())
    if as_json:
        click.echo(json_text([asdict(finding) for finding in findings]))
        return
    for finding in findings:
        click.echo(f"{'+' if finding.ok else '-'} {finding.topic:{_TOPIC}}  {finding.what}")
        if finding.remedy:
            click.echo(f"  {'':{_TOPIC}}  → {finding.remedy}")
    click.echo(f"\nEngines that can run here: {', '.join(installed_engines())}.")
