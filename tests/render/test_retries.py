"""Failures in mid-run: tried once more from the last safe frame, then a clear stop with everything kept."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import make_clip, read_frames

import paragon_stream
from paragon_stream.errors import EngineError, InputError, OutputError, ParagonError
from paragon_stream.media.decode.decoder import Decoder
from paragon_stream.media.output.writer import VideoWriter
from paragon_stream.render import run as run_module
from paragon_stream.upscaler import Upscaler

FRAMES = 40
WISH: dict[str, Any] = {
    "codec": "ffv1",
    "variant": "realtime",
    "precision": "fp32",
    "threads": 1,
    "encoder_options": {"g": "5"},
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("retries") / "in.mkv"
    return make_clip(path, width=64, height=48, frames=FRAMES, audio="aac")


@pytest.fixture(scope="module")
def whole(clip: Path) -> Path:
    paragon_stream.upscale(clip, clip.with_name("whole.mkv"), **WISH)
    return clip.with_name("whole.mkv")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "PAUSE", 0.0)


def fail(
    monkeypatch: pytest.MonkeyPatch, kind: type, name: str, error: Exception, calls: Callable[[int], bool]
) -> None:
    """Let the method raise `error` in those calls."""
    method, count = getattr(kind, name), itertools.count()

    def failing(self: Any, *arguments: Any) -> Any:
        if calls(next(count)):
            raise error
        return method(self, *arguments)

    monkeypatch.setattr(kind, name, failing)


class LateFailure:
    """A completion that fails when it is waited for, as those of GPUs do."""

    def wait(self) -> None:
        raise EngineError("the device is lost")


def lose_device(monkeypatch: pytest.MonkeyPatch, calls: Callable[[int], bool]) -> None:
    run, count = Upscaler.run, itertools.count()

    def running(self: Any, *arguments: Any) -> Any:
        completion = run(self, *arguments)
        if not calls(next(count)):
            return completion
        completion.wait()
        return LateFailure()

    monkeypatch.setattr(Upscaler, "run", running)


def input_error() -> InputError:
    error = InputError("reading failed")
    error.__cause__ = OSError(errno.EIO, os.strerror(errno.EIO))
    return error


FAULTS: dict[str, tuple[Callable[[pytest.MonkeyPatch, Callable[[int], bool]], None], str]] = {
    "engine": (
        lambda patch, calls: fail(patch, Upscaler, "run", EngineError("no memory"), calls),
        "no memory",
    ),
    "device": (lose_device, "the device is lost"),
    "encoder": (
        lambda patch, calls: fail(
            patch, VideoWriter, "_encode", av.error.ExternalError(0x20545845, "boo"), calls
        ),
        "ffv1 at .* s: boo",
    ),
    "decoder": (lambda patch, calls: fail(patch, Decoder, "_decode", input_error(), calls), "reading failed"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_fails_once_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, clip: Path, whole: Path, tmp_path: Path, what: str
) -> None:
    """Every picture is that of a render without the failure."""
    out, said = tmp_path / "out.mkv", list[str]()
    FAULTS[what][0](monkeypatch, lambda call: call == 30)
    report = paragon_stream.upscale(clip, out, on_warning=said.append, **WISH)
    assert len(said) == 1 and "trying once more, after" in said[0] and report.warnings == tuple(said)
    assert report.frames_out == FRAMES and report.resumed_at > 0
    for (pts, planes), (time, wanted) in zip(read_frames(out), read_frames(whole), strict=True):
        assert pts == time and all(map(np.array_equal, planes, wanted))
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


@pytest.mark.parametrize("what", FAULTS)
def test_what_fails_again_stops_the_render(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path, what: str
) -> None:
    out, said = tmp_path / "out.mkv", list[str]()
    inject, words = FAULTS[what]
    with monkeypatch.context() as patch:
        inject(patch, lambda call: call >= 30)
        with pytest.raises(ParagonError, match=words):
            paragon_stream.upscale(clip, out, on_warning=said.append, **WISH)
    assert sum("trying once more" in text for text in said) == 1
    assert sum("--resume continues it" in text for text in said) == 1
    assert not out.exists()
    assert paragon_stream.upscale(clip, out, resume=True, **WISH).resumed_at > 10
    assert len(read_frames(out)) == FRAMES


def test_failures_far_apart_are_each_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clip, said = make_clip(tmp_path / "in.mkv", width=64, height=48, frames=300), list[str]()
    FAULTS["engine"][0](monkeypatch, lambda call: call in (60, 200))
    report = paragon_stream.upscale(clip, tmp_path / "out.mkv", on_warning=said.append, **WISH)
    assert len(said) == 2 and report.frames_out == 300


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS])
def test_what_would_fail_the_same_way_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path, error: int
) -> None:
    said: list[str] = []
    fail(monkeypatch, VideoWriter, "_encode", OSError(error, os.strerror(error)), lambda call: call == 30)
    with pytest.raises(OutputError, match=r"the disk is full|read-only"):
        paragon_stream.upscale(clip, tmp_path / "out.mkv", on_warning=said.append, **WISH)
    assert not any("trying once more" in text for text in said)


def test_pipes_have_nothing_to_go_on_with(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path
) -> None:
    FAULTS["engine"][0](monkeypatch, lambda call: call == 30)
    with pytest.raises(EngineError, match="no memory"):
        paragon_stream.upscale(clip, tmp_path / "out.y4m", variant="realtime")


# ------------------------------------------------------------------------------- the source changes


def during(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Call `do` when the 20th frame is written."""
    write, count = VideoWriter.write, itertools.count()

    def writing(self: VideoWriter, planes: Any, timing: Any) -> None:
        if next(count) == 20:
            do()
        write(self, planes, timing)

    monkeypatch.setattr(VideoWriter, "write", writing)


def test_a_source_that_is_replaced_during_the_render(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path
) -> None:
    """The open file is read to its end; the result is that of one file, and a warning says of which."""
    source, other, out, said = tmp_path / "in.mkv", tmp_path / "other.mkv", tmp_path / "out.mkv", list[str]()
    source.write_bytes(clip.read_bytes())
    make_clip(other, width=64, height=48, frames=12)
    during(monkeypatch, lambda: other.replace(source))
    paragon_stream.upscale(source, out, on_warning=said.append, **WISH)
    assert (
        len(said) == 1 and "was replaced during the render: the result is that of the earlier file" in said[0]
    )
    assert len(read_frames(out)) == FRAMES


def test_a_source_that_is_overwritten_during_the_render(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.mkv", tmp_path / "out.mkv"
    source.write_bytes(clip.read_bytes())

    def overwrite() -> None:
        with source.open("r+b") as file:
            file.seek(-2000, os.SEEK_END)
            file.write(bytes(500))
        os.utime(source, ns=(1, 1))

    during(monkeypatch, overwrite)
    with pytest.raises(InputError, match="was changed during the render"):
        paragon_stream.upscale(source, out, **WISH)
    assert not out.exists()


def test_a_source_that_is_touched_or_removed_is_the_same(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.mkv", tmp_path / "out.mkv"
    for number, change in enumerate((lambda: os.utime(source, ns=(1, 1)), source.unlink)):
        source.write_bytes(clip.read_bytes())
        with monkeypatch.context() as patch:
            during(patch, change)
            report = paragon_stream.upscale(source, out, overwrite=number > 0, **WISH)
        assert report.warnings == () and report.frames_out == FRAMES


def test_too_little_room_is_said_before(monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path) -> None:
    usage = run_module.space_warnings.__globals__["shutil"].disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=3_000_000))
    said: list[str] = []
    paragon_stream.upscale(
        clip, tmp_path / "out.mkv", on_warning=said.append, codec="ffv1", engine="null", to="720p"
    )
    assert "the output may not fit: it needs about" in said[0] and "and 3.0 MB are free" in said[0]
