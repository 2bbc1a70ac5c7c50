"""The option `--config`, which several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click


def _as_defaults(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Make what the file says the defaults of the options of that name; what is given overrules it."""
    if path is None or context.resilient_parsing:
        return
    from paragon_stream.checkpoint import read_network_config

    found = read_network_config(path)
    context.default_map = {**(context.default_map or {}), **found.facts}


def config_option[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """`--config FILE.yml`: what a traiNNer-redux file says about the network."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE.yml",
        is_eager=True,
        expose_value=False,
        callback=_as_defaults,
        help="traiNNer-redux file with variant, scale, alpha and window size.",
    )(function)
