"""`OUT.paragon/`: where an output lives until it is complete.

The file is written as `OUT.paragon/OUT` and renamed to `OUT` in one step when it is finished. A lock of the
operating system in the folder prevents two runs from writing it; it ends with the process, even a killed one.
A folder without a lock was left behind by an earlier run. `job.json` holds the identity of the render. The
same render, also by another version, resumes it with `--resume`, and never replaces it without `--overwrite`.
Files of other renders are replaced, with a notice; a recording of a live session is not, without
`--overwrite`. The render's journal (`media.safekeeping`) is beside the file.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import BinaryIO

from paragon_stream.errors import CannotResume, OutputError, UsageError, reason
from paragon_stream.json_text import json_text
from paragon_stream.media.ffmpeg.errors import av_errors_as
from paragon_stream.media.safekeeping import journal
from paragon_stream.media.safekeeping.locks import lock, still_there
from paragon_stream.media.safekeeping.syncing import sync, sync_folder
from paragon_stream.wholefile import behind_links, fitting, remove_leftovers, whole_file

logger = logging.getLogger(__name__)
_LOCK = "lock"
_RECORD = "job.json"
_BEFORE = "before"
_RECORDING = {"recording": "of a live session"}
"""What a live session stores in the place of an identity."""
_SHOWN = 40
"""Longest value of the identity that a message shows, characters; longer ones are digests."""

VERSIONS = ("FFmpeg version", "paragon-stream version")
"""Keys of a render's identity that may differ with `--accept-upgrade`."""


def work_folder(destination: Path) -> Path:
    return destination.with_name(fitting(destination.name, ".paragon"))


def check_destination(
    destination: Path,
    source: Path | None,
    *,
    overwrite: bool,
    resume: bool = False,
    existing: bool = False,
) -> None:
    """Check before any work that the output can be written. One that is `existing` is only read, so that its
    folder need not be writable.

    Raises UsageError if `destination` is the source, and OutputError if it exists (without `overwrite`), is
    not a file, or its folder is missing or cannot be written.
    """
    with av_errors_as(OutputError, f"cannot write {destination}"):
        behind = behind_links(destination)
        _check_destination(behind, source, overwrite=overwrite, resume=resume)
        if not existing and not os.access(behind.parent, os.W_OK | os.X_OK):
            raise OutputError(f"cannot write {behind}: the folder {behind.parent} is read-only")


def _check_destination(destination: Path, source: Path | None, *, overwrite: bool, resume: bool) -> None:
    folder = destination.parent
    if source is not None:
        for taken in (destination, work_folder(destination) / destination.name):
            if _same_file(taken, source):
                raise UsageError(f"the output {destination} would replace the input: choose another name")
    if destination.is_dir():
        raise OutputError(f"{destination} is a folder: give the output a file name")
    if not folder.exists():
        raise OutputError(f"cannot write {destination}: the folder {folder} does not exist")
    if not folder.is_dir():
        raise OutputError(f"cannot write {destination}: {folder} is not a folder")
    if destination.exists():
        if not destination.is_file():
            raise OutputError(f"cannot write {destination}: it is not an ordinary file")
        if not overwrite:
            done = "; it is complete, so there is nothing to resume" if resume else ""
            raise OutputError(f"{destination} exists already: use --overwrite to replace it{done}")


def _same_file(a: Path, b: Path) -> bool:
    """Whether both exist and are the same file; resolves links and letter case."""
    try:
        return a.samefile(b)
    except OSError:
        return False


class WorkDir:
    """The work folder of one output, locked from construction until `promote`, `abandon` or `discard`.

    `identity` distinguishes renders that can be resumed. With `resume`, `before` is the file of the earlier
    run, if there is one; keys of the identity in `may_differ` are not compared. `notice` names a leftover
    that was replaced. With `recording` the files cannot be made again, so leftovers are not replaced without
    `overwrite`.

    Raises CannotResume if the unfinished file to `resume` belongs to another render; OutputError if it
    belongs to another version's, if another run holds the folder or it cannot be created, and, without
    `resume` and `overwrite`, if the file belongs to this render.
    """

    def __init__(
        self,
        destination: Path,
        *,
        overwrite: bool,
        identity: Mapping[str, str] | None = None,
        resume: bool = False,
        may_differ: Collection[str] = (),
        recording: bool = False,
    ) -> None:
        with av_errors_as(OutputError, f"cannot write {destination}"):
            destination = behind_links(destination)
        self.destination = destination
        self.overwrite = overwrite
        self.folder = work_folder(destination)
        self.file = self.folder / destination.name
        self.notice: str | None = None
        self.before: Path | None = None
        self.stays = False
        """Whether the folder remains after `discard`, because of chunks, or files that the user put there."""
        self._earlier = self.folder / (_BEFORE + destination.suffix)
        self._record = self.folder / _RECORD
        self._can_resume = bool(identity)
        self._recording = recording
        self._lock = self._acquire()
        try:
            with av_errors_as(OutputError, f"cannot write {destination}"):
                self._take_over(dict(identity or {}), resume, may_differ)
        except BaseException:
            self._release()
            raise

    def _take_over(self, identity: dict[str, str], resume: bool, may_differ: Collection[str]) -> None:
        """Resume, replace or refuse the files of an earlier run."""
        left = [path for path in (self._earlier, self.file) if path.exists()]
        if journal.is_there(self.folder):
            left.append(self.folder)
        known = _stored(self._record)
        if left and (self._recording or known == _RECORDING) and not self.overwrite:
            raise OutputError(
                f"{left[0]} is the unfinished recording of an earlier session: move it, or use --overwrite"
            )
        if left and resume:
            if other := _differences(known, identity, may_differ):
                kind = CannotResume if _differences(known, identity, VERSIONS) else OutputError
                raise kind(f"the unfinished {left[0]} {other}")
            if self._earlier.exists():
                self.before = self._earlier  # it contains everything that the file of a later run contains
            elif self.file.exists():
                self.file.replace(self._earlier)
                self.before = self._earlier
        elif left and identity and not self.overwrite and not _differences(known, identity, VERSIONS):
            how = "--resume" if known == identity else "--resume --accept-upgrade"
            raise OutputError(f"{left[0]} is unfinished: {how} continues it, --overwrite starts again")
        elif left:
            self.notice = f"replaced {left[0]}, left behind by an unfinished run"
            with av_errors_as(OutputError, f"cannot remove {left[0]}, left behind by an unfinished run"):
                self._earlier.unlink(missing_ok=True)
                journal.remove(self.folder)
        self.file.unlink(missing_ok=True)
        remove_leftovers(self._record)
        if record := _RECORDING if self._recording else identity:
            with whole_file(self._record) as file:
                file.write(json_text(record, indent=1).encode())

    def promote(self) -> int:
        """Give the finished file its final name, in one step, and remove the folder; its size, bytes.

        Raises OutputError, and keeps the file in the folder, if that fails or the name was taken meanwhile.
        """
        try:
            size = self._renamed()
        except BaseException:
            self._release()
            raise
        self.discard()
        return size

    def _renamed(self) -> int:
        """Rename the file; its size."""
        try:
            sync(self.file)
            size = self.file.stat().st_size
            if self.destination.exists() and not self.overwrite:
                raise OutputError(
                    f"{self.destination} appeared during the render: the result is kept as {self.file}"
                )
            self.file.replace(self.destination)
            sync_folder(self.destination.parent)
        except OSError as error:
            kept = f"the result is kept as {self.file}" if self.file.exists() else f"{self.file} is gone"
            raise OutputError(f"cannot write {self.destination}: {reason(error)}; {kept}") from error
        return size

    def discard(self) -> None:
        """Remove the folder with everything that this run put there. The lock goes last: then another run may
        begin."""
        for path in (self.file, self._earlier, self._record):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            journal.remove(self.folder)
        self._release()
        try:
            self.folder.rmdir()
        except OSError as error:
            self.stays = error.errno == errno.ENOTEMPTY

    def abandon(self, *, worth_keeping: bool, work: bool = False) -> str | None:
        """Stop without a result. A file that is `worth_keeping` stays, as do the file of the run before and
        `work` in the journal. Returns a sentence that says where they are, or None."""
        if not worth_keeping and self.before is None and not work:
            self.discard()
            return None
        self._release()
        kept = self.file if worth_keeping else self.before or self.folder
        then = "--resume continues it" if self._can_resume else "until another run replaces it"
        if self._recording:
            then = "--overwrite replaces it"
        return f"kept what was written before the stop, {then}: {kept}"

    def _acquire(self) -> BinaryIO:
        path = self.folder / _LOCK
        for _ in range(3):
            with av_errors_as(OutputError, f"cannot write {self.destination}"):
                self.folder.mkdir(exist_ok=True)
            try:
                handle = path.open("a+b")
            except FileNotFoundError:
                continue  # the run that held it finished between the two steps
            except OSError as error:
                raise OutputError(f"cannot write {self.destination}: {reason(error)}") from error
            if not lock(handle):
                handle.close()
                raise OutputError(f"another run is writing {self.destination} right now (see {self.folder})")
            if still_there(handle, path):
                return handle
            handle.close()
        raise OutputError(f"cannot lock {self.folder}: other runs keep taking and leaving it")

    def _release(self) -> None:
        if self._lock.closed:
            return
        path = self.folder / _LOCK
        # Windows cannot remove an open file, POSIX must not remove an unlocked one.
        steps = (self._lock.close, path.unlink) if os.name == "nt" else (path.unlink, self._lock.close)
        for step in steps:
            with contextlib.suppress(OSError):  # even closing fails where the folder's server is gone
                step()


def _stored(record: Path) -> dict[str, str]:
    """The identity in the file `record`; empty if unknown."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _differences(known: Mapping[str, str], wanted: Mapping[str, str], may_differ: Collection[str]) -> str:
    """The differences between the unfinished render and the `wanted` one, for a message; "" if there are
    none."""
    names = sorted({*known, *wanted} - set(may_differ))
    other = [name for name in names if known.get(name) != wanted.get(name)]
    if not other:
        return ""
    if not known or not wanted:
        return "cannot be resumed: start again with --overwrite"
    # A key that only one of them has is the consequence of another difference.
    causes = [name for name in other if name in known and name in wanted] or other
    differences = ", ".join(_difference(name, known.get(name, ""), wanted.get(name, "")) for name in causes)
    if set(other) <= set(VERSIONS):
        return f"was made with different {differences}: --accept-upgrade continues it nevertheless"
    return (
        f"was made with different {differences}: repeat the command that it was made with, "
        "or start again with --overwrite"
    )


def _difference(name: str, then: str, now: str) -> str:
    short = 0 < len(then) <= _SHOWN and 0 < len(now) <= _SHOWN
    return f"{name} ({then} then, {now} now)" if short else name
