"""The CPU time and memory of this process."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from pathlib import Path


def cpu_seconds() -> float:
    """CPU time of all threads, user and system, in seconds."""
    return time.process_time()


class Usage:
    """Wall and CPU time since this object was created."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()

    @property
    def wall_seconds(self) -> float:
        return time.perf_counter() - self._wall

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all threads, user and system."""
        return cpu_seconds() - self._cpu


class SessionUsage(Usage):
    """`Usage` of a session that runs beside other work of the same program, such as a window's event loop.

    The CPU time of Python threads that existed before this object, other than the one that creates it, is
    not counted: such threads are the caller's. That is known on Linux for threads that still exist when the
    time is read. Elsewhere the time is that of the whole process.
    """

    def __init__(self) -> None:
        super().__init__()
        own = threading.get_native_id()
        threads = {thread.native_id for thread in threading.enumerate()} - {own, None}
        self._others = {thread: _thread_seconds(thread) for thread in threads if thread is not None}

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the session's threads, user and system."""
        others = (max(0.0, _thread_seconds(thread) - before) for thread, before in self._others.items())
        return max(0.0, super().cpu_seconds - sum(others))


def _thread_seconds(native_id: int) -> float:
    """User and system time of a thread (fields 14 and 15 of `stat` in proc(5)); 0 if it is unknown."""
    try:
        status = Path(f"/proc/self/task/{native_id}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    fields = status.rpartition(")")[2].split()  # from the third on; the second, a name, may contain spaces
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_rss() -> int:
    """Largest resident set so far, in bytes."""
    if sys.platform == "win32":
        return _windows_peak_working_set()
    if sys.platform == "linux" and (peak := _linux_high_water_mark()):
        return peak
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def _linux_high_water_mark() -> int:
    """VmHWM of proc(5); 0 if there is none. `getrusage` also counts the memory of the process before `exec`,
    so a small program started by a large one would seem as large."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def _windows_peak_working_set() -> int:
    """`PeakWorkingSetSize` of psapi's PROCESS_MEMORY_COUNTERS."""
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = (
            ("cb", wintypes.DWORD),
            ("page_fault_count", wintypes.DWORD),
            ("peak_working_set_size", ctypes.c_size_t),
            ("rest", ctypes.c_size_t * 7),
        )

    counters = Counters(cb=ctypes.sizeof(Counters))
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    kernel.K32GetProcessMemoryInfo(wintypes.HANDLE(-1), ctypes.byref(counters), counters.cb)
    return int(counters.peak_working_set_size)
