"""`paragon-stream`: the entry point, the table of commands, and the report of failures.

`paragon-stream INPUT OUTPUT` is the main form. A first argument that is a command's name runs that command; a
file of the same name is given as `./probe`. A command is imported when it runs, so `--help` is fast.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from paragon_stream.cli import standard_streams
from paragon_stream.cli.display.events import EventLines
from paragon_stream.errors import Interrupted, OutputError, ParagonError, UsageError, explanation, reason
from paragon_stream.pipeline.interrupt import raise_on_requests

COMMANDS = {
    "live": ("paragon_stream.cli.live", "Upscale a screen, a capture device or a stream in real time."),
    "probe": (
        "paragon_stream.cli.probe",
        "Show the contents of a video or weights file, and the plan for it.",
    ),
    "convert": ("paragon_stream.cli.convert", "Write a checkpoint of any generation as safetensors."),
    "models": ("paragon_stream.cli.models", "List shipped weights and their quality; `models export`."),
    "export": ("paragon_stream.cli.export", "Write a network as a file for other programs."),
    "chunks": ("paragon_stream.cli.chunks", "Render on many machines with any scheduler, in chunks."),
    "sample": ("paragon_stream.cli.sample", "Render pieces in several ways, side by side on one page."),
    "verify": ("paragon_stream.cli.verify", "Compare a render with its source."),
    "bench": ("paragon_stream.cli.bench", "Measure the speed of an engine on this machine."),
    "doctor": ("paragon_stream.cli.doctor", "Show what this machine has and what is missing."),
    "profiles": ("paragon_stream.cli.shortcuts.profiles", "List profiles: named options for `--profile`."),
    "completion": ("paragon_stream.cli.shortcuts.completion", "Completion for bash, zsh and fish."),
    "engine": ("paragon_stream.cli.engine", "Build TensorRT engines in advance; list and remove them."),
    "filter-path": ("paragon_stream.cli.filter_path", "Print the path of the script for mpv and vspipe."),
    "eval": ("paragon_stream.cli.eval", "Measure weights on pictures and videos, or compare two videos."),
    "train": ("paragon_stream.cli.train", "Train weights by a recipe (needs the extra `train`)."),
}
"""Name → (module with a click command called `command`, one line for the overview)."""

MAIN = "paragon_stream.cli.upscale"
"""The module of the form without a command."""

SETTINGS: Mapping[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
"""Settings of click for all commands; subcommands inherit them."""

_NO_TEMPORARY = "No usable temporary directory"
"""The beginning of the message of Python's module `tempfile`."""

_OURS = "paragon-"
"""The prefix of the names of the package's threads."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

    SIGTERM and SIGHUP have the effect of Ctrl-C: threads are joined and the output is left in a defined
    state.
    """
    standard_streams.prepare()
    raise_on_requests()
    code = run(list(sys.argv[1:] if arguments is None else arguments))
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _fail(standard_streams.complaint(error) or "", code or 1)
    if any(thread.daemon and thread.name.startswith(_OURS) for thread in threading.enumerate()):
        # A thread is blocked in FFmpeg by a source that does not answer. If it returned into an interpreter
        # that is shutting down, it could crash.
        logging.shutdown()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code. Every failure becomes one line on standard error, or, with
    `--progress json`, the event that ends the command's job."""
    if not EventLines.wanted(arguments):
        end = _outcome(arguments, None)
        return _fail(end.message, end.code)
    events, outcome = EventLines(), None
    while True:
        try:
            outcome = outcome or _outcome(arguments, events)
            events.end(outcome.code, " ".join(outcome.message.split()), outcome.kind)
            return outcome.code
        except KeyboardInterrupt:  # between the command and its last event
            outcome = outcome or _INTERRUPTED


class _Outcome(NamedTuple):
    """The end of a command: the exit code, one line about the error, and the class of the error."""

    code: int
    message: str = ""
    kind: str = ""


_INTERRUPTED = _Outcome(Interrupted.exit_code, "interrupted", "Interrupted")


def _outcome(arguments: list[str], events: EventLines | None) -> _Outcome:
    """Run one command."""
    name = arguments[0] if arguments and arguments[0] in COMMANDS else None
    program = f"paragon-stream {name}" if name else "paragon-stream"
    verbose = "--verbose" in arguments
    if events is not None:
        events.take_logging(logging.INFO if verbose else logging.WARNING)
    elif verbose:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    try:
        command: click.Command = importlib.import_module(COMMANDS[name][0] if name else MAIN).command
        rest = arguments[1:] if name else arguments
        if events is None:
            command.main(rest, prog_name=program, standalone_mode=False, **SETTINGS)
        else:  # `main` would write an empty line after Ctrl-C
            with command.make_context(program, rest, obj=events, **SETTINGS) as context:
                command.invoke(context)
            sys.stdout.flush()  # what is lost there belongs into the last event
    except click.exceptions.Exit as exit_:
        return _Outcome(exit_.exit_code)
    except click.ClickException as error:
        hint = f" (see {program} --help)" if isinstance(error, click.UsageError) else ""
        message = error.format_message()
        if name is None and isinstance(error, click.MissingParameter):
            message = "INPUT and OUTPUT are needed"  # click takes a single argument for OUTPUT
        return _Outcome(UsageError.exit_code, message + hint, "UsageError")
    except (KeyboardInterrupt, click.Abort):
        return _INTERRUPTED
    except ParagonError as error:
        if verbose:
            logging.getLogger(__name__).info("where it happened", exc_info=error)
        return _Outcome(error.exit_code, str(error), type(error).__name__)
    except Exception as error:
        if (complaint := standard_streams.complaint(error)) is not None:
            return _Outcome(OutputError.exit_code, complaint, "OutputError")
        if verbose and events is None:
            raise
        kind = type(error).__name__
        if isinstance(error, OSError) and error.filename is not None:
            return _Outcome(1, f"{error.filename}: {reason(error)}", kind)
        if isinstance(error, FileNotFoundError) and str(error.strerror).startswith(_NO_TEMPORARY):
            return _Outcome(1, f"{error.strerror}: set TMPDIR to a folder that can be written", kind)
        return _Outcome(1, f"{explanation(error)} (details: --verbose)", kind)
    finally:
        if events is not None:
            events.leave_logging()
    return _Outcome(0)


def _fail(message: str, code: int) -> int:
    if message:
        click.echo(f"paragon-stream: {standard_streams.one_line(message)}", err=True)
    return code


if __name__ == "__main__":
    main()
