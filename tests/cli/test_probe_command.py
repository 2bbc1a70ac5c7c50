"""The output of `probe`."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import make_clip

from paragon_stream.cli.main import run

MASTER = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


def test_how_it_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = make_clip(tmp_path / "plain.mp4", frames=3)
    turned = make_clip(tmp_path / "turned.mp4", frames=3, rotation=90)
    bright = make_clip(
        tmp_path / "hdr.mkv",
        frames=3,
        codec="libx265",
        pix_fmt="yuv420p10le",
        options={"preset": "ultrafast", "x265-params": f"log-level=none:{MASTER}:max-cll=1000,400"},
    )
    assert run(["probe", str(plain)]) == 0
    said = capsys.readouterr().out
    assert "turned" not in said and "HDR10" not in said
    assert run(["probe", str(turned)]) == 0
    assert "  shown rotated by 270 degrees clockwise\n" in capsys.readouterr().out
    assert run(["probe", str(bright)]) == 0
    assert "  HDR10: MaxCLL 1000, MaxFALL 400, mastering display G(13250," in capsys.readouterr().out
