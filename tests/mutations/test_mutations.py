"""Flipped bits, holes, missing ends: an output or a sentence, never a hang, a crash or half a file."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from clips import make_clip
from mutants import mutate, render_all

SMALL = {"width": 64, "height": 48, "frames": 8}
CLIPS: dict[str, Callable[[Path], Path]] = {
    "h264.mkv": lambda p: make_clip(p, **SMALL, audio="libopus", subtitles="ass", chapters=2),
    "h264.mp4": lambda p: make_clip(p, **SMALL, audio="aac", container_options={"movflags": "faststart"}),
    "hevc10.mp4": lambda p: make_clip(p, **SMALL, codec="libx265", pix_fmt="yuv420p10le", cover=True),
    "mpeg2.ts": lambda p: make_clip(p, **SMALL, codec="mpeg2video", audio="mp2"),
    "h264.ts": lambda p: make_clip(p, **SMALL, audio="aac"),
    "mpeg1.mpg": lambda p: make_clip(p, **SMALL, codec="mpeg1video", audio="mp2"),
    "vp9.webm": lambda p: make_clip(p, **SMALL, codec="libvpx-vp9", audio="libopus"),
    "av1.mkv": lambda p: make_clip(p, **SMALL, codec="libsvtav1"),
    "mpeg4.avi": lambda p: make_clip(p, **SMALL, codec="mpeg4", audio="mp2"),
    "prores.mov": lambda p: make_clip(
        p, **SMALL, codec="prores_ks", pix_fmt="yuv422p10le", audio="pcm_s16le"
    ),
    "ffv1.mkv": lambda p: make_clip(p, **SMALL, codec="ffv1", pix_fmt="yuv444p10le", audio="flac"),
    "flv1.flv": lambda p: make_clip(p, **SMALL, codec="flv"),
    "mjpeg.avi": lambda p: make_clip(p, **SMALL, codec="mjpeg", pix_fmt="yuvj420p"),
    "mpeg2.mxf": lambda p: make_clip(p, **SMALL, codec="mpeg2video"),
}
"""Containers and codecs that differ in how they frame, index and code."""


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    return {name: make(folder / name).read_bytes() for name, make in CLIPS.items()}


def assert_all_end_well(originals: dict[str, bytes], seeds: range, folder: Path) -> None:
    names = list(originals)
    jobs = []
    for seed in seeds:
        name = names[seed // 6 % len(names)]  # every kind of damage to each file in turn
        source = folder / f"{seed}_{name}"
        source.write_bytes(mutate(originals[name], seed))
        jobs.append((source, folder / f"{source.stem}_out.mkv"))
    outcomes = render_all(jobs)
    wrong = []
    for source, out in jobs:
        outcome = outcomes[source]
        errors = [line for line in outcome.said.splitlines() if not line.startswith("warning: ")]
        if outcome.code == 0:
            fine = not errors and frames_in(out) > 0
        else:
            fine = outcome.code in (1, 2) and not out.exists() and len(errors) == 1
            fine = fine and errors[0].startswith("paragon-stream: ") and "internal error" not in errors[0]
        if not fine:
            wrong.append(f"{source.name}: {outcome.code}: {outcome.said}")
    assert wrong == []
    rendered = sum(outcome.code == 0 for outcome in outcomes.values())
    assert 0 < rendered < len(jobs)  # some damage is survived, some is not


def frames_in(path: Path) -> int:
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


def test_mutated_files(originals: dict[str, bytes], tmp_path: Path) -> None:
    """Two kinds of damage to each of the files."""
    assert_all_end_well(originals, range(0, 6 * len(CLIPS), 3), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("batch", range(5))
def test_five_hundred_mutated_files(batch: int, originals: dict[str, bytes], tmp_path: Path) -> None:
    """Others in every run. What fails is named by its seed: `mutate` makes it again."""
    first = 1000 + secrets.randbelow(10**9)
    assert_all_end_well(originals, range(first, first + 100), tmp_path)


@pytest.mark.parametrize(("program", "what"), [("import os; os.abort()", "crashed"), ("input()", "hung")])
def test_crashes_and_hangs_are_seen(
    program: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mutants

    script = tmp_path / "script.py"
    script.write_text(program.replace("input()", "import time; time.sleep(600)"))
    monkeypatch.setattr(mutants, "__file__", str(script))
    monkeypatch.setattr(mutants, "HANG", 3)
    outcomes = mutants.render_all([(tmp_path / "a", tmp_path / "b")])
    assert outcomes[tmp_path / "a"].code is None
    assert outcomes[tmp_path / "a"].said.startswith(what)
