"""The main form: `paragon-stream INPUT OUTPUT`, and `paragon-stream INPUT… FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paragon_stream import __version__
from paragon_stream.cli.display.events import SCHEMA, EventLines, progress_option
from paragon_stream.cli.display.sections import SectionedCommand
from paragon_stream.cli.main import COMMANDS
from paragon_stream.cli.options import check_standard_output, choices, given, network_options, verbose_option
from paragon_stream.cli.reports import check_reports, report_option, trace_option, write_report
from paragon_stream.cli.shortcuts.paths import FilePath
from paragon_stream.cli.shortcuts.profiles import profile_option, with_profile
from paragon_stream.errors import ParagonError, UsageError
from paragon_stream.options.cluster import ClusterOptions
from paragon_stream.options.folder import FolderOptions
from paragon_stream.options.option import options_of
from paragon_stream.options.output import OutputOptions
from paragon_stream.options.source import SourceOptions

if TYPE_CHECKING:
    from paragon_stream.cli.display.render import RenderDisplay
    from paragon_stream.queue.observer import QueueObserver


class _MainCommand(SectionedCommand):
    """The main command, whose help also lists the other commands."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])
        formatter.write_paragraph()
        formatter.write_text("A file with the name of a command is given as ./NAME.")


def _print_schema(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        click.echo(SCHEMA.read_text(encoding="utf-8"), nl=False)
        context.exit()


@click.command(cls=_MainCommand)
@click.argument("sources", metavar="INPUT...", nargs=-1, required=True, type=FilePath())
@click.argument("destination", metavar="OUTPUT", type=FilePath())
@network_options
@choices(SourceOptions)
@choices(OutputOptions)
@choices(FolderOptions)
@choices(ClusterOptions)
@profile_option
@report_option
@trace_option
@click.option("--verify", is_flag=True, help="Compare the result with the source afterwards.")
@progress_option
@click.option(
    "--progress-schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON schema of these lines.",
)
@click.option("--quiet", is_flag=True, help="No progress and no summary; warnings and errors only.")
@verbose_option
@click.version_option(__version__, prog_name="paragon-stream", message="%(prog)s %(version)s")
@click.pass_obj
def command(
    events: EventLines | None,
    /,
    sources: tuple[str, ...],
    destination: str,
    profile: str | None,
    report: Path | None,
    trace: Path | None,
    verify: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Upscale the video in INPUT and write it to OUTPUT, with all other streams of INPUT.

    OUTPUT's suffix chooses the container. INPUT "-" is a video from standard input, OUTPUT "-" raw video
    (y4m) to standard output.

    INPUT may be several files, folders, globs such as 'shots/*.png', and lists of them, @list.txt, of videos
    and pictures; OUTPUT is then a folder, or FOLDER/*.png. After an interruption, repeat the command.
    A numbered pattern such as frame_%06d.png is a video of images, in and out.
    """
    from paragon_stream.media.images.numbering import numbering
    from paragon_stream.pictures.files import is_images

    check_reports(report, trace, *sources, destination)
    check_standard_output(destination)
    pairs = options["encoder_options"]
    options, from_profile = with_profile(profile, options)
    if _is_queue(sources, destination, options):
        if trace is not None:
            raise UsageError("--trace is for one video: it records the times of every stage")
        from paragon_stream.cli.display.queue import queue_display

        _run_queue(sources, destination, options, verify, queue_display(events, report, quiet=quiet))
        return
    source = sources[0]
    container = options.pop("container")
    for name in options_of(FolderOptions):
        options.pop(name, None)  # they are off
    target = _in_folder(source, destination, container, given="container" not in from_profile)
    images = is_images(source, target)
    if verify and (images or numbering(source) or numbering(target) or "-" in (source, target)):
        raise UsageError(
            "--verify compares video files: leave it out for pictures, their sequences, and pipes"
        )
    if images:
        if trace is not None:
            raise UsageError("--trace is for video: it records the times of every stage")
        from paragon_stream.cli.display.images import run_images

        if pairs is not None:
            options["encoder_options"] = pairs  # a profile's are for video
        result = run_images(source, target, options=options, ignored=from_profile, events=events, quiet=quiet)
        write_report(result, report)
        return
    from paragon_stream.cli.display.render import render_display

    display = render_display(events, quiet=quiet)
    if target != destination:
        with suppress(OSError):  # the render reports it
            Path(target).parent.mkdir(parents=True, exist_ok=True)
    _run_one(source, target, options, report, trace, verify, display)


def _is_queue(sources: Sequence[str], destination: str, options: dict[str, Any]) -> bool:
    """Whether there may be many files to upscale."""
    from paragon_stream.media.images.numbering import numbering
    from paragon_stream.media.source.opening import check_name
    from paragon_stream.queue.files import is_many

    for path in (*sources, destination):
        check_name(path)
    if len(sources) > 1 or options["recursive"] or options["watch"]:
        return True
    return not (numbering(sources[0]) or numbering(destination)) and is_many(sources[0])


def _in_folder(source: str, destination: str, container: str | None, *, given: bool) -> str:
    """`destination`, or, if it is a folder or FOLDER/*.mp4, the file in it with the name of `source`.

    `container` is that of videos there. Raises UsageError if it is `given` without effect.
    """
    from paragon_stream.media.images.numbering import numbering
    from paragon_stream.queue.files import SourceFile
    from paragon_stream.queue.request import QueueRequest, is_folder_name
    from paragon_stream.queue.targets import plain_name

    target = Path(destination)
    every = bool(target.suffix) and target.name == f"*{target.suffix}"
    if destination == "-" or not (every or target.is_dir() or is_folder_name(destination)):
        if container is not None and given:
            raise UsageError("--container is for folders: give a folder as OUTPUT")
        return destination
    file = SourceFile(path=Path(source), relative=Path(Path(source).name))
    if container is not None and file.is_picture:
        if given:
            raise UsageError(f"--container is for video, and {source} is a picture")
        container = None
    where = QueueRequest([source], destination, container=container).placed()
    if numbering(source) and where.container:
        raise UsageError(f"a video of images needs a name: give {where.folder}/NAME{where.container}")
    if where.container if file.is_picture else where.picture:
        raise UsageError(f"{destination} is for {'videos' if file.is_picture else 'images'}; {source} is not")
    return str(where.folder / plain_name(file, where))


def _run_one(
    source: str,
    destination: str,
    options: dict[str, Any],
    report: Path | None,
    trace: Path | None,
    verify: bool,
    display: RenderDisplay,
) -> None:
    from paragon_stream.api import upscale
    from paragon_stream.cli.verify import verify_render

    with display.rendering() as on_progress:
        result = upscale(
            source,
            destination,
            trace=trace,
            on_plan=display.planned,
            on_progress=on_progress,
            on_warning=display.warning,
            **given(**options),
        )
    write_report(result, report)
    display.rendered(result)
    if verify:
        verify_render(result, display)


def _run_queue(
    sources: Sequence[str], destination: str, options: dict[str, Any], verify: bool, observer: QueueObserver
) -> None:
    """Raises ParagonError where files failed, hence exit code 1."""
    from paragon_stream.queue.runner import upscale_all

    result = upscale_all(sources, destination, verify=verify, observer=observer, **given(**options))
    failed, count = len(result.failed), len(result.files)
    if failed:
        rest = "; the others are done" if failed < count else ""
        raise ParagonError(f"{failed} of {count} files failed, see above{rest}")
