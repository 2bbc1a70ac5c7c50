"""The callbacks of a run over many files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paragon_stream.callbacks import passing
from paragon_stream.queue.files import SourceFile
from paragon_stream.queue.journal import Record
from paragon_stream.queue.progress import QueueProgress
from paragon_stream.queue.results import FileResult, QueueReport
from paragon_stream.render.plan import RenderPlan


@dataclass(eq=False, kw_only=True)
class QueueItem:
    """A file of the run. `job` identifies this attempt; `work` is in source pixels. `made` is True when the
    target is the result of this attempt."""

    file: SourceFile
    target: Path
    job: str
    work: float = 0.0
    number: int = 0
    count: int = 0
    made: bool = False


class QueueObserver:
    """Callbacks on the thread that runs the queue. They do nothing by default; override those that you need.
    An exception of a callback ends the run; the next run continues."""

    def earlier(self, record: Record) -> None:
        """An attempt of an earlier run, which was killed, has the state `record.state`."""

    def planned(self, items: Sequence[QueueItem], renamed: Sequence[QueueItem]) -> None:
        """The files of the run, in order. `renamed` are those whose results would have had equal names.
        Called again when new files appear."""

    def started(self, item: QueueItem) -> None:
        """The file's turn has come."""

    def rendering(self, item: QueueItem, plan: RenderPlan) -> None:
        """The plan of a video is made."""

    def progress(self, item: QueueItem, progress: QueueProgress) -> None:
        """A few times a second."""

    def warning(self, item: QueueItem | None, sentence: str) -> None:
        """A warning about a file, or (with None) about the whole run."""

    def ended(self, item: QueueItem, result: FileResult) -> None:
        """A file has ended. Called once for each file that was begun."""

    def waiting(self) -> None:
        """With `watch`: all files are done, and the run waits for new files."""

    def summary(self, report: QueueReport) -> None:
        """The run has ended, or was interrupted, or failed. Called once."""


class PassingObserver(QueueObserver):
    """An observer whose exceptions become CallbackError."""

    def __init__(self, observer: QueueObserver) -> None:
        for name in vars(QueueObserver):
            if not name.startswith("_"):
                setattr(self, name, passing(getattr(observer, name)))
