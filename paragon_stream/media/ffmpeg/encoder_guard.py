"""Guards against what encoder libraries do to this process when an encoder is opened.

SVT-AV1 writes its settings to standard error, unless a variable forbids it. When run by root, it makes the
thread that opens the encoder and those it starts real-time (SCHED_FIFO 99): they then starve every other
process on the machine, and nice values have no effect.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def guarded_opening() -> Iterator[None]:
    """For the opening of an encoder: SVT-AV1 writes only errors to standard error, and on Linux every thread
    of this process that becomes real-time in the block gets the caller's scheduling again."""
    os.environ.setdefault("SVT_LOG", "1")
    if sys.platform != "linux":
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if policy not in (os.SCHED_FIFO, os.SCHED_RR):
            for task in Path("/proc/self/task").iterdir():
                with suppress(OSError):  # a thread may end meanwhile
                    if os.sched_getscheduler(int(task.name)) in (os.SCHED_FIFO, os.SCHED_RR):
                        os.sched_setscheduler(int(task.name), policy, priority)
