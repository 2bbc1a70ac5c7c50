"""`paragon-stream doctor`."""

from __future__ import annotations

from dataclasses import asdict
from itertools import chain

import click

from paragon_stream.cli.options import verbose_option
from paragon_stream.json_text import json_text

_TOPIC = 16
"""Columns of the topics."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--quick", is_flag=True, help="Test no engine and measure no speed.")
@verbose_option
def command(as_json: bool, quick: bool, verbose: bool) -> None:
    """Show what this machine has (GPU, engines, codecs, players), what is missing, and how to install it.

    Every engine is tested against stored samples, and the speed is measured: ten seconds, unless --quick. The
    exit code is 1 if an engine fails its test; missing parts are no errors.
    """
    from paragon_stream.doctor.examination import TEST, examine, measure
    from paragon_stream.errors import EngineError
    from paragon_stream.runtimes import installed_engines

    findings = examine() if quick else chain(examine(), measure())
    shown = []
    for finding in findings:
        shown.append(finding)
        if as_json:
            continue
        click.echo(f"{'+' if finding.ok else '-'} {finding.topic:{_TOPIC}}  {finding.what}")
        if finding.remedy:
            click.echo(f"  {'':{_TOPIC}}  → {finding.remedy}")
    if as_json:
        click.echo(json_text([asdict(finding) for finding in shown], ascii=True))
    else:
        click.echo(f"\nEngines that can run here: {', '.join(installed_engines())}.")
    if failed := [
        each.topic.removeprefix(TEST) for each in shown if each.topic.startswith(TEST) and not each.ok
    ]:
        raise EngineError(f"the test of {' and '.join(failed)} failed, see above")
