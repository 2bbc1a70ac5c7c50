"""The journal of an unfinished render. An interruption of any kind costs only some seconds of work.

The journal consists of (see the modules of this folder):

- a record of every frame, and one of every packet;
- the packets themselves, until the container has them: muxers hold back fragments and clusters;
- computed frames, raw, until their packets are written: encoders hold dozens back. Frames are spooled only if
  more than `AT_RISK` seconds of work would otherwise be in the encoder alone, so fast renders spool nothing.

**Durability.** A thread calls `fsync` for everything that was written, every `SYNC_SECONDS`. Superfluous
files are removed only after that. Every record has a checksum, so bytes that a power failure has lost are not
mistaken for data.

**The closed point** is where a render can continue: the first N packets are those of the first N frames, in
any order. A new encoder begins there with a key frame.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from paragon_stream.errors import CannotResume, OutputError, reason
from paragon_stream.frame import Timing
from paragon_stream.media.ffmpeg.errors import av_errors_as
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.safekeeping.frame_log import FrameLog, FrameRecord
from paragon_stream.media.safekeeping.packet_log import PACKET_FILES, PacketFacts, PacketLog
from paragon_stream.media.safekeeping.spool import SPOOL_FILES, FrameSpool
from paragon_stream.media.safekeeping.syncing import sync, sync_folder

AT_RISK = 10.0
"""Seconds of work in the encoder beyond which computed frames are spooled."""
SYNC_SECONDS = 5.0
LEAST_FREE = 2 << 20
"""Bytes. With less free space a render stops, while its file can still be closed."""

_LOOK = 1.0
"""Seconds between two checks of the free space."""
_FRAMES = "frames"
_HEADERS = "headers"
_RESERVE = "reserve"
_RESERVE_BYTES = 8 << 20
_PATTERNS = (_FRAMES, _HEADERS, _RESERVE, *PACKET_FILES, *SPOOL_FILES)


def is_there(folder: Path) -> bool:
    """Whether `folder` has the journal of an earlier run."""
    try:
        return (folder / _FRAMES).stat().st_size > 0
    except OSError:
        return False


def remove(folder: Path) -> None:
    """Remove the journal in `folder`. Raises OSError."""
    for pattern in _PATTERNS:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


class Journal:
    """The journal in `folder`. The thread that encodes calls, the reader of spooled frames calls `take`.

    Read it (`done`, `frames`, `packets`), then `begin`, then report every frame and packet. Raises
    OutputError.
    """

    def __init__(self, folder: Path, *, spools: bool = True) -> None:
        """With `spools` False, computed frames are not kept, because they are in a GPU's memory. Then at
        least one frame remains to be encoded: these encoders need one to start."""
        self._folder = folder
        self._spools = spools
        self._file: Path | None = None
        self._superseded: tuple[Path, int] | None = None
        self._coming: FrameRecord | None = None
        self._lock = threading.Lock()
        """Protects the spool."""
        with av_errors_as(OutputError, f"cannot resume from {folder}"):
            self.frames = FrameLog(folder / _FRAMES)
            self.packets = PacketLog(folder)
            self._spool = FrameSpool(folder)
            whole = self.packets.whole()
        self.done = self._closed_point(whole if spools else min(whole, len(self.frames) - 1))
        """Frames at the beginning that need not be read, computed and encoded again."""
        self.warnings: list[str] = []
        self._trouble: OutputError | None = None
        self._ranks: dict[int, int] = {}
        """Numbers of frames whose packets are still to come, by their time in the output."""
        self._highest = -1
        self._number = 0
        self._closed = 0
        self._safe = 0
        self._unspooled: deque[tuple[int, float]] = deque()
        """Frames that only the encoder has, and the seconds of work that each took."""
        self._then = 0.0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.spooled = 0
        """Frames that were written to the spool."""

    def begin(self, *, file: Path | None, before: Path | None = None) -> None:
        """Continue after the first `done` frames, in `file`; None if every frame is stored in a separate
        file.

        `before` is the file of the earlier run, which is removed when `file` has all of its packets.
        """
        self._number = self._closed = self.done
        self._highest = self.done - 1
        self._file = file
        with av_errors_as(OutputError, f"cannot write to {self._folder}"):
            self.frames.begin(self.done)
            self.packets.begin(self.done if file is not None else 0)
            if before is not None:
                self._superseded = before, self.packets.first
            self._spool.forget(self.done)
        self._then = time.monotonic()
        self._thread = threading.Thread(target=self._keep_safe, name="paragon-journal", daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        """Number of frames in the sink, including those of earlier runs."""
        return self._number

    @property
    def has_work(self) -> bool:
        """Whether the journal has work that need not be done again."""
        return bool(self.done or self.spooled or self._closed)

    def check_headers(self, headers: str) -> None:
        """Raise CannotResume if this encoder's headers differ from those of the earlier run: the container
        stores one set of headers for all packets."""
        path = self._folder / _HEADERS
        with av_errors_as(OutputError, f"cannot write to {self._folder}"):
            if self.done and path.exists():
                if path.read_text() != headers:
                    raise CannotResume(
                        "this encoder writes different headers than the one that began the render"
                        " (another version, another machine): continue on that machine,"
                        " or start again with --overwrite"
                    )
                return
            path.write_text(headers)
            sync(path)

    def shorten(self, packets: int) -> int:
        """Note that only the first `packets` packets are available; returns the frame where the next run
        continues."""
        self.done = self._closed_point(packets)
        with av_errors_as(OutputError, f"cannot write to {self._folder}"):
            self.packets.begin(self.done)
            self.packets.close()
            self.frames.begin(self.done)
        return self.done

    # ------------------------------------------------------------------------------- what happens

    def announce(self, record: FrameRecord) -> None:
        """Set the record of the frame that is given to the sink next."""
        self._coming = record

    def announced(self, timing: Timing) -> FrameRecord:
        """The announced record of the frame at `timing`; without one, a record that marks it as not
        verifiable."""
        known, self._coming = self._coming, None
        if known is None or known.timing != timing:
            return FrameRecord(timing=timing, strength=0.0, sample=0, disturbed=True)
        return known

    def frame(self, record: FrameRecord, planes: Sequence[Plane] | None = None) -> None:
        """Record that the next frame is encoded or written; `planes` are the encoder's input."""
        self._check()
        self._ranks[record.pts] = self._number
        with av_errors_as(OutputError, f"cannot write to {self._folder}"):
            self.frames.append(record)
        self._keep(planes, record.time)
        self._number += 1

    def packet(self, facts: PacketFacts, data: bytes | memoryview) -> None:
        """Record the encoder's next packet."""
        with av_errors_as(OutputError, f"cannot write to {self._folder}"):
            self.packets.append(facts, data)
        self._highest = max(self._highest, self._ranks.pop(facts.pts, self._highest))
        if self._highest == self.packets.count - 1:
            self._move_on(self.packets.count)

    def written(self, frames: int) -> None:
        """Record that the first `frames` frames are in complete files, for sinks without packets."""
        self._move_on(frames)

    def contained(self, packets: int) -> None:
        """Record that the first `packets` packets are in the file, even if this process is killed."""
        self._safe = packets

    def take(self, number: int, time: Fraction, planes: Sequence[Plane]) -> bool:
        """Fill `planes` with the result of the frame `number`, if an earlier run has kept it."""
        return self._spools and self._spool.take(number, time, planes)

    def close(self) -> None:
        """Write everything to the disk and stop. Never raises."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            with contextlib.suppress(OSError):
                self._sync()
        self.frames.close()
        self.packets.close()
        self.make_room()

    def make_room(self) -> None:
        """Release the reserved space: closing the file may need it."""
        with contextlib.suppress(OSError):
            (self._folder / _RESERVE).unlink(missing_ok=True)

    # ---------------------------------------------------------------------------------- keeping

    def _move_on(self, closed: int) -> None:
        self._closed = closed
        while self._unspooled and self._unspooled[0][0] < closed:
            self._unspooled.popleft()

    def _keep(self, planes: Sequence[Plane] | None, time_shown: Fraction) -> None:
        """Spool the frame if more than `AT_RISK` seconds of work would otherwise be only in the encoder."""
        now = time.monotonic()
        work, self._then = now - self._then, now
        if self._number in self._spool:
            return
        at_risk = sum(each for _, each in self._unspooled) + work
        if planes is None or not self._spools or at_risk <= AT_RISK:
            self._unspooled.append((self._number, work))
            return
        try:
            with self._lock:
                self._spool.put(self._number, time_shown, planes)
            self.spooled += 1
        except OSError as error:
            self._spools = False
            with self._lock, contextlib.suppress(OSError):
                self._spool.forget(self._number + 1)
            self.warnings.append(
                f"computed frames are no longer saved: {reason(error)}; an interruption now costs more work"
            )

    def _closed_point(self, packets: int) -> int:
        """The largest number of frames whose packets are all among the first `packets` packets."""
        ranks = {pts: number for number, (pts, _, _) in enumerate(self.frames.shown())}
        closed, highest = 0, -1
        for count, facts in enumerate(self.packets.facts[: max(0, packets)], 1):
            if facts.pts not in ranks:
                break
            highest = max(highest, ranks[facts.pts])
            if highest == count - 1:
                closed = count
        return closed

    def _check(self) -> None:
        if self._trouble is not None:
            raise self._trouble

    def _keep_safe(self) -> None:
        """The thread's main function."""
        due = time.monotonic() + SYNC_SECONDS
        while not self._ended.wait(_LOOK):
            try:
                self._watch_disk()
                if time.monotonic() >= due:
                    self._reserve()
                    self._sync()
                    due = time.monotonic() + SYNC_SECONDS
            except OSError as error:
                self._trouble = OutputError(f"cannot write to {self._folder}: {reason(error)}")
                self._trouble.__cause__ = error
                return

    def _watch_disk(self) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < LEAST_FREE:
            self._trouble = OutputError(
                f"the disk is full: {free >> 20} MB are left for {self._folder};"
                " free some space, then use --resume"
            )
            self._trouble.__cause__ = OSError(
                errno.ENOSPC, "No space left on device"
            )  # as the system would say

    def _reserve(self) -> None:
        """Reserve space for closing the file on a full disk."""
        path = self._folder / _RESERVE
        if path.exists() or not hasattr(os, "posix_fallocate"):
            return
        with contextlib.suppress(OSError), path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _RESERVE_BYTES)

    def _sync(self) -> None:
        """Sync everything so far to the disk, then remove files that are no longer needed."""
        closed, safe = self._closed, self._safe
        with self._lock:
            spooled = self._spool.unsynced()
        for path in (self.frames.path, *self.packets.unsynced(), *spooled):
            sync(path)
        if safe and self._file is not None:
            sync(self._file)
        sync_folder(self._folder)
        with self._lock:
            self._spool.forget(closed)
        if self._superseded is not None and safe >= self._superseded[1]:
            self._superseded[0].unlink(missing_ok=True)
            self._superseded = None
        if self._superseded is None:
            self.packets.forget(safe)
