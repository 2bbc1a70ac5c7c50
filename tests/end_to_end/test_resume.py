"""`--resume`: what an interrupted render has done is not done again, and nothing of the result differs."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import make_clip, packets, read_frames
from PIL import Image

import paragon_stream
from paragon_stream.cli.main import run
from paragon_stream.errors import InputError, OutputError, UsageError
from paragon_stream.media.images.picture import read_picture
from paragon_stream.media.images.sequence_writer import SequenceWriter
from paragon_stream.media.output.muxer import Muxer
from paragon_stream.media.output.writer import VideoWriter
from paragon_stream.media.safekeeping import journal

FRAMES = 90
LOSSLESS: dict[str, Any] = {"codec": "ffv1", "encoder_options": {"g": "5"}}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two times a second there is a key frame; sound, subtitles, chapters beside it."""
    path = tmp_path_factory.mktemp("resume") / "in.mkv"
    return make_clip(path, frames=FRAMES, audio="aac", subtitles="subrip", chapters=2)


def upscale(source: Path, out: Path, **options: Any) -> paragon_stream.Report:
    return paragon_stream.upscale(source, out, precision="fp32", threads=1, **options)


def kill_at(source: Path, out: Path, frame: int, **options: Any) -> None:
    """Render in a process that is killed when it has `frame` frames; some of them only in its memory."""
    script = f"""
        import os, signal
        import paragon_stream
        from paragon_stream.media.output.writer import VideoWriter
        written, write = [], VideoWriter.write
        def counting(self, planes, timing):
            if len(written) == {frame}:
                os.kill(os.getpid(), signal.SIGKILL)
            written.append(timing)
            write(self, planes, timing)
        VideoWriter.write = counting
        paragon_stream.upscale({str(source)!r}, {str(out)!r}, precision="fp32", threads=1, **{options!r})
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=120, cwd=Path.cwd())
    assert ended.returncode == -signal.SIGKILL and not out.exists()


def break_at(
    monkeypatch: pytest.MonkeyPatch, source: Path, out: Path, frame: int, **options: Any
) -> pytest.ExceptionInfo[BaseException]:
    """A render that fails after so many frames of its own; what it has is closed properly."""
    write, count = VideoWriter.write, itertools.count()

    def failing(self: VideoWriter, planes: Any, timing: Any) -> None:
        if next(count) == frame:
            raise OutputError("the power is gone")
        write(self, planes, timing)

    with monkeypatch.context() as patch:
        patch.setattr(VideoWriter, "write", failing)
        with pytest.raises(OutputError, match="power is gone") as caught:
            upscale(source, out, **options)
    return caught


def assert_same(found: Path, expected: Path) -> None:
    """The same pictures at the same times, and the same packets of everything else."""
    for (pts, planes), (time, wanted) in zip(read_frames(found), read_frames(expected), strict=True):
        assert pts == time
        for a, b in zip(planes, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
    assert_same_copied_streams(found, expected)


def assert_same_copied_streams(found: Path, expected: Path) -> None:
    with av.open(str(expected)) as file:
        others = [stream.index for stream in file.streams if stream.type != "video"]
        chapters = file.chapters()
    for index in others:
        assert packets(found, index) == packets(expected, index)
    with av.open(str(found)) as file:
        assert file.chapters() == chapters


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_killed_render_is_gone_on_with_to_the_bit(clip: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "out.mkv", tmp_path / "whole.mkv"
    kill_at(clip, out, 70, **LOSSLESS)
    report = upscale(clip, out, resume=True, **LOSSLESS)
    assert report.resumed_at == 70 and report.frames_out == FRAMES
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]
    upscale(clip, whole, **LOSSLESS)
    assert_same(out, whole)


def test_the_video_mode_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path
) -> None:
    """The frames that are not computed again are blended all the same; another mode is another render."""
    out, whole, plain = (tmp_path / f"{name}.mkv" for name in ("out", "whole", "plain"))
    break_at(monkeypatch, clip, out, 60, temporal="adaptive", **LOSSLESS)
    with pytest.raises(OutputError, match="different video mode"):
        upscale(clip, out, resume=True, **LOSSLESS)
    assert upscale(clip, out, resume=True, temporal="adaptive", **LOSSLESS).resumed_at > 0
    upscale(clip, whole, temporal="adaptive", **LOSSLESS)
    assert_same(out, whole)
    upscale(clip, plain, **LOSSLESS)
    last, other = read_frames(whole)[-1][1], read_frames(plain)[-1][1]
    assert any(np.any(a != b) for a, b in zip(last, other, strict=True))


def test_the_video_mode_behind_frames_that_were_kept(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path
) -> None:
    """Frames from the journal are not computed again, but the frame after them is blended with them."""
    out, whole = tmp_path / "out.mkv", tmp_path / "whole.mkv"
    chosen = {"temporal": "upstream", "encoder_options": {"qp": "0", "g": "12"}}
    monkeypatch.setattr(journal, "AT_RISK", -1.0)
    break_at(monkeypatch, clip, out, 40, **chosen)
    assert list((tmp_path / "out.mkv.paragon").glob("frame-*"))
    assert upscale(clip, out, resume=True, **chosen).resumed_at < 40
    upscale(clip, whole, **chosen)
    assert_same(out, whole)


CODECS = [
    ("mkv", "libx264", {"g": "12"}),
    ("mp4", "libx264", {"g": "12"}),
    ("mkv", "libx265", {"x265-params": "keyint=12:open-gop=1"}),
    ("mp4", "libx265", {"x265-params": "keyint=12:open-gop=1"}),
    ("webm", "libvpx-vp9", {"g": "12"}),
    ("mov", "prores_ks", {}),
    ("ts", "libx264", {"g": "12"}),
]


@pytest.mark.parametrize(("suffix", "codec", "options"), CODECS)
def test_codecs_with_their_reordering(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path, suffix: str, codec: str, options: dict
) -> None:
    """The second part comes from another encoder: the same pictures at the same times, to the eye."""
    chosen: dict[str, Any] = {"codec": codec, "encoder_options": options}
    if codec == "prores_ks":
        chosen["pix_fmt"] = "yuv422p10le"
    out, whole = tmp_path / f"out.{suffix}", tmp_path / f"whole.{suffix}"
    break_at(monkeypatch, clip, out, 70, **chosen)
    kept = read_frames(tmp_path / f"out.{suffix}.paragon" / f"out.{suffix}")
    report = upscale(clip, out, resume=True, **chosen)
    assert report.resumed_at >= 12  # x265 holds some forty back
    upscale(clip, whole, **chosen)
    found, expected = read_frames(out), read_frames(whole)
    assert [pts for pts, _ in found] == [pts for pts, _ in expected] and len(found) == FRAMES
    for number, ((_, planes), (_, wanted)) in enumerate(zip(found, expected, strict=True)):
        error = np.mean((planes[0].astype(float) - wanted[0]) ** 2)
        assert error < 25 * (16 if codec == "prores_ks" else 1), number
    # To the bit what was there; x264 itself differs now and then.
    # The last pictures of the unfinished file may be references of pictures that it has not: compare by time.
    before = dict(kept)
    for number, (pts, planes) in enumerate(found[: report.resumed_at]):
        assert pts not in before or all(map(np.array_equal, planes, before[pts])), number
    assert sum(pts in before for pts, _ in found[: report.resumed_at]) >= 12
    if suffix != "ts":  # whose sound is packed otherwise with the pictures
        assert_same_copied_streams(out, whole)
    with av.open(str(out)) as file:
        stamps = [packet.dts for packet in file.demux(video=0) if packet.dts is not None]
    assert all(a < b for a, b in itertools.pairwise(stamps))


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_second_ctrl_c_does_not_interrupt_the_clean_up(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path
) -> None:
    out, said = tmp_path / "out.mkv", list[str]()
    write, close, count = VideoWriter.write, Muxer.close_source, itertools.count()

    def interrupted(self: VideoWriter, planes: Any, timing: Any) -> None:
        if next(count) == 30:
            os.kill(os.getpid(), signal.SIGINT)
        write(self, planes, timing)

    def again(self: Muxer) -> list[str]:
        signal.raise_signal(signal.SIGINT)
        return close(self)

    with monkeypatch.context() as patch:
        patch.setattr(VideoWriter, "write", interrupted)
        patch.setattr(Muxer, "close_source", again)
        with pytest.raises(KeyboardInterrupt):
            upscale(clip, out, on_warning=said.append, **LOSSLESS)
    assert said[-1].startswith("kept what was written before the stop, --resume continues it")
    assert not (tmp_path / "out.mkv.paragon" / "lock").exists()


def test_stopped_twice(monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "out.mkv", tmp_path / "whole.mkv"
    break_at(monkeypatch, clip, out, 40, **LOSSLESS)
    break_at(monkeypatch, clip, out, 30, resume=True, **LOSSLESS)
    report = upscale(clip, out, resume=True, **LOSSLESS)
    assert report.resumed_at == 70
    upscale(clip, whole, **LOSSLESS)
    assert_same(out, whole)


def test_stopped_again_before_it_came_further(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path
) -> None:
    """The work of the first run is not lost by a second run that only began."""
    out = tmp_path / "out.mkv"
    break_at(monkeypatch, clip, out, 60, **LOSSLESS)
    picture, count = Muxer.picture, itertools.count()

    def failing(self: Muxer, packet: Any) -> None:
        if next(count) == 10:
            raise OutputError("the power is gone")
        picture(self, packet)

    with monkeypatch.context() as patch:
        patch.setattr(Muxer, "picture", failing)
        with pytest.raises(OutputError, match="power is gone"):
            upscale(clip, out, resume=True, **LOSSLESS)
    assert upscale(clip, out, resume=True, **LOSSLESS).resumed_at == 60


def test_variable_frame_rates_and_offsets_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    times = [n * 40 + (n % 7) * 5 + 500 for n in range(50)]
    source = make_clip(tmp_path / "in.mkv", frames=50, pts=times, time_base=Fraction(1, 1000))
    out, whole = tmp_path / "out.mp4", tmp_path / "whole.mp4"
    chosen = {"codec": "libx264", "encoder_options": {"g": "8"}}
    break_at(monkeypatch, source, out, 35, **chosen)
    assert upscale(source, out, resume=True, **chosen).resumed_at >= 16
    upscale(source, whole, **chosen)
    assert [pts for pts, _ in read_frames(out)] == [pts for pts, _ in read_frames(whole)]


def test_nothing_unfinished_is_replaced_unasked(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mkv"
    warnings: list[str] = []
    break_at(monkeypatch, clip, out, 30, on_warning=warnings.append, **LOSSLESS)
    left = tmp_path / "out.mkv.paragon" / "out.mkv"
    assert any(f"--resume continues it: {left}" in text for text in warnings)
    before = left.read_bytes()
    with pytest.raises(OutputError, match="is unfinished: --resume continues it, --overwrite starts again"):
        upscale(clip, out, **LOSSLESS)
    with pytest.raises(OutputError, match="was made with different encoder settings"):
        upscale(clip, out, resume=True, codec="libx264")
    with pytest.raises(OutputError, match="was made with different weights"):
        upscale(clip, out, resume=True, weights="fidelity", **LOSSLESS)
    assert left.read_bytes() == before
    report = upscale(clip, out, overwrite=True, **LOSSLESS)
    assert report.resumed_at == 0 and len(read_frames(out)) == FRAMES


def test_an_upgrade_replaces_nothing_unasked(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mkv"
    break_at(monkeypatch, clip, out, 30, **LOSSLESS)
    record = out.with_name("out.mkv.paragon") / "job.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "paragon-stream version": "0.1"}))
    with pytest.raises(OutputError, match="unfinished: --resume --accept-upgrade continues it, --overwrite"):
        upscale(clip, out, **LOSSLESS)
    assert upscale(clip, out, resume=True, accept_upgrade=True, **LOSSLESS).resumed_at > 0


def test_another_render_replaces_it_with_a_notice(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mkv"
    break_at(monkeypatch, clip, out, 30, **LOSSLESS)
    report = upscale(clip, out, weights="fidelity", duration=1)
    assert any("left behind by an unfinished run" in text for text in report.warnings)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


def test_a_source_that_has_changed(monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in.mkv", tmp_path / "out.mkv"
    source.write_bytes(clip.read_bytes())
    break_at(monkeypatch, source, out, 60, **LOSSLESS)
    os.utime(source, ns=(1, 1))  # the same bytes, copied or touched
    with pytest.raises(OutputError, match=r"is unfinished: --resume"):
        upscale(source, out, **LOSSLESS)
    with source.open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"edited in place")
    with pytest.raises(OutputError, match="was made with different source data"):
        upscale(source, out, resume=True, **LOSSLESS)


def test_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mkv"
    command = [str(clip), str(out), "--codec=ffv1", "-x", "g=5", "--precision=fp32", "--threads=1"]
    break_at(monkeypatch, clip, out, 40, **LOSSLESS)
    assert run(command) == 1
    assert run([*command, "--resume"]) == 0
    assert "90 frames, 40 of them by an earlier run, in" in capsys.readouterr().err
    assert run([*command, "--resume"]) == 1  # it is there now
    assert run([*command[2:], "--resume", str(clip), str(tmp_path / "new.mkv")]) == 0  # nothing to go on with
    assert run([str(clip), str(tmp_path / "out.y4m"), "--resume"]) == 2
    assert "--resume continues video files" in capsys.readouterr().err


def test_an_image_that_is_repaired(tmp_path: Path) -> None:
    """A damaged image ends the render; when it is whole again, the render goes on."""
    for number in range(12):
        Image.fromarray(np.full((32, 48, 3), 20 * number, np.uint8)).save(tmp_path / f"in_{number:02}.png")
    source, out = tmp_path / "in_%02d.png", tmp_path / "out.mkv"
    good, damaged = (tmp_path / "in_08.png").read_bytes(), tmp_path / "in_08.png"
    damaged.write_bytes(good[:60])
    with pytest.raises(InputError, match=r"in_08\.png is damaged"):
        upscale(source, out, **LOSSLESS)
    with pytest.raises(InputError, match=r"in_08\.png is damaged"):
        upscale(source, out, resume=True, **LOSSLESS)
    damaged.write_bytes(good)
    report = upscale(source, out, resume=True, **LOSSLESS)
    assert report.resumed_at > 0 and report.frames_out == 12
    upscale(source, tmp_path / "whole.mkv", **LOSSLESS)
    assert_same(out, tmp_path / "whole.mkv")


def test_images_with_profiles_are_not_all_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        image = Image.fromarray(np.full((32, 48, 3), 8 * number, np.uint8))
        image.save(tmp_path / f"in_{number:02}.png", icc_profile=b"a profile")
    source, out = tmp_path / "in_%02d.png", tmp_path / "out.mkv"
    break_at(monkeypatch, source, out, 20, **LOSSLESS)
    read: list[str] = []

    def noting(path: Path) -> Any:
        read.append(path.name)
        return read_picture(path)

    monkeypatch.setattr("paragon_stream.media.images.sequence_reader.read_picture", noting)
    report = upscale(source, out, resume=True, **LOSSLESS)
    again = set(read[3:])  # after the first, the middle and the last image
    assert "ICC profiles of the images are not carried over" in report.warnings
    assert report.resumed_at > 8 and f"in_{report.resumed_at - 4:02}.png" in again
    assert f"in_{report.resumed_at - 5:02}.png" not in again


def test_images_that_all_have_changed(tmp_path: Path) -> None:
    source, out = tmp_path / "in_%02d.png", tmp_path / "out.mkv"
    for number in range(12):
        Image.fromarray(np.full((32, 48, 3), 20 * number, np.uint8)).save(tmp_path / f"in_{number:02}.png")
    (tmp_path / "in_08.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"in_08\.png is empty"):
        upscale(source, out, **LOSSLESS)
    for number in range(12):
        Image.fromarray(np.full((32, 48, 3), 200, np.uint8)).save(tmp_path / f"in_{number:02}.png")
    with pytest.raises(InputError, match="now decodes to different frames"):
        upscale(source, out, resume=True, **LOSSLESS)


@pytest.mark.parametrize("damaged", ["out.mkv", "frames", "index"])
def test_a_leftover_that_is_damaged(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: str
) -> None:
    """The journal has what the file has lost; without the journal everything is made anew."""
    out = tmp_path / "out.mkv"
    break_at(monkeypatch, clip, out, 30, **LOSSLESS)
    (tmp_path / "out.mkv.paragon" / damaged).write_bytes(b"half a film")
    report = upscale(clip, out, resume=True, **LOSSLESS)
    assert report.resumed_at == (30 if damaged == "out.mkv" else 0)
    assert len(read_frames(out)) == FRAMES
    assert any("started again" in text for text in report.warnings) == (damaged != "out.mkv")
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]
    with pytest.raises(UsageError, match="y4m cannot be resumed"):
        upscale(clip, tmp_path / "out.y4m", resume=True)


def test_numbered_pictures(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, whole = tmp_path / "out" / "%04d.png", tmp_path / "whole" / "%04d.png"
    write, count = SequenceWriter.write, itertools.count()

    def failing(self: SequenceWriter, planes: Any, timing: Any) -> None:
        if next(count) == 40:
            raise OutputError("the power is gone")
        write(self, planes, timing)

    with monkeypatch.context() as patch:
        patch.setattr(SequenceWriter, "write", failing)
        with pytest.raises(OutputError, match="power is gone"):
            upscale(clip, out)
    with pytest.raises(OutputError, match="--resume continues the sequence"):
        upscale(clip, out)
    with pytest.raises(OutputError, match="was made with different weights"):
        upscale(clip, out, resume=True, weights="fidelity")
    report = upscale(clip, out, resume=True)
    assert report.resumed_at == 40 and report.frames_out == FRAMES
    upscale(clip, whole)
    names = sorted(path.name for path in whole.parent.iterdir())
    assert len(names) == FRAMES and sorted(path.name for path in out.parent.iterdir()) == names
    for name in names:
        assert (out.parent / name).read_bytes() == (whole.parent / name).read_bytes()
    with pytest.raises(OutputError, match="exists already: use --overwrite"):
        upscale(clip, out, resume=True)
