"""Two hundred renders in one process: no descriptor, no thread and no memory is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import PROGRAMS, PYTHONPATH
from programs.many_renders import left_behind

MOST_GROWTH = 2 << 20
"""Bytes in 150 renders: less than a frame of 192×128 for each of them. Caches grow by a fifth of it."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs /proc"),
]


def test_two_hundred_renders(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / "many_renders.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": PYTHONPATH, "MALLOC_ARENA_MAX": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    left = json.loads(done.stdout)
    assert left["descriptors"] <= 0 and left["threads"] <= 0 and left["bytes"] < MOST_GROWTH, left


def test_leaks_are_seen(tmp_path: Path) -> None:
    kept: list[Any] = []
    arrays = left_behind(lambda number: kept.append(np.ones(1_000_000, np.uint8)), 40, 10)
    assert arrays["bytes"] > MOST_GROWTH
    files = left_behind(lambda number: kept.append((tmp_path / str(number)).open("wb")), 40, 10)
    assert files["descriptors"] == 29
    for file in kept[40:]:
        file.close()
