"""Options that several commands share."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import click

from paragon_stream.cli.config_option import config_option
from paragon_stream.errors import UsageError


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


def network_options[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """The options that choose a network and an engine."""
    for option in reversed(
        [
            click.option(
                "--variant", metavar="NAME", help="Network: realtime (default), stream, photo or pro."
            ),
            click.option("--scale", type=int, metavar="N", help="Factor of the network (default 2)."),
            click.option(
                "--to", metavar="SIZE", help="Size of the result: 1080p, 1920x1080, or a factor such as 1.5."
            ),
            click.option("--fit", metavar="HOW", help="Into a size: inside (default), crop, pad or stretch."),
            click.option("--weights", metavar="NAME|FILE", help="A shipped set or a checkpoint file."),
            click.option(
                "--alpha", type=float, metavar="A", help="Base sharpening, where the file lacks it."
            ),
            click.option(
                "--window-size",
                type=int,
                metavar="N",
                help="Window of attention of photo and pro, where the file lacks it (else 16).",
            ),
            click.option(
                "--strength",
                metavar="S",
                help="How hard the source was compressed: auto (default) reads it off the stream; or 0…1.",
            ),
            click.option(
                "--engine",
                metavar="NAME",
                help="auto (default), native, openvino, onnxruntime, torch, cuda, tensorrt, tensorrt-rtx, "
                "null.",
            ),
            click.option("--precision", metavar="P", help="auto (default), fp32, bf16 or fp16."),
            click.option("--threads", type=int, metavar="N", help="Engine threads (default: all cores)."),
            click.option(
                "--device",
                metavar="D",
                help="cpu, cuda:N, several as cuda:0,cuda:1, or cuda:all (default: the engine's own).",
            ),
        ]
    ):
        function = option(function)
    return config_option(function)


def given(**options: Any) -> dict[str, Any]:
    """The options that were given; the others keep the package's defaults, which live there alone."""
    return {name: value for name, value in options.items() if value is not None}


def parse_encoder_options(values: tuple[str, ...], name: str = "-x") -> dict[str, str]:
    """The `KEY=VALUE` pairs of the option `name`; raises click.BadParameter for anything else."""
    options: dict[str, str] = {}
    for value in values:
        key, equals, setting = value.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{value!r} is not KEY=VALUE", param_hint=name)
        options[key] = setting
    return options


def check_standard_output(destination: str | None) -> None:
    """Raise UsageError before raw video fills a terminal."""
    if destination == "-" and sys.stdout.isatty():
        raise UsageError("standard output is a terminal: lead it into a program, as in - | x265 --y4m …")
