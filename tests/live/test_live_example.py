"""The example does what it says."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import av
import pytest
from clips import make_clip
from places import REPOSITORY


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "in.mkv", width=64, height=48, frames=100)
    monkeypatch.setattr(sys, "argv", ["live.py", str(clip), str(tmp_path / "out.mkv"), "1"])
    runpy.run_path(str(REPOSITORY / "examples" / "live.py"), run_name="__main__")
    assert "ms old" in capsys.readouterr().out
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert next(container.decode(video=0)).width == 128
