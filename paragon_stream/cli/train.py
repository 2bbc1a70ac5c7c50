"""`paragon-stream train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from paragon_stream.cli.options import verbose_option
from paragon_stream.cli.shortcuts.paths import FilePath
from paragon_stream.errors import UsageError, install_command

if TYPE_CHECKING:
    from paragon_stream.train.loop import TrainingProgress


@click.command()
@click.argument("recipe", type=FilePath(path_type=Path))
@click.option(
    "--output",
    type=FilePath(path_type=Path),
    metavar="FOLDER",
    help="Folder of the run; a run with a saved state is resumed.",
)
@click.option(
    "--data",
    type=FilePath(path_type=Path),
    metavar="FOLDER",
    help="Folder of high-quality pictures (default: the recipe's).",
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="D",
    help="cpu, cuda:N, or several: cuda:0,cuda:1, cuda:all.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="With cpu: processes that share each batch.",
)
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads.")
@click.option("--cache", type=FilePath(path_type=Path), metavar="FOLDER", help="Folder of degraded pictures.")
@verbose_option
def command(
    recipe: Path,
    output: Path | None,
    data: Path | None,
    device: str,
    processes: int,
    threads: int | None,
    cache: Path | None,
    verbose: bool,
) -> None:
    """Train weights by RECIPE, a TOML file, or a configuration of traiNNer-redux (.yml)."""
    try:
        from paragon_stream.train.run import train
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("torch", "PIL"):
            raise
        raise UsageError(f"training needs torch and Pillow: {install_command('torch pillow')}") from error

    def preparing(what: str, done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            click.echo(f"{what}: {done} of {total}")

    def report(progress: TrainingProgress) -> None:
        scores = ", ".join(f"{name} {value:.3f}" for name, value in progress.scores.items())
        click.echo(f"step {progress.step} of {progress.steps}: loss {progress.loss:.5f}, {scores}")

    best = train(
        recipe,
        data=data,
        output=output,
        device=device,
        processes=processes,
        threads=threads,
        cache=cache,
        report=report,
        preparing=preparing,
    )
    click.echo(f"best weights: {best}")
