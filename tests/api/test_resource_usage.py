"""What the process has used."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from paragon_stream import resource_usage


def test_a_process_is_as_large_as_itself_not_as_what_started_it() -> None:
    large = np.ones(40_000_000)  # 320 MB, touched
    child = "from paragon_stream import resource_usage; print(resource_usage.peak_rss())"
    answer = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert 5e6 < int(answer.stdout) < 2e8 < large.nbytes <= resource_usage.peak_rss()
