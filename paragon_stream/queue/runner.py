"""`upscale_all()`: many files, one after another; a failure of one does not stop the others."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from paragon_stream import resource_usage
from paragon_stream.callbacks import CallbackError, callback_errors
from paragon_stream.errors import (
    DISK_FULL,
    EngineError,
    InputError,
    OutputError,
    ParagonError,
    UsageError,
    causes,
    explanation,
)
from paragon_stream.media.source.fingerprint import fingerprint
from paragon_stream.options.option import called_with, option, part
from paragon_stream.queue.decision import Action, Decision, decide
from paragon_stream.queue.files import Found, SourceFile, file_key, find_files
from paragon_stream.queue.journal import FileFacts, Journal, Record, State
from paragon_stream.queue.observer import PassingObserver, QueueItem, QueueObserver
from paragon_stream.queue.progress import QueueProgress, WorkMeter, survey
from paragon_stream.queue.request import QueueRequest
from paragon_stream.queue.results import FileResult, Outcome, QueueReport
from paragon_stream.queue.targets import plain_name, settle_names
from paragon_stream.queue.watch import PAUSE, POLL, Growth
from paragon_stream.queue.work import Worker
from paragon_stream.upscaler import check_network, doubts
from paragon_stream.wholefile import remove_leftovers

_SURVEY = 5.0
"""The longest time in seconds for reading headers before the first file runs."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class QueueCall(QueueRequest):
    """The arguments of `upscale_all`."""

    observer: QueueObserver | None = option(None, "Callbacks during the run.")


@called_with(QueueCall)
def upscale_all(call: QueueCall) -> QueueReport:
    """Upscale all videos and pictures of `sources` into the folder `destination`.

    Results keep the path of their source below the folder or glob, and its suffix if that can be written;
    `container` is another suffix for videos. Compiled engines are kept for later files of the same format. A
    file that fails does not stop the others; a full disk does.

    A journal in the folder records the state of each file. The same call continues after an interruption, a
    kill or a power cut: finished files are skipped unless their source has changed, failed files are tried
    again, and the interrupted file is continued (see `upscale`'s `resume`). With `watch` it does not return;
    it waits for new files until Ctrl-C, which is not an error then.

    The report has the outcome of each file. Raises UsageError for options without effect, InputError if no
    file is found, CheckpointError for weights, OutputError for a folder that cannot be written or
    is used by another run, and for a full disk; KeyboardInterrupt after Ctrl-C, and what `observer` raises.
    """
    observer = PassingObserver(call.observer or QueueObserver())
    with callback_errors(), _Queue(part(call, QueueRequest), observer) as queue:
        return queue.run()


class _Queue:
    def __init__(self, request: QueueRequest, observer: QueueObserver) -> None:
        self._request, self._observer = request, observer
        self._usage = resource_usage.Usage()
        self._where = request.placed()
        self._check_network()
        self._choices = request.choices
        self._results: list[FileResult] = []
        self._unreadable: list[str] = []
        self._names: dict[str, Path] = {}
        """The names of this run's results below the folder, by `file_key` of the source."""
        self._warnings: list[str] = []
        self._growth, self._meter = Growth(), WorkMeter()
        found = self._find()
        if found.unreadable:
            raise InputError(found.unreadable[0])
        self._journal = Journal(self._where.folder)
        try:
            files = self._sources(found.files)
            alone = not request.watch and all(file.is_picture for file in files)
            self._worker = Worker(request, observer, pictures_alone=alone)
            videos = sum(not file.is_picture for file in files)
            for sentence in (*doubts(request), *request.doubts(videos), *found.passed_over):
                self._warn(sentence)
            for record in [each for each in self._journal.records.values() if each.state is State.STARTED]:
                self._settle_earlier(record)
            self._items = self._planned(files)
        except BaseException:
            self._journal.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.close()
        self._journal.close()

    def run(self) -> QueueReport:
        """See `upscale_all`."""
        try:
            for item in self._waiting():
                self._process(item)
        finally:
            report = self._report()
            self._observer.summary(report)
        return report

    def _check_network(self) -> None:
        """Raise errors in the options, which would make every file fail."""
        self._request.of_picture(overwrite=False, alone=False)
        check_network(self._request)

    def _find(self) -> Found:
        request = self._request
        return find_files(
            request.sources,
            recursive=request.recursive,
            leave_out=self._where.folder,
            may_be_none=request.watch,
        )

    def _settle_earlier(self, record: Record) -> None:
        """Record the end of the file that was being rendered when the last run was killed."""
        remove_leftovers(self._where.folder / record.destination)
        result = FileFacts.of(self._where.folder / record.destination)
        done = result is not None and not result.same_times(record.before)
        # A result that nothing has compared with its source does not count as finished with `verify`.
        state = State.FINISHED if done and not self._request.verify else State.INTERRUPTED
        written = result if done else record.written
        ended = replace(record, state=state, time=time.time(), written=written)
        self._journal.write(ended)
        self._observer.earlier(ended)

    def _planned(self, files: Sequence[SourceFile]) -> list[QueueItem]:
        """The items for `files`, with names and work. Raises UsageError if results would replace sources."""
        given = [(source, Path(destination)) for source, destination in self._journal.records]
        names = settle_names(files, self._where, [*given, *self._names.items()])
        self._names |= {file_key(file.path): name for file, name in names.items()}
        work = survey(((file.path, file.is_picture) for file in files), _SURVEY)
        folder, count = self._where.folder, len(self._results) + len(files)
        items = [
            QueueItem(
                file=file,
                target=folder / names[file],
                job=secrets.token_hex(6),
                work=work[file.path],
                number=len(self._results) + number,
                count=count,
            )
            for number, file in enumerate(files, 1)
        ]
        for item in items:
            with suppress(OSError):
                if item.target.samefile(item.file.path):
                    raise UsageError(f"{folder} contains the sources: choose another folder for the results")
        plain = {file: plain_name(file, self._where).with_suffix("") for file in files}
        renamed = [item for item in items if names[item.file].with_suffix("") != plain[item.file]]
        self._meter.total += sum(item.work for item in items)
        self._observer.planned(items, renamed)
        return items

    def _sources(self, found: Sequence[SourceFile]) -> list[SourceFile]:
        """The files of `found` that are to be rendered now: no results, which are among them if a folder of
        sources contains the results, and with `watch` no files that are growing."""
        where = os.path.realpath(self._where.folder)
        written = [each for each in self._journal.records.values() if each.written is not None]
        results = {str(Path(where, each.destination)) for each in written}
        real = cache(os.path.realpath)  # of the few folders of many files
        files = [file for file in found if file_key(file.path, real) not in results]
        return self._growth.settled(files) if self._request.watch else files

    def _waiting(self) -> Iterator[QueueItem]:
        """All files in order. With `watch` it ends only by Ctrl-C while it waits for new files."""
        yield from self._items
        while self._request.watch:
            try:
                self._observer.waiting()
                self._meter.pause()
                while not (files := self._look()):
                    pass
            except KeyboardInterrupt:
                return
            self._meter.go_on()
            yield from self._planned(files)

    def _look(self) -> list[SourceFile]:
        """The new files; if there are none, after a pause. Sources that are gone or cannot be read cause one
        warning."""
        begin = time.monotonic()
        found = self._find()
        for sentence in found.unreadable:
            if sentence not in self._unreadable:
                self._warn(f"{sentence}; waiting for it")
        self._unreadable = found.unreadable
        files = self._sources(found.files)
        if not files:
            time.sleep(max(POLL, PAUSE * (time.monotonic() - begin)))
        return files

    def _process(self, item: QueueItem) -> None:
        """Render or skip one file, and record it. Raises KeyboardInterrupt, OutputError for a full disk."""
        source = item.file.path
        before = FileFacts.of(source)
        decision = decide(
            self._last(item),
            source,
            item.target,
            self._choices,
            overwrite=self._request.overwrite,
            resume=self._request.resume,
        )
        if decision.action is Action.LEAVE:
            if decision.why:
                self._observer.warning(item, decision.why)
            self._end(item, self._result(item, Outcome.LEFT), before, recorded=False)
            return
        begin = time.perf_counter()
        if decision.action is Action.REFUSE:
            refusal = OutputError(decision.why)
            self._end(item, self._failure(item, refusal, begin), before, recorded=False)
            return
        read = before and self._with_content(source, before)
        stop: OutputError | None = None
        try:
            self._record(item, State.STARTED, read, there=FileFacts.of(item.target))
            self._observer.started(item)
            if decision.why:
                self._observer.warning(item, decision.why)
            result = self._rendered(item, decision, begin)
        except (KeyboardInterrupt, CallbackError):
            self._record(item, State.INTERRUPTED, read)
            interrupted = self._result(item, Outcome.INTERRUPTED, begin)
            self._results.append(interrupted)
            self._observer.ended(item, interrupted)
            raise
        except Exception as error:
            result = self._failure(item, error, begin)
            if not isinstance(error, ParagonError):
                logger.info("where it happened", exc_info=error)
            if isinstance(error, EngineError) or not isinstance(error, ParagonError):
                self._worker.forget_engines()
            if _disk_is_full(error):
                stop = OutputError(f"the run ends, because the disk of {self._where.folder} is full: {error}")
        self._end(item, result, read)
        if stop is not None:
            raise stop

    def _rendered(self, item: QueueItem, decision: Decision, begin: float) -> FileResult:
        def show(progress: QueueProgress, part: float, free: float) -> None:
            whole, eta = self._meter.now(item.work, part, free)
            self._observer.progress(item, replace(progress, part=whole, eta=eta))

        outcome = self._worker.run(item, resume=decision.resume, overwrite=decision.overwrite, show=show)
        result = self._result(item, Outcome.FAILED if outcome.error else Outcome.FINISHED, begin)
        return replace(
            result,
            error=outcome.error,
            kind="Refuted" if outcome.error else "",
            bytes_out=outcome.bytes_out,
            render=outcome.render,
            image=outcome.image,
            verification=outcome.verification,
        )

    def _end(
        self, item: QueueItem, result: FileResult, read: FileFacts | None, *, recorded: bool = True
    ) -> None:
        if recorded:
            state = State.FINISHED if result.outcome is Outcome.FINISHED else State.FAILED
            self._record(item, state, read, result.error)
        self._results.append(result)
        costs = result.outcome is Outcome.FINISHED
        self._meter.ended(item.work, free=0.0 if costs else item.work)
        gone = result.outcome is Outcome.FAILED and FileFacts.of(item.file.path) is None
        self._growth.done(item.file.path, None if gone else read)  # a file that comes back is tried again
        self._observer.ended(item, result)

    def _record(
        self,
        item: QueueItem,
        state: State,
        read: FileFacts | None,
        message: str = "",
        there: FileFacts | None = None,
    ) -> None:
        last, present = self._last(item), FileFacts.of(item.target)
        ours = item.made or (last and last.written and last.written.same_times(present))
        self._journal.write(
            Record(
                state=state,
                job=item.job,
                source=file_key(item.file.path),
                destination=self._name(item),
                read=read,
                written=present if ours else None,
                before=there,
                options=self._choices,
                message=message,
            )
        )

    def _last(self, item: QueueItem) -> Record | None:
        """The last record of an attempt to make the item's target."""
        return self._journal.records.get((file_key(item.file.path), self._name(item)))

    def _name(self, item: QueueItem) -> str:
        return item.target.relative_to(self._where.folder).as_posix()

    def _result(self, item: QueueItem, outcome: Outcome, begin: float | None = None) -> FileResult:
        facts = FileFacts.of(item.file.path)
        return FileResult(
            job=item.job,
            source=str(item.file.path),
            destination=str(item.target),
            outcome=outcome,
            seconds=0.0 if begin is None else time.perf_counter() - begin,
            bytes_in=facts.size if facts else 0,
        )

    def _failure(self, item: QueueItem, error: Exception, begin: float) -> FileResult:
        text = explanation(error, item.file.path)
        return replace(self._result(item, Outcome.FAILED, begin), error=text, kind=type(error).__name__)

    @staticmethod
    def _with_content(source: Path, facts: FileFacts) -> FileFacts:
        try:
            return replace(facts, content=fingerprint(source))
        except InputError:  # the render reports it
            return facts

    def _warn(self, sentence: str) -> None:
        self._warnings.append(sentence)
        self._observer.warning(None, sentence)

    def _report(self) -> QueueReport:
        return QueueReport(
            destination=str(self._where.folder),
            files=tuple(self._results),
            compiled=self._worker.compiled,
            wall_seconds=self._usage.wall_seconds,
            cpu_seconds=self._usage.cpu_seconds,
            peak_rss_bytes=resource_usage.peak_rss(),
            warnings=tuple(self._warnings),
        )


def _disk_is_full(error: Exception) -> bool:
    return any(isinstance(each, OSError) and each.errno in DISK_FULL for each in causes(error))
