"""Options that several commands share."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click

from paragon_stream.cli import standard_streams
from paragon_stream.cli.config_option import config_option
from paragon_stream.cli.display.sections import SectionedOption, section_of
from paragon_stream.cli.shortcuts.values import completer
from paragon_stream.errors import OutputError, UsageError
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.option import Kind, Option, Options, options_of
from paragon_stream.options.pairs import is_parameter_list, with_pairs


class _Size(click.ParamType[tuple[int, int]]):
    """WIDTHxHEIGHT."""

    name = "WxH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", str(value))
        if match is None:
            self.fail(f"{value!r} is not a size like 960x540", param, ctx)
        return int(match[1]), int(match[2])


SIZE = _Size()

verbose_option = click.option("--verbose", is_flag=True, help="Log all decisions with their reasons.")


def choices[**P, R](
    kind: type[Options], *, only: Sequence[str] = (), without: Sequence[str] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The command-line options for the fields of `kind`; options that are not given are None, see `given`."""

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        chosen = [each for name, each in options_of(kind).items() if name not in without]
        for each in reversed([each for each in chosen if not only or each.name in only]):
            for made in reversed(_click_options(each, kind)):
                function = made(function)
        return function

    return wrap


def network_options[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """The options of the network and the engine."""
    return choices(UpscalerOptions)(config_option(function))


def _click_options(option: Option, owner: type[Options]) -> list[Callable[[Any], Any]]:
    """One option of `owner`, and the flag that disables it."""
    make = partial(click.option, cls=SectionedOption, section=section_of(owner, option.name))
    dashed = option.name.replace("_", "-")
    names = (option.flag or f"--{dashed}", option.name)
    kind, made = option.kind, []
    if kind is Kind.SWITCH and option.default is None:
        made.append(make(f"--{dashed}/--not-{dashed}", option.name, default=None, help=option.help))
    elif kind is Kind.SWITCH:
        if not option.default:
            made.append(make(*names, is_flag=True, default=None, help=option.help))
    elif kind is Kind.PAIRS:
        parse = partial(_pairs, name=names[0])
        made.append(make(*names, multiple=True, callback=parse, metavar=option.metavar, help=option.help))
    elif kind is Kind.LIST:
        made.append(make(*names, multiple=True, callback=_several, metavar=option.metavar, help=option.help))
    else:
        made.append(
            make(
                *names,
                type=option.parse if kind in (Kind.WHOLE, Kind.NUMBER) else None,
                metavar=option.metavar,
                help=option.help,
                shell_complete=completer(option.name, owner),
            )
        )
    if option.none[0]:
        no = False if kind is Kind.SWITCH else "none"
        made.append(make(option.none[0], option.name, flag_value=no, default=None, help=option.none[1]))
    return made


def _pairs(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...], name: str
) -> dict[str, str] | None:
    return parse_encoder_options(values, name) or None


def _several(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...] | None:
    return values or None


def given(**options: Any) -> dict[str, Any]:
    """The options that were given; the others keep the defaults of the package."""
    return {name: value for name, value in options.items() if value is not None}


def parse_encoder_options(values: tuple[str, ...], name: str = "-x") -> dict[str, str]:
    """The `KEY=VALUE` pairs of the option `name`; lists of an encoder's parameters are joined. Raises
    click.BadParameter for anything else, and for another key that is given twice."""
    options: dict[str, str] = {}
    for value in values:
        key, equals, setting = value.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{value!r} is not KEY=VALUE", param_hint=name)
        if key in options and not is_parameter_list(key):
            raise click.BadParameter(f"{key} is given twice: {options[key]} and {setting}", param_hint=name)
        options = with_pairs(options, {key: setting})
    return options


def check_standard_output(destination: str | None) -> None:
    """Raise UsageError if raw video would go to a terminal, OutputError if standard output is closed."""
    if destination == "-" and standard_streams.output_is_closed():
        raise OutputError("standard output is closed: the video cannot be written")
    if destination == "-" and sys.stdout.isatty():
        raise UsageError("standard output is a terminal: pipe it into a program, as in - | x265 --y4m …")
