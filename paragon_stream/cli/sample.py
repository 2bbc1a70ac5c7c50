"""`paragon-stream sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from paragon_stream.cli.display.events import EventLines, progress_option
from paragon_stream.cli.display.sections import SectionedCommand
from paragon_stream.cli.options import choices, given, network_options, verbose_option
from paragon_stream.cli.shortcuts.paths import FilePath
from paragon_stream.cli.shortcuts.profiles import profile_option, with_profile
from paragon_stream.errors import UsageError
from paragon_stream.options.output import OutputOptions
from paragon_stream.options.pairs import with_options
from paragon_stream.options.source import SourceOptions
from paragon_stream.wholefile import check_writable, whole_file

_PART = ("start", "duration", "end")


@click.command(cls=SectionedCommand)
@click.argument("source", metavar="INPUT", type=FilePath())
@click.argument("page", metavar="OUT.html", type=FilePath(dir_okay=False, path_type=Path))
@click.option("--at", multiple=True, metavar="TIME", help="Time at which a piece begins; repeatable.")
@click.option(
    "--auto",
    "count",
    type=click.IntRange(min=1, max=20),
    default=3,
    show_default=True,
    metavar="N",
    help="Choose N pieces automatically, by their detail.",
)
@click.option("--seconds", type=float, default=4.0, show_default=True, metavar="S", help="Length of a piece.")
@click.option(
    "--compare",
    multiple=True,
    metavar="OPTIONS",
    help='A version to render, as "variant=stream,crf=20"; repeatable (default: the options given here).',
)
@click.option(
    "--montage",
    type=FilePath(dir_okay=False, path_type=Path),
    metavar="OUT.png",
    help="Also write a picture: a row for each piece, the source first, then each version.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT.html and OUT.png if they exist.")
@network_options
@choices(SourceOptions, without=_PART)
@choices(OutputOptions, without=("overwrite", "resume", "strict", "accept_upgrade"))
@profile_option
@progress_option
@click.option("--quiet", is_flag=True, help="No progress.")
@verbose_option
@click.pass_obj
def command(
    events: EventLines | None,
    /,
    source: str,
    page: Path,
    at: tuple[str, ...],
    count: int,
    seconds: float,
    compare: tuple[str, ...],
    montage: Path | None,
    overwrite: bool,
    profile: str | None,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Render pieces of INPUT in several ways and write one page that compares them.

    The page works without a network and without other files: a slider, side by side, zoom, difference, clips,
    frame by frame curves, and for each version its speed, the time and size of the whole film, and its
    command line. Options given here apply to all versions; --compare overrides them.
    """
    from paragon_stream.cli.display.sample import sample_display
    from paragon_stream.sample.comparison import parse_comparison
    from paragon_stream.sample.page import to_html, to_montage
    from paragon_stream.sample.runner import make_sample

    _check_names(page, montage, overwrite=overwrite)
    options, _ = with_profile(profile, options)
    base = {name: value for name, value in given(**options).items() if name not in _PART}

    display = sample_display(events, source, page, quiet=quiet)
    sample = make_sample(
        source,
        [with_options(base, parse_comparison(text)) for text in compare] or [base],
        at=at,
        count=count,
        seconds=seconds,
        on_step=display.step,
    )
    for warning in sample.warnings:
        display.warning(warning)
    with whole_file(page, overwrite=overwrite) as file:
        file.write(to_html(sample).encode())
    if montage is not None:
        with whole_file(montage, overwrite=overwrite) as file:
            file.write(to_montage(sample))
    display.ended(sample, montage)


def _check_names(page: Path, montage: Path | None, *, overwrite: bool) -> None:
    """Raise UsageError or OutputError for files that cannot be written."""
    if page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{page}: the name of the page must end in .html")
    if montage is not None and montage.suffix.lower() != ".png":
        raise UsageError(f"{montage}: the name of the montage must end in .png")
    for path in filter(None, (page, montage)):
        check_writable(path, overwrite=overwrite)
