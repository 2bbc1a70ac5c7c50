"""`--progress json`: what happens, as lines of JSON on standard error. `events.schema.json` describes them.

Every job always has exactly one event that ends it: see `EventLines`. What cannot say so itself,
a process that is killed, leaves a folder's journal, and the next run on that folder says it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from paragon_stream.json_text import json_text
from paragon_stream.pipeline.interrupt import HeldInterrupt

VERSION = 1
TERMINAL = ("finished", "failed", "interrupted", "skipped")
SCHEMA = Path(__file__).with_name("events.schema.json")

_STANDARD_ERROR = 2


class EventLines:
    """Writes events. `job` is the command's own job; runs over many files have one for each file as well.

    A second event that ends a job is not written, and `end` ends the jobs that are still open. A line is
    written whole: an interruption meanwhile is raised behind it.
    """

    def __init__(self, write: Callable[[bytes], None] | None = None) -> None:
        self.job = secrets.token_hex(6)
        self._write = write or _to_standard_error
        self._open: set[str] = {self.job}
        self._ended: set[str] = set()
        self._facts: dict[str, Any] = {}
        self._log = _LogLines(self)

    @classmethod
    def wanted(cls, arguments: Sequence[str]) -> bool:
        """Whether a command line selects events, even if the rest of it is wrong."""
        before = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
        pairs = pairwise(before)
        return "--progress=json" in before or ("--progress", "json") in pairs

    def emit(self, event: str, job: str | None = None, **facts: Any) -> None:
        """Write one event of `job`, by default the command's own. Raises KeyboardInterrupt if one came
        meanwhile."""
        job = job or self.job
        with HeldInterrupt() as held:
            self._emit(event, job, facts)
        if held.pending:
            raise KeyboardInterrupt

    def started(self, **facts: Any) -> None:
        """The command's own job has begun; its last event repeats the facts."""
        self.emit("started", **facts)
        self.result(**facts)

    def result(self, **facts: Any) -> None:
        """The additional fields of the command's last event."""
        self._facts |= facts

    def end(self, code: int, message: str, kind: str) -> None:
        """The command is over, with an exit code: the last events are written."""
        event = "finished" if code == 0 else "interrupted" if code == 130 else "failed"
        with HeldInterrupt():
            for job in sorted(self._open - {self.job}):
                why = {"message": message, "error": kind} if event == "failed" else {}
                self._emit("failed" if event == "failed" else "interrupted", job, why)
            facts = {**self._facts, "exit_code": code}
            if event == "failed":
                facts |= {"message": message, "error": kind}
            self._emit(event, self.job, facts)

    def take_logging(self, level: int) -> None:
        """Make log records of `level` and above events."""
        root = logging.getLogger()
        root.addHandler(self._log)
        root.setLevel(min(level, root.level or level))

    def leave_logging(self) -> None:
        logging.getLogger().removeHandler(self._log)

    def _emit(self, event: str, job: str, facts: dict[str, Any]) -> None:
        if job in self._ended:
            return
        if event in TERMINAL:
            self._ended.add(job)
            self._open.discard(job)
        elif event not in ("log", "warning"):
            self._open.add(job)
        stamp = {"version": VERSION, "event": event, "job": job, "time": round(time.time(), 3)}
        self._write(json_text({**stamp, **facts}, indent=None).encode() + b"\n")


progress_option = click.option(
    "--progress",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    expose_value=False,  # `main` looks for it before the command line is parsed, and makes the EventLines
    help="Form of progress on standard error: json writes one line per event.",
)


class _LogLines(logging.Handler):
    """Log records as events."""

    def __init__(self, events: EventLines) -> None:
        super().__init__()
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        self._events.emit("log", level=record.levelname.lower(), message=record.getMessage())


def _to_standard_error(line: bytes) -> None:
    with contextlib.suppress(OSError):  # events that are not read end no render
        while line:
            line = line[os.write(_STANDARD_ERROR, line) :]
