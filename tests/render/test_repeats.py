"""Frames that are the one before once more: computed once, written as often as they are shown."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import read_frames, scene

import paragon_stream
from paragon_stream.errors import UsageError

HELD = 3
FRAMES = 48


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An animation on threes: every drawing is shown for three frames, and the encoder skips the repeats."""
    path = tmp_path_factory.mktemp("repeats") / "in.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=24, options={"crf": "28", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(FRAMES):
            planes = scene(number // HELD, 64, 48)
            frame = av.VideoFrame(64, 48, "yuv420p")
            for plane, values in zip(frame.planes, planes, strict=True):
                rows = np.zeros((plane.height, plane.line_size), np.uint8)
                rows[:, : values.shape[1]] = values
                plane.update(rows.tobytes())
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def distinct(path: Path) -> int:
    """The number of decoded frames that differ from the previous one."""
    frames = [planes for _, planes in read_frames(path)]
    pairs = pairwise(frames)
    return 1 + sum(not all(map(np.array_equal, a, b)) for a, b in pairs)


@pytest.mark.parametrize("chosen", [{}, {"weights": "fidelity"}, {"strength": 0.4}], ids=str)
def test_the_result_is_the_same(clip: Path, tmp_path: Path, chosen: dict[str, Any]) -> None:
    """Weights that follow the stream's quantisers compute a held drawing again three times a second."""
    same, all_of_them = tmp_path / "same.mkv", tmp_path / "all.mkv"
    chosen = {"precision": "fp32", "threads": 1, "codec": "ffv1", **chosen}
    reused = paragon_stream.upscale(clip, same, **chosen)
    computed = paragon_stream.upscale(clip, all_of_them, reuse_duplicates="off", **chosen)
    repeats = FRAMES - distinct(clip)
    assert repeats >= FRAMES // 3
    assert computed.duplicates == 0 and reused.frames_out == FRAMES
    assert repeats // 2 < reused.duplicates <= repeats
    if "weights" in chosen or "strength" in chosen:
        assert reused.duplicates == repeats
    for (pts, planes), (time, wanted) in zip(read_frames(same), read_frames(all_of_them), strict=True):
        assert pts == time and all(map(np.array_equal, planes, wanted))


def test_the_video_mode_repeats_nothing(clip: Path, tmp_path: Path) -> None:
    """The input of a held drawing is still a blend with the drawing before it."""
    chosen: dict[str, Any] = {"precision": "fp32", "threads": 1, "codec": "ffv1", "temporal": "upstream"}
    assert paragon_stream.upscale(clip, tmp_path / "out.mkv", **chosen).duplicates == 0
    paragon_stream.upscale(clip, tmp_path / "all.mkv", reuse_duplicates="off", **chosen)
    found, wanted = (read_frames(tmp_path / name) for name in ("out.mkv", "all.mkv"))
    for (_, planes), (_, others) in zip(found, wanted, strict=True):
        assert all(map(np.array_equal, planes, others))


@pytest.mark.parametrize("name", ["out/%04d.png", "out.y4m"])
def test_other_sinks(clip: Path, tmp_path: Path, name: str) -> None:
    for how in ("exact", "off"):
        (tmp_path / how).mkdir()
        report = paragon_stream.upscale(clip, tmp_path / how / name, reuse_duplicates=how)
        assert (report.duplicates > 0) == (how == "exact")
    if name.endswith(".y4m"):
        assert (tmp_path / "exact" / name).read_bytes() == (tmp_path / "off" / name).read_bytes()
        return
    for path in (tmp_path / "exact" / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "off" / "out" / path.name).read_bytes()


def test_a_wrong_wish(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose exact or off"):
        paragon_stream.upscale(clip, tmp_path / "out.mkv", reuse_duplicates="near")
