"""The example does what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av

REPOSITORY = Path(__file__).parents[2]


def test_the_example_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, REPOSITORY / "examples" / "live.py",
         REPOSITORY / "examples" / "sample.mkv", tmp_path / "out.mkv", "1"],
        capture_output=True, text=True, timeout=100, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the duration is over" in done.stdout
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert next(container.decode(video=0)).width == 960
