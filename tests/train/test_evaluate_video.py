"""Measuring on video: the measures themselves, clips at several levels, pairs of files."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from click.testing import CliRunner
from clips import make_clip
from training_material import drawn_picture

import paragon_stream.cli.main as cli
import paragon_stream.train.measure.video_meter as video_meter
from paragon_stream.cli.eval import command
from paragon_stream.errors import EngineError, FormatError, InputError, OutputError, UsageError
from paragon_stream.frame import ChromaLocation, ColorRange, ColorSpec, Matrix, pixel_format
from paragon_stream.media.measure import vmaf
from paragon_stream.media.measure.roundtrip import Encoding
from paragon_stream.media.measure.vmaf import Vmaf, vmaf_available
from paragon_stream.train.data.clips import Clip, find_clips, parse_levels, read_clip, shrunk
from paragon_stream.train.data.degradations import gaussian_blur
from paragon_stream.train.data.planes import to_planes
from paragon_stream.train.data.resample import enlarge
from paragon_stream.train.measure import page
from paragon_stream.train.measure.evaluate_video import compare_files, evaluate_video
from paragon_stream.train.measure.video_meter import IDENTICAL, VideoMeter, video_measures
from paragon_stream.upscaler import Upscaler


def drawn_luma(index: int, size: int = 128) -> np.ndarray:
    picture = drawn_picture(9, 192)
    return picture[2 * index : 2 * index + size, 3 * index : 3 * index + size, 1].astype(np.float64)


def metered(change: object, frames: int = 4) -> dict[str, float]:
    """Scores of a moving picture of which every frame went through `change(luma, index)`."""
    with VideoMeter() as meter:
        for index in range(frames):
            luma = drawn_luma(index)
            meter.add((change(luma, index),), (luma,))  # type: ignore[operator]
        return meter.scores()


def test_temporal_consistency_forgives_what_stays_and_not_what_flickers() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 4, (128, 128))
    still = metered(lambda luma, index: luma + noise)
    flicker = metered(lambda luma, index: luma + rng.normal(0, 4, luma.shape), 12)
    pumping = metered(lambda luma, index: luma + 4 * (-1) ** index)
    assert still["psnr_y"] == pytest.approx(20 * np.log10(255 / 4), abs=0.3)
    assert still["psnr_t"] == IDENTICAL
    assert flicker["psnr_t"] == pytest.approx(flicker["psnr_y"] - 10 * np.log10(2), abs=0.2)
    assert pumping["psnr_t"] == pytest.approx(20 * np.log10(255 / 8))


def test_each_plane_of_chroma_has_its_own_psnr_and_gray_has_none() -> None:
    y, u, v = (np.full(size, 100.0) for size in ((64, 64), (32, 32), (32, 32)))
    with VideoMeter() as meter:
        meter.add((y, u + 2, v - 4), (y, u, v))
        scores = meter.scores()
    assert scores["psnr_u"] == pytest.approx(20 * np.log10(255 / 2))
    assert scores["psnr_v"] == pytest.approx(20 * np.log10(255 / 4))
    assert tuple(scores) == video_measures()
    with VideoMeter() as meter:
        meter.add((y,), (y,))
        assert tuple(meter.scores()) == video_measures(chroma=False)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p"])
def test_chroma_of_every_kind_is_shrunk_and_enlarged_where_it_is_sited(pixels: str) -> None:
    """A slope stays the same slope, so that nothing is lost by a shift."""
    across, down = (1 << shift for shift in pixel_format(pixels).subsampling)
    rows, columns = np.indices((64, 64), dtype=np.float32)
    slope = 60 + columns + 2 * rows  # as left-sited 4:2:0 and 4:2:2 sample it
    u = slope[::down, ::across] + (down - 1)
    clip = Clip(
        name="slope",
        frames=((slope.astype(np.uint8), u.astype(np.uint8), u.astype(np.uint8)),),
        color=ColorSpec(chroma_location=ChromaLocation.LEFT),
        pixels=pixel_format(pixels),
    )
    ((_, small, _),) = shrunk(clip, 2)
    inner = np.s_[6:-6, 6:-6]
    # LR luma (i, j) lies at HR (2i + 1/2, 2j + 1/2); chroma lies between rows of it, and on columns.
    rows, columns = np.indices(small.shape)
    place = 60 + (2 * columns * across + 0.5) + 2 * (2 * (rows * down + (down - 1) / 2) + 0.5)
    assert np.abs(small - place)[inner].max() <= 0.5
    large = enlarge(small.astype(np.float32), 2, "bicubic", clip.chroma_siting)
    assert np.abs(large - u)[12:-12, 12:-12].max() <= 0.7


def test_vmaf_falls_with_blur_and_neg_does_not_reward_sharpening() -> None:
    def blurred(sigma: float) -> dict[str, float]:
        return metered(lambda luma, index: gaussian_blur(luma.astype(np.float32), sigma))

    same = metered(lambda luma, index: luma)
    little, much = blurred(0.7), blurred(1.5)
    sharpened = metered(lambda luma, index: luma + 1.0 * (luma - gaussian_blur(luma.astype(np.float32), 1.0)))
    for name in ("vmaf", "vmaf_neg"):
        assert same[name] > 95
        assert same[name] > little[name] > much[name] + 5
    assert sharpened["vmaf"] > sharpened["vmaf_neg"] + 3


def test_vmaf_without_frames_or_filter_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with Vmaf() as empty, pytest.raises(EngineError, match="no frames"):
        empty.means()
    monkeypatch.setattr(vmaf, "vmaf_available", lambda: False)
    with Vmaf() as absent, pytest.raises(EngineError, match="libvmaf"):
        absent.add(np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8))


def test_scores_fall_with_compression_for_every_method() -> None:
    picture = drawn_picture(9, 256).astype(np.float32) / 255
    frames = tuple(
        to_planes(picture[2 * i : 2 * i + 192, 3 * i : 3 * i + 192], Matrix.BT709, ColorRange.LIMITED)
        for i in range(4)
    )
    color = ColorSpec(matrix=Matrix.BT709, range=ColorRange.LIMITED)
    clip = Clip(name="drawn", frames=frames, color=color)
    levels = {
        "clean": None,
        "light": Encoding(encoder="libx264", options={"crf": "18"}),
        "hard": Encoding(encoder="libx264", options={"crf": "35"}),
    }
    with Upscaler(width=96, height=96, color=color, weights="fidelity", precision="fp32") as upscaler:
        rows = evaluate_video(clip, levels, {"fidelity": upscaler}, 2)
    assert [row.level for row in rows] == list(levels)
    for method in ("fidelity", "bicubic", "lanczos", "magic"):
        for measure in video_measures():
            scores = [row.scores[method][measure] for row in rows]
            assert scores[0] > scores[2], (method, measure)
    clean = rows[0].scores
    assert clean["fidelity"]["psnr_y"] > clean["bicubic"]["psnr_y"] + 1
    assert clean["fidelity"]["vmaf"] > clean["bicubic"]["vmaf"]
    assert rows[0].strength == 0 < rows[1].strength < rows[2].strength
    crops = rows[0].crops
    error = {name: np.abs(crop.astype(int) - crops["original"]).mean() for name, crop in crops.items()}
    assert error["fidelity"] < error["bicubic"] < 25


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=5, width=160, height=112)


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_measures_a_folder_of_clips_at_every_level(clip: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    arguments = ["--data", clip.parent, "--weights", "fidelity", "--frames", "3", "--report", page]
    found = json.loads(run(*arguments, "--encode", "none", "--encode", "libx264:crf=40", "--json"))
    assert list(found["means"]) == ["uncompressed", "libx264:crf=40"]
    assert found["means"]["uncompressed"]["model"]["vmaf_neg"] > 40
    assert [row["name"] for row in found["rows"]] == ["in", "in"]
    assert found["rows"][0]["strength"] == 0 < found["rows"][1]["strength"]
    text = page.read_text(encoding="utf-8")
    assert text.count("<figure>") == 2 * 5
    assert f"{found['means']['libx264:crf=40']['model']['psnr_t']:.4f}" in text


def test_a_fixed_strength_is_used_and_printed(clip: Path) -> None:
    arguments = ("--data", clip, "--frames", "1", "--strength", "0.4", "--weights")
    assert "uncompressed, strength 0.40" in run(*arguments, "video")
    text = run(*arguments, "fidelity")
    assert "uncompressed\n" in text, "it does not depend on strength"
    assert {line.split()[0] for line in text.splitlines()[2:]} == {"model", "bicubic", "lanczos", "magic"}


def test_a_pair_of_files_is_compared(clip: Path, tmp_path: Path) -> None:
    same = compare_files(clip, clip).means()["result"]
    assert same["psnr_y"] == same["psnr_t"] == IDENTICAL
    assert same["ssim_y"] == pytest.approx(1)
    worse = make_clip(
        tmp_path / "worse.mkv", frames=5, width=160, height=112, pix_fmt="yuv420p10le", codec="libx265",
        options={"crf": "40", "x265-params": "log-level=none"},
    )  # fmt: skip
    page = tmp_path / "page.html"
    text = run("--reference", clip, "--result", worse, "--report", page)
    assert "worse.mkv, against in.mp4" in text
    found = compare_files(clip, worse)
    assert 20 < found.means()["result"]["psnr_y"] < 60
    assert list(found.rows[0].crops) == ["original", "result"]
    assert page.read_text(encoding="utf-8").count("<figure>") == 2


def test_pairs_that_cannot_be_compared_are_named(clip: Path, tmp_path: Path) -> None:
    short = make_clip(tmp_path / "short.mp4", frames=3, width=160, height=112)
    small = make_clip(tmp_path / "small.mp4", frames=3, width=80, height=56)
    with pytest.raises(InputError, match=r"short\.mp4 ends after 3 frames"):
        compare_files(clip, short)
    assert compare_files(clip, short, frames=3).means()["result"]["psnr_y"] > 30
    with pytest.raises(FormatError, match="differ in size"):
        compare_files(clip, small)
    tiny = make_clip(tmp_path / "tiny.mp4", frames=1, width=32, height=26)
    with pytest.raises(FormatError, match="frames of 32x26 are not measured: at least 27 pixels"):
        compare_files(tiny, tiny)


@pytest.mark.skipif(not vmaf_available(), reason="needs libvmaf")
def test_vmaf_that_is_given_up_writes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Its graph, freed after its folder, printed that it could not write its scores."""
    luma = np.zeros((64, 64), np.uint8)
    with Vmaf() as vmaf:
        vmaf.add(luma, luma)
    gc.collect()
    assert capfd.readouterr().err == ""


def test_ten_bits_are_measured_as_eight(tmp_path: Path) -> None:
    deep = make_clip(
        tmp_path / "deep.mkv", frames=2, width=102, height=66, pix_fmt="yuv420p10le", codec="ffv1"
    )
    plain = make_clip(tmp_path / "plain.mkv", frames=2, width=102, height=66, codec="ffv1")
    a, b = (read_clip(path, frames=2, scale=2) for path in (deep, plain))
    assert a.frames[1][0].shape == (64, 100)
    for left, right in zip(a.frames[1], b.frames[1], strict=True):
        assert np.abs(left.astype(int) - right).max() <= 1


def test_bad_requests_are_named(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in (":crf=3", "libx264:crf", "libx264:=3", "none:crf=3"):
        with pytest.raises(UsageError):
            parse_levels((text,))
    with pytest.raises(InputError, match="no frame 9"):
        read_clip(clip, frames=1, scale=2, first=9)
    wrong_folder = tmp_path / "wrong"
    wrong_folder.mkdir()
    wrong = make_clip(
        wrong_folder / "411.mkv", codec="ffv1", frames=1, width=64, height=64, pix_fmt="yuv411p"
    )
    with pytest.raises(FormatError, match=r"4:2:0"):
        read_clip(wrong, frames=1, scale=2)
    (tmp_path / "wrong" / "a.png").write_bytes(b"")
    with pytest.raises(UsageError, match="pictures and videos"):
        find_clips(tmp_path / "wrong")
    for arguments, said in (
        ((), "--data"),
        (("--data", clip, "--reference", clip), "--data"),
        (("--reference", clip), "--result"),
        (("--reference", clip, "--result", clip, "--weights", "video"), "--weights does not apply"),
        (("--reference", clip, "--result", clip, "--strength", "0.5"), "--strength does not apply"),
        (("--reference", clip, "--result", clip, "--precision", "fp32"), "--precision does not apply"),
        (("--data", clip, "--strength", "1.5"), "0 to 1"),
        (("--data", clip, "--encode", "libnope"), "libnope"),
        (("--data", tmp_path / "wrong" / "a.png", "--frames", "3"), "for videos"),
    ):
        assert cli.run(["eval", *map(str, arguments)]) == 2
        assert said in capsys.readouterr().err


def test_a_report_that_cannot_be_written(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before the work, and if it fails after it, the figures are printed nevertheless."""
    pair = ["eval", "--reference", str(clip), "--result", str(clip), "--frames", "2", "--report"]
    with monkeypatch.context() as patch:
        patch.setattr("paragon_stream.cli.eval._pair", lambda *_: pytest.fail("it began"))
        assert cli.run([*pair, str(tmp_path / "nope" / "out.html")]) == 1
    assert "is not a folder" in capsys.readouterr().err

    def full(*_: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(page, "write_report", full)
    assert cli.run([*pair, str(tmp_path / "out.html")]) == 1
    assert "psnr" in capsys.readouterr().out.lower()


def test_without_the_filter_the_rest_is_measured(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (vmaf, video_meter):
        monkeypatch.setattr(module, "vmaf_available", lambda: False)
    text = run("--reference", clip, "--result", clip)
    assert "libvmaf" in text
    assert "vmaf" not in text.splitlines()[-2]
    assert "psnr_t" in text.splitlines()[-2]


def test_an_unknown_degradation_is_refused_for_videos_too(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=1)
    asked = CliRunner().invoke(command, ["--data", str(clip), "--degradation", "nearest"])
    assert isinstance(asked.exception, UsageError) and "no degradation is called nearest" in str(
        asked.exception
    )
