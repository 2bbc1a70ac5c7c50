"""Renders that fail: the work folder, the lock, full disks, damaged packets."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import av
import pytest
from clips import make_clip
from places import IMPORTS
from rendering import decodable, decoded_pts, fast, frames_of, render, sink_for, tracks

from paragon_stream.errors import OutputError, UsageError
from paragon_stream.media.encode.workdir import WorkDir
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.output.plan import plan_output
from paragon_stream.media.sink import open_sink

FRAMES = 60


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("source") / "in.mkv", frames=FRAMES, audio="aac")


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "webm", "ts", "y4m"])
@pytest.mark.parametrize("stop", [0, 1, FRAMES // 2, FRAMES], ids=["none", "first", "middle", "last"])
def test_abort(clip: Path, tmp_path: Path, suffix: str, stop: int) -> None:
    out = tmp_path / f"out.{suffix}"
    work = tmp_path / f"out.{suffix}.paragon"
    with sink_for(clip, out) as (info, plan, sink):
        assert work.is_dir()
        for planes, timing in frames_of(info, plan.target):
            if sink_count(sink) == stop:
                break
            sink.write(planes, timing)
            sink.frames_given = sink_count(sink) + 1  # type: ignore[attr-defined]
        sink.abort()
        sink.abort()  # twice does no harm
    assert not out.exists()
    kept = work / out.name if work.exists() else None
    if kept is None:
        assert list(tmp_path.iterdir()) == []
    else:
        assert [path for path in work.iterdir() if path.suffix == kept.suffix] == [kept]
        assert any(str(kept) in warning for warning in sink.warnings)
        assert 0 < len(decoded_pts(kept)) <= stop  # it plays
    assert kept is None or stop > 0
    if suffix in ("mkv", "mp4", "ts") and stop == FRAMES // 2:
        assert kept is not None


def sink_count(sink: object) -> int:
    return getattr(sink, "frames_given", 0)


def test_leaving_the_block_without_finish_aborts(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), sink_for(clip, tmp_path / "out.mkv"):
        raise RuntimeError("the engine failed")
    assert list(tmp_path.iterdir()) == []


def test_existing_output_is_replaced_at_the_end_only(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    out.write_bytes(b"old")
    with sink_for(clip, out, overwrite=True) as (info, plan, sink):
        for planes, timing in frames_of(info, plan.target):
            sink.write(planes, timing)
            assert out.read_bytes() == b"old"
        sink.finish()
    assert len(decoded_pts(out)) == FRAMES and sink.bytes_written == out.stat().st_size
    assert [p.name for p in tmp_path.iterdir()] == ["out.mkv"]


def test_a_file_that_appears_meanwhile_is_not_overwritten(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    with sink_for(clip, out) as (info, plan, sink):
        for planes, timing in frames_of(info, plan.target):
            sink.write(planes, timing)
        out.write_bytes(b"somebody else's")
        with pytest.raises(OutputError, match="appeared"):
            sink.finish()
    assert out.read_bytes() == b"somebody else's"
    assert len(decoded_pts(tmp_path / "out.mkv.paragon" / "out.mkv")) == FRAMES


def test_two_runs_on_one_output(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    with sink_for(clip, out), pytest.raises(OutputError, match="another run is writing"), sink_for(clip, out):
        pass
    assert list(tmp_path.iterdir()) == []
    render(clip, out, limit=3)
    assert out.exists()


def test_leftovers_of_a_killed_run_are_replaced_with_a_notice(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    work = tmp_path / "out.mkv.paragon"
    work.mkdir()
    (work / "lock").write_bytes(b"")
    (work / "out.mkv").write_bytes(b"half a film")
    (work / "notes.txt").write_text("mine")
    done = render(clip, out, limit=3)
    assert any("left behind by an unfinished run" in w for w in done.warnings)
    assert [p.name for p in work.iterdir()] == ["notes.txt"]  # not ours to remove


def test_the_unfinished_file_as_source_of_its_own_output(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    work = tmp_path / "out.mkv.paragon"
    work.mkdir()
    kept = work / "out.mkv"
    kept.write_bytes(clip.read_bytes())
    with pytest.raises(UsageError, match="replace the input"):
        plan_output(probe(kept), out, 2)
    assert kept.read_bytes() == clip.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
def test_a_killed_process_leaves_a_file_that_plays(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=300, audio="aac")
    out = tmp_path / f"out.{suffix}"
    script = f"""
        import os, signal, sys
        sys.path[:0] = {IMPORTS!r}
        from pathlib import Path
        from rendering import frames_of, sink_for
        source, out = Path({str(source)!r}), Path({str(out)!r})
        with sink_for(source, out, encoder_options={{"g": "25"}}) as (info, plan, sink):
            for planes, timing in frames_of(info, plan.target):
                sink.write(planes, timing)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=120)
    assert ended.returncode == -signal.SIGKILL and not out.exists()
    left = tmp_path / f"{out.name}.paragon" / out.name
    assert len(decoded_pts(left)) >= 100
    render(source, out, limit=3)  # the lock died with the process
    assert out.exists() and not left.exists()


@pytest.mark.skipif(os.name == "nt", reason="resource limits")
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts", "y4m"])
@pytest.mark.parametrize("limit", [2_000, 40_000])
def test_no_room_for_the_file(clip: Path, tmp_path: Path, suffix: str, limit: int) -> None:
    """A limit on the file's size stands for a full disk: writes fail in the same way, at some point."""
    out = tmp_path / f"out.{suffix}"
    script = f"""
        import resource, signal, sys
        sys.path[:0] = {IMPORTS!r}
        from pathlib import Path
        from rendering import render
        from paragon_stream.errors import OutputError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            render(Path({str(clip)!r}), Path({str(out)!r}))
        except OutputError as error:
            print(error)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], timeout=120, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert str(out) in ended.stdout and "\n" not in ended.stdout.strip() and "Traceback" not in ended.stderr
    assert not out.exists()


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small disk")
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_full_disk(clip: Path, tmp_path: Path, suffix: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(disk)])
    if mounted.returncode:
        pytest.skip("may not mount")
    try:
        with pytest.raises(OutputError, match="the disk is full") as caught:
            render(clip, disk / f"out.{suffix}", encoder_options={"crf": "5"})
        assert str(disk) in str(caught.value)
        assert not (disk / f"out.{suffix}").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_read_only_folder(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    root = os.geteuid() == 0  # who may write into any folder, unless the disk itself is read-only
    if root and subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]).returncode:
        pytest.skip("root without the right to mount")
    try:
        with pytest.raises(OutputError, match="read-only"):
            plan_output(probe(clip), folder / "out.mkv", 2)
        with pytest.raises(OutputError, match=r"out\.mkv"):
            WorkDir(folder / "out.mkv", overwrite=False)
    finally:
        if root:
            subprocess.run(["umount", str(folder)], check=True)


def test_damaged_sound_costs_no_more_than_itself(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "in.ts", frames=75, audio="aac")
    broken = tmp_path / "broken.ts"
    data, chance = whole.read_bytes(), random.Random(3)
    cells = [data[i : i + 188] for i in range(0, len(data), 188)]
    broken.write_bytes(b"".join(c for i, c in enumerate(cells) if i < 20 or chance.random() > 0.08))
    for suffix in ("mkv", "mp4"):
        done = render(broken, tmp_path / f"out.{suffix}")
        assert any("could not be written" in w for w in done.warnings)
        video, audio = tracks(tmp_path / f"out.{suffix}")
        assert len(video.payloads) == len(done.timings)
        assert len(audio.payloads) > 60
        with av.open(str(tmp_path / f"out.{suffix}")) as file:
            assert sum(frame.samples for frame in decodable(file, file.streams.audio[0])) > 60 * 1024


def test_promote_reports_what_fails(tmp_path: Path) -> None:
    work = WorkDir(tmp_path / "a.mkv", overwrite=False)
    with pytest.raises(OutputError, match=r"cannot write .*a\.mkv is gone"):
        work.promote()  # nothing was written
    work.discard()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_is_the_last_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that begins between the two would lose its files."""
    work = WorkDir(tmp_path / "out.mkv", overwrite=False, identity={"a": "b"})
    work.file.write_bytes(b"film")
    release, beside = WorkDir._release, list[list[str]]()

    def noting(self: WorkDir) -> None:
        if self.folder.exists():
            beside.append([path.name for path in self.folder.iterdir()])
        release(self)

    monkeypatch.setattr(WorkDir, "_release", noting)
    assert work.promote() == 4
    assert beside == [["lock"]] and [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


def test_many_runs_leave_no_files_open(clip: Path, tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("counts /proc/self/fd")
    info = probe(clip)
    plan = plan_output(info, tmp_path / "o.mkv", 1, fast(info, tmp_path / "o.mkv"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with open_sink(plan, info):
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows does not remove open files")
def test_an_output_that_is_removed_meanwhile_is_a_sentence(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with sink_for(clip, folder / "out.mkv") as (info, plan, sink):
        for planes, timing in frames_of(info, plan.target):
            sink.write(planes, timing)
        shutil.rmtree(folder)
        with pytest.raises(OutputError, match=r"cannot write .* is gone"):
            sink.finish()


@pytest.mark.parametrize("suffix", ["mkv", "y4m"])
def test_a_last_step_that_fails_leaves_no_lock(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    out = tmp_path / f"out.{suffix}"

    def full(self: WorkDir) -> int:
        raise OutputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(WorkDir, "promote", full)
        with sink_for(clip, out) as (info, plan, sink):
            for planes, timing in frames_of(info, plan.target):
                sink.write(planes, timing)
            with pytest.raises(OutputError, match="disk is full"):
                sink.finish()
            sink.abort()
            assert any("kept what was written" in warning for warning in sink.warnings)
    with sink_for(clip, out) as (info, plan, sink):  # another run may write at once
        for planes, timing in frames_of(info, plan.target):
            sink.write(planes, timing)
        sink.finish()
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_a_y4m_file_that_cannot_be_opened_leaves_no_lock(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> bytes:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("paragon_stream.media.encode.y4m.header", full)
        with pytest.raises(OutputError, match="disk is full"), sink_for(clip, tmp_path / "out.y4m"):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("dangling", [True, False], ids=["dangling", "to a file"])
def test_a_link_stays_and_what_it_leads_to_is_written(clip: Path, tmp_path: Path, dangling: bool) -> None:
    real, link = tmp_path / "elsewhere" / "real.mkv", tmp_path / "out.mkv"
    real.parent.mkdir()
    if not dangling:
        real.write_bytes(b"old")
    link.symlink_to(real)
    render(clip, link, overwrite=not dangling)
    assert link.is_symlink() and not real.is_symlink()
    assert probe(real).video.frames and sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere", "out.mkv"]
    with pytest.raises(OutputError, match="exists already"):
        plan_output(probe(clip), link, 1)
