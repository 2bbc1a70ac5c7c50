"""`paragon-stream profiles`, and the option `--profile`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from paragon_stream.cli.shortcuts.values import completer
from paragon_stream.json_text import json_text
from paragon_stream.options.pairs import with_options

profile_option = click.option(
    "--profile",
    metavar="NAME",
    help="Options from profiles.toml; options on the command line take precedence.",
    shell_complete=completer("profile"),
)


def with_profile(name: str | None, options: dict[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """`options` of a command, completed from the profile `name`, and the names of the options from the
    profile alone. Pairs KEY=VALUE are completed by key. Options of the profile that the command does not have
    are ignored.

    Raises UsageError.
    """
    if name is None:
        return options, frozenset()
    from paragon_stream.profiles import load_profile

    profile = load_profile(name)
    missing = {key for key, value in options.items() if value is None}
    taken = {key: value for key, value in profile.options.items() if key in missing}
    both = {key: value for key, value in profile.options.items() if key in options}
    return with_options(both, {**options, **taken}), frozenset(taken)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the profiles as JSON.")
def command(as_json: bool) -> None:
    """List the profiles: options by name, in profiles.toml here or in your configuration folder."""
    from paragon_stream.profiles import list_profiles, profile_files

    found = list_profiles()
    if as_json:
        click.echo(json_text([asdict(profile) for profile in found], ascii=True))
        return
    for profile in found:
        click.echo(f"{profile.name} ({profile.path})")
        for key, value in profile.options.items():
            click.echo(f"  {key} = {json_text(value, indent=None)}")
    if not found:
        click.echo("There are no profiles. They are looked for in:")
        for path in profile_files():
            click.echo(f"  {path}")
