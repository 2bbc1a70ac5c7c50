"""`paragon-stream export`: networks as files for other programs; each form is a command in its own module."""

from __future__ import annotations

import click

from paragon_stream.cli.export_onnx import onnx
from paragon_stream.cli.export_shader import shader


@click.group()
def command() -> None:
    """Write a network as a file for other programs."""


command.add_command(shader)
command.add_command(onnx)
