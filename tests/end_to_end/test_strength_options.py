"""`--strength`, the report, `probe` and `models export`, with weights that are conditioned for the test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip, read_frames, scene
from safetensors.numpy import load_file, save_file

from paragon_stream import Upscaler, upscale
from paragon_stream.checkpoint import list_shipped, load_weights
from paragon_stream.checkpoint.spec import STRENGTH_TENSOR
from paragon_stream.cli.main import run
from paragon_stream.errors import UsageError
from paragon_stream.pictures.batch import upscale_images
from paragon_stream.upscaler import parse_strength

LOSSLESS = {"codec": "ffv1"}


@pytest.fixture(scope="module")
def conditioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped realtime weights with a slope of their own making: a path."""
    shipped = next(s for s in list_shipped() if (s.variant, s.scale) == ("realtime", 2))
    tensors = load_file(shipped.path)
    shape = tensors["conv_in.bias"].shape
    tensors[STRENGTH_TENSOR] = np.random.default_rng(3).normal(0, 0.5, shape).astype(np.float32)
    path = tmp_path_factory.mktemp("weights") / "conditioned.safetensors"
    metadata = dict(load_weights(shipped.path).metadata)
    save_file(tensors, path, metadata=metadata | {"upsampler_alpha": "0"})
    return path


def clip(folder: Path, name: str = "clip.mkv", **chosen: object) -> Path:
    return make_clip(folder / name, width=64, height=48, **{"frames": 10, **chosen})  # type: ignore[arg-type]


def pictures(path: Path) -> list[np.ndarray]:
    return [planes[0] for _, planes in read_frames(path)]


def test_auto_follows_the_stream_and_the_report_says_so(tmp_path: Path, conditioned: Path) -> None:
    source = clip(tmp_path, options={"crf": "30", "bf": "2"})
    report = upscale(source, tmp_path / "auto.mkv", weights=conditioned, **LOSSLESS)
    found = report.strength
    assert found is not None
    assert 0 < found.min <= found.mean <= found.max < 1
    assert found.source == "exported by the decoder"
    assert json.loads(report.to_json())["strength"]["mean"] == found.mean
    upscale(source, tmp_path / "again.mkv", weights=conditioned, strength="auto", **LOSSLESS)
    fixed = upscale(source, tmp_path / "fixed.mkv", weights=conditioned, strength=0.0, **LOSSLESS)
    assert fixed.strength is not None
    assert (fixed.strength.min, fixed.strength.max, fixed.strength.source) == (0, 0, "as given")
    auto, again, clean = (pictures(tmp_path / f"{n}.mkv") for n in ("auto", "again", "fixed"))
    assert len(auto) == 10
    assert all(np.array_equal(a, b) for a, b in zip(auto, again, strict=True))
    assert all((a != c).any() for a, c in zip(auto, clean, strict=True))


def test_every_frame_is_upscaled_at_its_own_strength(tmp_path: Path, conditioned: Path) -> None:
    """The frames of a render are those of `Upscaler` for each frame and its strength."""
    from paragon_stream.framejob import allocate_planes
    from paragon_stream.media.facts.probe import probe
    from paragon_stream.media.frames.reader import VideoReader

    info = probe(clip(tmp_path, options={"crf": "28", "bf": "2", "g": "5"}))
    upscale(info.path, tmp_path / "out.mkv", weights=conditioned, precision="fp32", **LOSSLESS)
    rendered = pictures(tmp_path / "out.mkv")
    planes = allocate_planes(info.video.format)
    chosen = {"weights": conditioned, "color": info.video.format.color, "precision": "fp32"}
    with (
        VideoReader(info, strengths=True) as reader,
        Upscaler(width=64, height=48, **chosen) as upscaler,  # type: ignore[arg-type]
    ):
        for picture in rendered:
            timing = reader.read_into(planes)
            assert timing is not None
            alone = upscaler(planes, strength=reader.strength(timing))
            assert np.abs(alone[0].astype(int) - picture.astype(int)).max() <= 1


def test_a_clean_source_has_strength_0(tmp_path: Path, conditioned: Path) -> None:
    source = clip(tmp_path, codec="ffv1", frames=3)
    report = upscale(source, tmp_path / "auto.mkv", weights=conditioned, **LOSSLESS)
    upscale(source, tmp_path / "zero.mkv", weights=conditioned, strength=0, **LOSSLESS)
    assert report.strength is not None
    assert (report.strength.max, report.strength.source) == (0, "a codec without visible loss")
    for a, b in zip(pictures(tmp_path / "auto.mkv"), pictures(tmp_path / "zero.mkv"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_plain_weights_have_no_strength(tmp_path: Path) -> None:
    source = clip(tmp_path, frames=2)
    report = upscale(source, tmp_path / "out.mkv", weights="fidelity", strength="auto", **LOSSLESS)
    assert report.strength is None
    with pytest.raises(UsageError, match="not conditioned"):
        upscale(source, tmp_path / "no.mkv", weights="fidelity", strength=0.4)
    with pytest.raises(UsageError, match="not conditioned"):
        Upscaler(width=64, height=48, weights="fidelity", strength=0.4)


def test_upscaler_takes_a_strength_for_all_frames_or_for_one(conditioned: Path) -> None:
    planes = scene(0, 64, 48)
    planes = tuple(plane.astype(np.uint8) for plane in planes)
    with (
        Upscaler(width=64, height=48, weights=conditioned, precision="fp32") as clean,
        Upscaler(width=64, height=48, weights=conditioned, precision="fp32", strength=0.4) as fixed,
    ):
        np.testing.assert_array_equal(clean(planes, strength=0.4)[0], fixed(planes)[0])
        np.testing.assert_array_equal(clean(planes)[0], fixed(planes, strength=0.0)[0])
        assert (clean(planes)[0] != fixed(planes)[0]).any()


def test_images_are_clean_unless_a_strength_is_given(tmp_path: Path, conditioned: Path) -> None:
    frames = clip(tmp_path, "clip.mkv", frames=2)
    upscale(frames, tmp_path / "f_%03d.png", weights="fidelity")
    source = next(tmp_path.glob("f_*.png"))
    results = {}
    for name, strength in {"default": None, "zero": 0.0, "auto": "auto", "half": 0.5}.items():
        upscale_images(source, tmp_path / f"{name}.png", weights=conditioned, strength=strength)
        results[name] = (tmp_path / f"{name}.png").read_bytes()
    assert results["default"] == results["zero"] == results["auto"] != results["half"]
    with pytest.raises(UsageError, match="not conditioned"):
        upscale_images(source, tmp_path / "no.png", weights="fidelity", strength=0.5)


@pytest.mark.parametrize("strength", ["1.5", "-0.1", "much", "nan", ""])
def test_what_is_no_strength(strength: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run([str(clip(tmp_path, frames=1)), str(tmp_path / "out.mkv"), f"--strength={strength}"]) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    assert "strength" in said


def test_strengths_are_numbers_or_auto() -> None:
    assert [parse_strength(value) for value in (None, "auto", "0.4", 0, 1)] == [None, None, 0.4, 0.0, 1.0]


def test_strength_with_plain_weights_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(clip(tmp_path, frames=1))
    assert run([source, str(tmp_path / "out.mkv"), "--weights=fidelity", "--strength=0.4"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out.mkv").exists()


def test_probe_tells_the_strength(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    even = {"qp": "24", "x264-params": "ipratio=1:pbratio=1:aq-mode=0"}
    source = str(clip(tmp_path, options=even))
    assert run(["probe", source]) == 0
    assert "H.264, mean quantiser 24 → strength 0.60\n" in capsys.readouterr().out
    assert run(["probe", source, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["compression"]
    assert (facts["quantiser"], facts["strength"], facts["frames"]) == (24, 0.6, 10)


def test_probe_decodes_few_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from paragon_stream.media.decode.decoder import Decoder

    asked = []
    plain = Decoder.reading
    monkeypatch.setattr(Decoder, "reading", lambda self, f: asked.append(f.pts) or plain(self, f))
    assert run(["probe", str(clip(tmp_path, frames=70))]) == 0
    assert 30 <= len(asked) <= 44


@pytest.mark.parametrize("strength", [0.0, 0.37, 1.0])
def test_an_exported_checkpoint_is_the_conditioned_one_at_that_strength(
    tmp_path: Path, conditioned: Path, strength: float
) -> None:
    plain = tmp_path / "plain.safetensors"
    assert run(["models", "export", str(conditioned), "--strength", str(strength), str(plain)]) == 0
    weights = load_weights(plain)
    assert not weights.spec.conditioned
    assert STRENGTH_TENSOR not in weights.tensors
    planes = tuple(plane.astype(np.uint8) for plane in scene(2, 64, 48))
    with (
        Upscaler(width=64, height=48, weights=conditioned, precision="fp32") as one,
        Upscaler(width=64, height=48, weights=plain, precision="fp32") as other,
    ):
        for a, b in zip(one(planes, strength=strength), other(planes), strict=True):
            assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


def test_export_overwrites_only_when_asked(
    tmp_path: Path, conditioned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.safetensors"
    plain.write_bytes(b"mine")
    arguments = ["models", "export", str(conditioned), str(plain), "--strength=0.5"]
    assert run(arguments) == 1
    assert plain.read_bytes() == b"mine"
    assert run([*arguments, "--overwrite"]) == 0
    assert load_weights(plain).metadata["name"] == "conditioned at strength 0.5"
    assert run([*arguments[:-1], "--strength=2", "--overwrite"]) == 2
    assert run(["models", "export", "fidelity", str(tmp_path / "x.safetensors"), "--strength=0.5"]) == 2
    nowhere = str(tmp_path / "no" / "x.safetensors")
    assert run(["models", "export", str(conditioned), nowhere, "--strength=0"]) == 1
    assert run(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_the_filter_takes_the_frame_s_own_strength_first(conditioned: Path) -> None:
    vs = pytest.importorskip("vapoursynth")
    import paragon_stream.vapoursynth as paragon

    def luma(clip: object, **chosen: object) -> np.ndarray:
        found = paragon.upscale(clip, weights=str(conditioned), precision="fp32", prefetch=1, **chosen)
        return np.asarray(found.get_frame(0)[0]).copy()

    ramp = vs.core.std.BlankClip(width=64, height=48, format=vs.YUV420P8, length=1, color=[90, 110, 140])
    ramp = ramp.std.AddBorders(left=16, top=8)
    with_property = ramp.std.SetFrameProps(_ParagonStrength=0.5)
    np.testing.assert_array_equal(luma(with_property), luma(ramp, strength=0.5))
    np.testing.assert_array_equal(luma(with_property, strength=0.9), luma(with_property))
    assert (luma(with_property) != luma(ramp)).any()
    with pytest.raises(vs.Error, match="not conditioned"):
        paragon.upscale(ramp, weights="fidelity", strength=0.5)
