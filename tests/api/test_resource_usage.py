"""CPU time and memory of the process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from paragon_stream import resource_usage


def test_a_process_is_as_large_as_itself_not_as_what_started_it() -> None:
    large = np.ones(40_000_000)  # 320 MB, touched
    child = "from paragon_stream import resource_usage; print(resource_usage.peak_rss())"
    answer = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert 5e6 < int(answer.stdout) < 2e8 < large.nbytes <= resource_usage.peak_rss()


class Busy(threading.Thread):
    """A thread that computes until it has used half a second of CPU time, then waits for `end`."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.begin, self.done, self.end = threading.Event(), threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        self.begin.wait()
        while time.thread_time() < 0.5:
            pass
        self.done.set()
        self.end.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="times of threads are Linux's")
def test_a_session_counts_its_own_threads_only() -> None:
    other = Busy()
    session, process = resource_usage.SessionUsage(), resource_usage.Usage()
    other.begin.set()
    assert other.done.wait(60)
    assert process.cpu_seconds > 0.45
    assert session.cpu_seconds < 0.3
    own = Busy()
    own.begin.set()
    assert own.done.wait(60)
    assert session.cpu_seconds > 0.4
    other.end.set()
    own.end.set()
