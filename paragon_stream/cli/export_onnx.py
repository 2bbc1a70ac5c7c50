"""`paragon-stream export onnx`: one file that every ONNX runtime takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from paragon_stream.cli.config_option import config_option
from paragon_stream.cli.display.sections import SectionedCommand
from paragon_stream.cli.options import choices, given, verbose_option
from paragon_stream.cli.shortcuts.paths import FilePath
from paragon_stream.options.export import OnnxOptions
from paragon_stream.options.network import UpscalerOptions


@click.command(cls=SectionedCommand)
@click.argument("destination", metavar="OUT.onnx", type=FilePath(dir_okay=False, path_type=Path))
@choices(OnnxOptions)
@choices(UpscalerOptions, only=("variant", "scale", "weights", "alpha", "window_size", "generation"))
@config_option
@verbose_option
def onnx(destination: Path, verbose: bool, **options: Any) -> None:
    """Write a network as an ONNX file.

    Its input and output are RGB, or with --frame-job the planes of a pixel format.
    """
    from paragon_stream.onnx_export import export_onnx

    def show(done: int, count: int) -> None:
        if done == count or done % 10 == 0:
            click.echo(f"int8: {done} of {count} layers tried", err=True)

    result = export_onnx(destination=destination, on_progress=show, **given(**options))
    click.echo(f"{result.path}: {result.network}, {result.bytes / 1e6:.2f} MB", err=True)
    if result.wide_layers:
        click.echo(f"computed in fp32: {', '.join(result.wide_layers)}", err=True)
    if result.difference is not None:
        click.echo(f"compared with torch: {result.difference:.1e} of the largest value at most", err=True)
    else:
        click.echo(f"not compared with torch: {result.unchecked}", err=True)
