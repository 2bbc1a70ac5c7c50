"""The window: what a player gets, and how a session ends with it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from live_material import numbers
from places import REPOSITORY, SAMPLE

import paragon_stream
from paragon_stream.errors import OutputError
from paragon_stream.frame import ColorRange, ColorSpec, FrameFormat, Matrix, pixel_format
from paragon_stream.media.live.player import player_arguments

BUILT = REPOSITORY / "build" / "mpv" / "bin" / "mpv"

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.name == "nt", reason="the players of these tests are shell scripts"),
]


def player(folder: Path, script: str) -> Path:
    """A program that is a shell script."""
    path = folder / "player"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_player_gets_the_frames_at_once_with_their_colours(tmp_path: Path) -> None:
    program = player(tmp_path, f'printf "%s\\n" "$@" > "{tmp_path}/arguments"; cat > "{tmp_path}/shown.nut"')
    report = paragon_stream.live(SAMPLE, engine="null", duration=1, player=str(program))
    assert len(numbers(tmp_path / "shown.nut")) == report.frames_out > 0
    assert (report.destination, report.codec, report.sound) == ("the window", "rawvideo", "aac")
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert "--profile=low-latency" in arguments
    assert "--untimed" not in arguments  # there is sound to keep step with
    assert any(word.startswith("--vf=format=colormatrix=bt.709:colorlevels=limited") for word in arguments)
    assert arguments[-1].startswith("fd://")


def test_closing_the_window_ends_the_session(tmp_path: Path) -> None:
    program = player(tmp_path, "head -c 300000 > /dev/null; exit 0")
    report = paragon_stream.live(SAMPLE, engine="null", player=str(program), paced=True)
    assert report.ended == "the window was closed"
    assert report.failure is None
    assert report.frames_out < 100


def test_a_player_that_fails_says_why(tmp_path: Path) -> None:
    program = player(tmp_path, "echo cannot open the display >&2; exit 1")
    with pytest.raises(OutputError, match="player failed with exit code 1: cannot open the display"):
        paragon_stream.live(SAMPLE, engine="null", player=str(program))


def test_a_player_that_crashes_is_no_closed_window(tmp_path: Path) -> None:
    program = player(tmp_path, "kill -SEGV $$")
    with pytest.raises(OutputError, match=r"player crashed \(Segmentation fault\)"):
        paragon_stream.live(SAMPLE, engine="null", player=str(program))


def test_a_player_that_closes_its_standard_input_gets_the_frames(tmp_path: Path) -> None:
    """As mpv does on machines without a GPU."""
    script = 'for word in "$@"; do name=$word; done; exec <&-; cat "/dev/fd/${name#fd://}"'
    script += f' > "{tmp_path}/shown.nut"'
    report = paragon_stream.live(SAMPLE, engine="null", duration=1, player=str(player(tmp_path, script)))
    assert len(numbers(tmp_path / "shown.nut")) == report.frames_out > 0


def test_a_player_that_takes_nothing_blocks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paragon_stream.livestream.meter._LONG_GRACE", 0.2)
    monkeypatch.setattr("paragon_stream.media.live.player._CLOSE_SECONDS", 0.2)
    program = player(tmp_path, "exec sleep 1000")
    report = paragon_stream.live(SAMPLE, engine="null", duration=1, player=str(program))
    assert report.frames_in >= 15
    assert report.frames_out < report.frames_in
    assert report.ended == "the window did not take the last frames in time"


@pytest.mark.parametrize(
    ("name", "color", "words"),
    [
        ("yuv420p", ColorSpec(matrix=Matrix.SMPTE170M, range=ColorRange.FULL), "bt.601:colorlevels=full"),
        ("yuv420p10le", ColorSpec(matrix=Matrix.BT2020_NCL, transfer=16), "bt.2020-ncl"),
        ("bgr0", ColorSpec(matrix=Matrix.RGB, range=ColorRange.FULL), ""),
    ],
)
def test_colours_in_the_players_words(name: str, color: ColorSpec, words: str) -> None:
    format = FrameFormat(width=64, height=48, pixel_format=pixel_format(name), color=color)
    filters = [word for word in player_arguments(format, title="", sound=False) if word.startswith("--vf")]
    assert words in "".join(filters)
    assert bool(filters) == bool(words)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ((0, 1, 0, -1, 0, 0, 0, 0, 1), ["--video-rotate=90"]),  # right goes down: a quarter clockwise
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), ["--video-rotate=180"]),
        ((0, -1, 0, 1, 0, 0, 0, 0, 1), ["--video-rotate=270"]),
        ((-1, 0, 0, 0, 1, 0, 0, 0, 1), ["--video-rotate=0", "hflip"]),
        ((1, 0, 0, 0, -1, 0, 0, 0, 1), ["--video-rotate=180", "hflip"]),  # upside down
        (None, []),
    ],
)
def test_turned_pictures_are_shown_upright(matrix: tuple[int, ...] | None, words: list[str]) -> None:
    format = FrameFormat(width=64, height=48, pixel_format=pixel_format("yuv420p"), color=ColorSpec())
    arguments = player_arguments(format, title="", sound=False, matrix=matrix)
    found = [word for word in arguments if word.startswith("--video-rotate")]
    found += ["hflip" for word in arguments if word.startswith("--vf=") and word.endswith(",hflip")]
    assert found == words


@pytest.mark.skipif(
    not (BUILT.exists() or shutil.which("mpv")), reason="no mpv: install it, or scripts/build_mpv build/mpv"
)
def test_a_real_mpv_plays_it_to_the_end(tmp_path: Path) -> None:
    mpv = BUILT if BUILT.exists() else shutil.which("mpv")
    report_file = tmp_path / "mpv.log"
    program = player(
        tmp_path, f'exec "{mpv}" --no-config --vo=null --ao=null --log-file="{report_file}" "$@"'
    )
    report = paragon_stream.live(SAMPLE, engine="null", duration=1, player=str(program))
    log = report_file.read_text(errors="replace")
    assert report.ended == "the duration is over"
    assert "960x540 yuv420p" in log
    assert "End of file" in log or "EOF" in log or "finished playback" in log.lower(), log[-2000:]
