"""Guards against libraries that make threads of this process real-time.

SVT-AV1, when run by root, makes the thread that opens the encoder and those it starts real-time (SCHED_FIFO
99): they then starve every other process on the machine, and nice values have no effect.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def ordinary_scheduling() -> Iterator[None]:
    """Reset every thread of this process that becomes real-time in the block to the caller's scheduling.

    Does nothing on systems other than Linux.
    """
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
