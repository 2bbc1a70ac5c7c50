"""Degradations: exact resampling, real codecs, strengths, and shards that are functions of their seed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from training_material import drawn_picture, write_pictures

from paragon_stream.errors import EngineError, InputError, UsageError
from paragon_stream.frame import ColorRange, Matrix
from paragon_stream.media.measure.roundtrip import DECODERS, Encoding, round_trip
from paragon_stream.train.data.degradations import (
    ClipDegradation,
    StillDegradation,
    pan,
    softened,
)
from paragon_stream.train.data.drawings import draw_picture
from paragon_stream.train.data.images import Source, drawings, list_sources, read_picture
from paragon_stream.train.data.planes import to_planes, to_rgb
from paragon_stream.train.data.resample import KERNELS, enlarge, resize, shrink, siting_shift, to_codes
from paragon_stream.train.data.shards import ShardPlan, read_shard, shards
from paragon_stream.train.measure.evaluate import read_picture as measured_picture
from paragon_stream.train.measure.metrics import IDENTICAL, psnr, psnr_y, ssim_y


def test_bicubic_is_matlabs() -> None:
    """An impulse spreads by Keys' kernel, stretched by 2 (imresize's definition), away from the edge."""
    row = np.zeros((8, 16), np.float32)
    row[:, 8] = 128
    half = resize(row, 8, 8)[0]
    np.testing.assert_allclose(half[1:-1], [128 * _tap(8, k) for k in range(1, 7)], atol=1e-4)
    assert half[4] > 50 > half[3] > 0 > half[5]


def _tap(source: int, target: int) -> float:
    """Weight of a source pixel in a target pixel at factor 1/2, by Keys' kernel with a = -1/2."""
    distance = abs((target + 0.5) * 2 - 0.5 - source) / 2
    if distance <= 1:
        return (1.5 * distance**3 - 2.5 * distance**2 + 1) / 2
    if distance <= 2:
        return (-0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2) / 2
    return 0.0


@pytest.mark.parametrize("kernel", list(KERNELS))
def test_every_kernel_keeps_constants_and_linear_ramps(kernel: str) -> None:
    flat = np.full((24, 36, 3), 77.0, np.float32)
    np.testing.assert_allclose(shrink(flat, 3, kernel), 77, rtol=1e-5)
    np.testing.assert_allclose(enlarge(flat, 2, kernel), 77, rtol=1e-5)
    ramp = np.broadcast_to(np.arange(64, dtype=np.float32), (16, 64))
    inner = slice(8, -8)
    small = shrink(np.ascontiguousarray(ramp), 2, kernel)[4, inner]
    np.testing.assert_allclose(small, (np.arange(32) * 2 + 0.5)[inner], atol=0.05)


def test_chroma_is_resampled_about_its_own_place() -> None:
    ramp = np.tile(np.arange(64, dtype=np.float32), (16, 1))
    left = (0.0, siting_shift(2, 0.0))
    small = shrink(ramp, 2, "bicubic", left)
    np.testing.assert_allclose(small[4, 4:-4], (2 * np.arange(32) + 0.25)[4:-4], atol=1e-4)
    np.testing.assert_allclose(enlarge(small, 2, "bicubic", left)[4, 12:-12], ramp[4, 12:-12], atol=1e-3)
    assert siting_shift(2, 0.5) == siting_shift(1, 0.0) == 0


def test_clips_are_shrunk_by_all_kernels_that_are_named() -> None:
    picture = drawn_picture(5, 192)

    def luma(**options: object) -> set[bytes]:
        clip = ClipDegradation(clean=1.0, keep=1, **options)  # type: ignore[arg-type]
        made = [clip.apply(picture, 2, 192, np.random.default_rng(n))[0] for n in range(12)]
        return {frame.planes[0].tobytes() for frame in made if frame.range is ColorRange.LIMITED}

    assert len(luma(kernels=("area",))) <= 2  # of two matrices
    assert len(luma(kernels=("area", "lanczos4", "bilinear"))) > 3
    assert luma(kernels=("area",)).isdisjoint(luma(kernels=("area",), sharpen_probability=1.0))


def test_drawings_are_functions_of_their_number_and_all_kinds_have_sharp_lines() -> None:
    pictures = [draw_picture(number, 128) for number in range(8)]
    assert len({p.tobytes() for p in pictures}) == 8
    assert np.array_equal(pictures[3], draw_picture(3, 128))
    for picture in pictures:
        assert picture.shape == (128, 128, 3)
        assert np.abs(np.diff(picture.astype(int), axis=1)).max() > 80
    train, val = drawings(20, "train"), drawings(20, "val")
    assert (len(train), len(val)) == (20, 2)
    assert not {s.drawing for s in train} & {s.drawing for s in val}
    assert train[0].read().shape == (384, 384, 3)
    assert drawings(0, "val") == []


def test_bicubic_psnr_of_set5_is_the_literatures(shared: Path) -> None:
    scores = []
    for path in sorted((shared / "eval" / "Set5").glob("*.png")):
        truth = read_any(path)
        low = to_codes(shrink(truth.astype(np.float32), 2))
        scores.append(psnr_y(to_codes(enlarge(low.astype(np.float32), 2)), truth, 2))
    assert np.mean(scores) == pytest.approx(33.68, abs=0.02)


def read_any(path: Path) -> np.ndarray:
    from PIL import Image

    picture = np.asarray(Image.open(path).convert("RGB"))
    return picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]


def test_ssim_and_psnr_know_equal_and_different() -> None:
    picture = drawn_picture(1, 96)
    noisy = np.clip(picture + np.random.default_rng(0).normal(0, 5, picture.shape), 0, 255)
    assert (
        psnr(picture, picture) == IDENTICAL
    )  # finite, so that one flat picture does not make a mean infinite
    assert ssim_y(picture, picture, 2) == pytest.approx(1)
    assert psnr(noisy, picture) == pytest.approx(20 * np.log10(255 / 5), abs=0.3)
    assert 0.6 < ssim_y(noisy, picture, 2) < 0.99


@pytest.mark.parametrize("matrix", [Matrix.BT709, Matrix.SMPTE170M])
@pytest.mark.parametrize("range_", list(ColorRange))
def test_planes_and_back_keep_flat_colours_within_rounding(matrix: Matrix, range_: ColorRange) -> None:
    for colour in ([0.2, 0.5, 0.9], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]):
        rgb = np.broadcast_to(np.array(colour, np.float32), (8, 8, 3))
        back = to_rgb(to_planes(np.ascontiguousarray(rgb), matrix, range_), matrix, range_)
        assert np.abs(back - rgb).max() < 2.2 / 255


@pytest.mark.parametrize("encoder", list(DECODERS))
def test_every_codec_brings_all_frames_back_damaged_and_in_order(encoder: str) -> None:
    clip = ClipDegradation(crf=(30, 31))
    picture = drawn_picture(3).astype(np.float32) / 255
    frames = [
        to_planes(picture[3 * i : 3 * i + 128, 2 * i : 2 * i + 128], Matrix.BT709, ColorRange.LIMITED)
        for i in range(6)
    ]
    decoded = round_trip(frames, clip.draw(encoder, np.random.default_rng(1)))
    assert decoded[0].picture_type == "I"
    for index, result in enumerate(decoded):
        errors = [np.mean((result.planes[0].astype(float) - f[0]) ** 2) for f in frames]
        assert int(np.argmin(errors)) == index
        assert 0 < errors[index] < 500
    if encoder == "libx264":
        assert {"P", "B"} & {d.picture_type for d in decoded}
        quantisers = [d.quantiser for d in decoded]
        assert all(q is not None and 15 < q < 45 for q in quantisers)


def test_strength_rises_with_the_quantiser_of_any_codec() -> None:
    picture = drawn_picture(4, 192)
    low, high = (
        ClipDegradation(encoders=(name,), weights=(1.0,), crf=crf, clean=0, twice=0, keep=8)
        for name, crf in (("libx265", (14.0, 14.5)), ("libx265", (34.0, 34.5)))
    )
    weak, strong = (
        np.mean([f.strength for f in c.apply(picture, 2, 192, np.random.default_rng(2))]) for c in (low, high)
    )
    assert 0.15 < weak < strong - 0.2
    assert strong <= 1


def test_a_clean_clip_has_strength_0_and_matches_its_window() -> None:
    picture = drawn_picture(5, 192)
    clip = ClipDegradation(clean=1.0, keep=8)
    for frame in clip.apply(picture, 2, 128, np.random.default_rng(3)):
        assert frame.strength == 0
        low = to_rgb(frame.planes, frame.matrix, frame.range) * 255
        wide = np.pad(picture, ((2, 2), (2, 2), (0, 0)), mode="edge").astype(np.float32)
        scores = {
            (dy, dx): psnr_y(low, shrink(wide[y : y + 128, x : x + 128], 2), 2)
            for dy, dx in ((0, 0), (0, 2), (2, 0), (-2, 0), (0, -2))
            for y, x in [(frame.top + 2 + dy, frame.left + 2 + dx)]
        }
        assert max(scores, key=lambda place: scores[place]) == (0, 0)
        assert scores[0, 0] > 30


@pytest.mark.parametrize("restless", [0.0, 1.0])
def test_pans_stay_inside(restless: float) -> None:
    for seed in range(50):
        for y, x in pan(512, 400, 384, np.random.default_rng(seed), restless=restless):
            assert 0 <= y <= 128
            assert 0 <= x <= 16


def test_restless_pans_jump() -> None:
    rng = np.random.default_rng(0)
    steps = [
        np.abs(np.diff(pan(1024, 1024, 384, rng, restless=restless), axis=0)).max() for restless in (0.0, 1.0)
    ]
    assert steps[0] <= 11 < 100 < steps[1]


def test_still_degradations_are_seeded_and_do_something() -> None:
    picture = drawn_picture(6, 96)
    plain = StillDegradation().apply(picture, 2, np.random.default_rng(0))
    np.testing.assert_array_equal(plain, to_codes(shrink(picture.astype(np.float32), 2)))
    for name in ("blur", "sharpen", "noise", "jpeg"):
        degradation = StillDegradation(**{f"{name}_probability": 1.0})
        once, again, other = (degradation.apply(picture, 2, np.random.default_rng(s)) for s in (1, 1, 2))
        np.testing.assert_array_equal(once, again)
        assert (once != plain).mean() > 0.02, name
        assert (once != other).any() or name == "jpeg"


def test_shards_are_a_function_of_picture_plan_and_seed(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 3)
    sources = list_sources(tmp_path / "pictures", "train")
    # Of frames of 64² x264 and x265 encode the same differently from time to time, x265 of 96² as well.
    clip = ClipDegradation(encoders=("libx264", "mpeg2video", "libsvtav1"), weights=(1, 1, 1))
    plan = ShardPlan(scale=2, stills=1, clips=1, window=192, clip=clip)
    first = list(shards(sources, plan, tmp_path / "a"))
    again = list(shards(sources[::-1], plan, tmp_path / "b"))[::-1]
    other = list(shards(sources, replace(plan, seed=1), tmp_path / "a"))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.rgb, b.rgb)
        for left, right in zip(a.frames, b.frames, strict=True):
            assert (left.top, left.left, left.strength) == (right.top, right.left, right.strength)
            np.testing.assert_array_equal(left.planes[0], right.planes[0])
        assert any(
            left.planes[0].shape != right.planes[0].shape or (left.planes[0] != right.planes[0]).any()
            for left, right in zip(a.frames, c.frames, strict=True)
        )


def test_bad_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        list_sources(tmp_path / "absent", "train")
    with pytest.raises(InputError, match="no pictures"):
        list_sources(tmp_path, "train")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture at all")
    with pytest.raises(InputError, match=r"broken\.png"):
        read_picture(broken)
    from PIL import Image

    Image.new("RGB", (40, 40)).save(tmp_path / "tiny.png")
    with pytest.raises(InputError, match="40x40"):
        read_picture(tmp_path / "tiny.png")
    sources = list_sources(tmp_path, "train", held_out=0)
    with pytest.raises(InputError, match="none of the 2"):
        list(shards(sources, ShardPlan(scale=2), tmp_path / "cache"))
    damaged = tmp_path / "shard.npz"
    damaged.write_bytes(b"PK not really")
    with pytest.raises(InputError, match="made again"):
        read_shard(damaged)


def test_gray_of_16_bits_is_gray_and_its_old_shard_is_not_used(tmp_path: Path) -> None:
    """Pillow's conversion clips it at 255, which makes it white."""
    from PIL import Image

    ramp = np.linspace(0, 65535, 96 * 96).astype(np.uint16).reshape(96, 96)
    for name in ("16.png", "16.tif"):
        path = tmp_path / name
        Image.fromarray(ramp).save(path)
        read = read_picture(path)
        np.testing.assert_array_equal(read, np.repeat(np.rint(ramp / 257)[..., None], 3, 2))
        content = hashlib.sha256(path.read_bytes()).digest()
        assert Source(name=name, path=path).digest() != hashlib.sha256(name.encode() + content).hexdigest()
    Image.fromarray(ramp.astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(InputError, match=r"float\.tif has gray of 32 bits"):
        read_picture(tmp_path / "float.tif")


def test_a_damaged_picture_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Pillow raises SyntaxError for it, behind its first rows."""
    from PIL import Image

    write_pictures(tmp_path, 2)
    noise = np.random.default_rng(1).integers(0, 256, (192, 192, 3), np.uint8)
    path = tmp_path / "000.png"
    Image.fromarray(noise).save(path)
    head, first, rest = path.read_bytes().split(b"IDAT", 2)
    path.write_bytes(head + b"IDAT" + first + b"\xff\xff\xff\xff" + rest)
    assert len(list(shards(list_sources(tmp_path, "train"), ShardPlan(scale=2), tmp_path / "cache"))) == 1
    assert "000.png cannot be read as a picture: " in caplog.text
    with pytest.raises(InputError, match=r"000\.png cannot be read"):
        measured_picture(path)


def test_unknown_and_failing_encoders_are_errors() -> None:
    plane = np.zeros((64, 64), np.uint8)
    frames = [(plane, plane[:32, :32].copy(), plane[:32, :32].copy())]
    with pytest.raises(UsageError, match="libnope"):
        round_trip(frames, Encoding(encoder="libnope"))
    with pytest.raises(EngineError, match="libx264"):
        round_trip(frames, Encoding(encoder="libx264", options={"preset": "nope"}))


def test_a_window_of_a_softened_picture_is_the_same_whichever_way_it_is_made() -> None:
    picture = np.random.default_rng(7).integers(0, 256, (96, 80, 3), dtype=np.uint8)
    whole = softened(picture, 0, 0, (96, 80), 1.1)
    for top, left in ((0, 0), (20, 30), (96 - 32, 80 - 32)):
        window = softened(picture, top, left, (32, 32), 1.1)
        assert np.array_equal(window, whole[top : top + 32, left : left + 32])
    assert np.array_equal(softened(picture, 5, 6, (10, 10), 0), picture[5:15, 6:16])


def test_the_truth_of_a_soft_clip_is_as_soft_as_its_frames() -> None:
    picture = np.random.default_rng(8).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    clip = ClipDegradation(clean=1.0, keep=2, soften=(1.0, 1.0), soften_probability=1.0)
    for frame in clip.apply(picture, 2, 128, np.random.default_rng(3)):
        truth = softened(picture, frame.top, frame.left, (128, 128), frame.soften)
        low = to_rgb(frame.planes, frame.matrix, frame.range)
        luma = np.array([0.299, 0.587, 0.114])
        assert np.abs((shrink(truth.astype(np.float32), 2) / 255 - low) @ luma).mean() < 0.01
