"""The option `--config` of several commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from paragon_stream.cli.display.sections import NETWORK, SectionedOption
from paragon_stream.cli.shortcuts.paths import FilePath
from paragon_stream.errors import UsageError


def _as_defaults(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Use the file's values as defaults of the options of the same name; given options take precedence."""
    if path is None or context.resilient_parsing:
        return
    from paragon_stream.checkpoint import read_network_config

    facts = read_network_config(path).facts
    options = {each.name for each in context.command.params}
    if "use_norm" in facts and "use_norm" not in options:
        raise UsageError(
            f"configuration {path}: network_g has use_norm, which checkpoints do not show: write it into the "
            f"weights with paragon-stream convert IN OUT.safetensors --config {path}"
        )
    context.default_map = {**(context.default_map or {}), **facts}


def config_option[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """`--config FILE.yml`: the facts of the network in a traiNNer-redux file."""
    return click.option(
        "--config",
        cls=SectionedOption,
        section=NETWORK,
        type=FilePath(path_type=Path),
        metavar="FILE.yml",
        is_eager=True,
        expose_value=False,
        callback=_as_defaults,
        help="traiNNer-redux file for variant, scale, alpha and window size; other keys are ignored.",
    )(function)
