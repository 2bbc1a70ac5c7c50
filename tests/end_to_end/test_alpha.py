"""Transparency from file to file: carried where the codec holds it, and named before the render where not."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from paragon_stream import upscale
from paragon_stream.errors import LossError, UsageError
from paragon_stream.media.decode.decoder import Decoder
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.ffmpeg.planes import plane_array

WIDTH, HEIGHT, FRAMES = 48, 32, 3


def alpha_of(index: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.float64]:
    """A soft disc that wanders, 0…1; smooth, so that enlarging and codecs change it little."""
    y, x = np.mgrid[0:height, 0:width] / (height / HEIGHT)
    distance = np.hypot(x - 20 - 4 * index, y - 15)
    return np.clip((16 - distance) / 8, 0, 1)


def write(path: Path, codec: str, pix_fmt: str, options: dict[str, str] | None = None) -> Path:
    """A clip of `FRAMES` frames whose alpha is `alpha_of`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt  # type: ignore[union-attr]
        for index in range(FRAMES):
            rgba = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
            rgba[..., 0] = np.linspace(40, 220, WIDTH)
            rgba[..., 1] = np.linspace(60, 180, HEIGHT)[:, None]
            rgba[..., 2] = 90
            rgba[..., 3] = np.rint(255 * alpha_of(index))
            frame = av.VideoFrame.from_ndarray(rgba, "rgba").reformat(format=pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_alpha(path: Path) -> list[NDArray[np.float64]]:
    """Alpha of every frame, 0…1."""
    decoder = Decoder(path, 0)
    found = []
    for frame in decoder:
        wide = frame.reformat(format="rgba64le")
        found.append(plane_array(wide, 0, (frame.height, frame.width, 4), np.dtype("<u2"))[..., 3] / 65535)
    decoder.close()
    return found


def assert_carried(path: Path, tolerance: float) -> None:
    frames = read_alpha(path)
    assert len(frames) == FRAMES
    for index, alpha in enumerate(frames):
        assert alpha.shape == (2 * HEIGHT, 2 * WIDTH)
        y, x = np.mgrid[0 : 2 * HEIGHT, 0 : 2 * WIDTH] / 2 - 0.25  # centres aligned
        wanted = np.clip((16 - np.hypot(x - 20 - 4 * index, y - 15)) / 8, 0, 1)
        assert np.abs(alpha - wanted).max() < tolerance


@pytest.mark.parametrize(
    ("source", "codec", "pix_fmt", "out", "result", "tolerance"),
    [
        ("a.mkv", "ffv1", "yuva420p", "b.mkv", "yuva420p", 0.06),
        ("a.mkv", "ffv1", "yuva444p10le", "b.mkv", "yuva444p10le", 0.06),
        ("a.mkv", "ffv1", "bgra", "b.mkv", "bgra", 0.06),
        ("a.mkv", "ffv1", "rgba64le", "b.mkv", "gbrap16le", 0.06),
        ("a.mov", "prores_ks", "yuva444p10le", "b.mov", "yuva444p10le", 0.07),
        ("a.mov", "qtrle", "argb", "b.mkv", "bgra", 0.06),
        ("a.mov", "png", "rgba", "b.mkv", "bgra", 0.06),
        ("a.webm", "libvpx-vp9", "yuva420p", "b.webm", "yuva420p", 0.12),
        ("a.webm", "libvpx", "yuva420p", "b.mkv", "yuva420p", 0.12),
        ("a.apng", "apng", "rgba", "b.webm", "yuva420p", 0.12),
    ],
)
def test_alpha_arrives(
    tmp_path: Path, source: str, codec: str, pix_fmt: str, out: str, result: str, tolerance: float
) -> None:
    options = {"crf": "4", "b": "0", "auto-alt-ref": "0"} if codec.startswith("libvpx") else {}
    clip = write(tmp_path / source, codec, pix_fmt, options)
    quality = {"crf": 4.0, "preset": "8"} if out.endswith(".webm") else {}
    report = upscale(clip, tmp_path / out, **quality)  # type: ignore[arg-type]
    assert report.target_format == f"96x64 {result}"
    assert not [warning for warning in report.warnings if "transparen" in warning]
    assert_carried(tmp_path / out, tolerance)


def test_what_cannot_hold_it_says_so_before(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mkv", "ffv1", "yuva420p")
    for out, options in (("b.mp4", {}), ("c.mkv", {"codec": "libx264"}), ("d.y4m", {})):
        said: list[str] = []
        report = upscale(clip, tmp_path / out, on_warning=said.append, preset=None, **options)  # type: ignore[arg-type]
        assert any("transparency" in each for each in said)
        assert report.target_format.endswith("yuv420p")
        with pytest.raises(LossError, match="transparency"):
            upscale(clip, tmp_path / f"strict{out}", strict=True, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="libx264 does not take yuva420p"):
        upscale(clip, tmp_path / "e.mkv", codec="libx264", pix_fmt="yuva420p")


def test_rgb_with_it_becomes_yuv_on_request(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mov", "qtrle", "argb")
    with pytest.raises(LossError, match="libvpx-vp9 stores it with --pix-fmt yuva420p only"):
        upscale(clip, tmp_path / "b.webm", strict=True)
    upscale(clip, tmp_path / "c.webm", pix_fmt="yuva420p", crf=4, preset="8", strict=True)
    assert_carried(tmp_path / "c.webm", 0.12)


def test_image_sequences_carry_it(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mkv", "ffv1", "yuva420p")
    upscale(clip, tmp_path / "f_%03d.png")
    upscale(tmp_path / "f_%03d.png", tmp_path / "again.mov", fps=25, to="1.5")
    with Image.open(tmp_path / "f_002.png") as image:
        assert image.mode == "RGBA"
        alpha = np.asarray(image)[..., 3] / 255
    assert np.abs(alpha[::2, ::2] - alpha_of(1)).max() < 0.1
    frames = read_alpha(tmp_path / "again.mov")
    assert [frame.shape for frame in frames] == [(96, 144)] * 3
    assert frames[1].max() > 0.99 and frames[1].min() < 0.01


def gif(path: Path, paint: Callable[[int], Image.Image], frames: int = 3) -> Path:
    first, *others = (paint(index) for index in range(frames))
    first.save(path, save_all=True, append_images=others, duration=100, disposal=2)
    return path


def opaque(index: int) -> Image.Image:
    return Image.fromarray(np.full((32, 48, 3), 20 * index + 40, np.uint8))


def clear(index: int) -> Image.Image:
    rgba = np.full((32, 48, 4), 200, np.uint8)
    rgba[..., 3] = np.where(alpha_of(index) > 0.5, 255, 0)
    return Image.fromarray(rgba)


def test_animations(tmp_path: Path) -> None:
    """A GIF without transparency is ordinary video; one with keeps it where it can."""
    plain = gif(tmp_path / "plain.gif", opaque)
    assert not probe(plain).video.format.pixel_format.has_alpha
    assert upscale(plain, tmp_path / "plain.mp4").target_format == "96x64 yuv420p"
    seen_through = gif(tmp_path / "clear.gif", clear)
    report = upscale(seen_through, tmp_path / "clear.mkv")
    assert report.target_format == "96x64 bgra"
    assert read_alpha(tmp_path / "clear.mkv")[0].min() < 0.01


@pytest.mark.parametrize(("before", "kept"), [(1, True), (2, True), (3, False)])
def test_animations_that_begin_opaque(tmp_path: Path, before: int, kept: bool) -> None:
    """Four frames are examined for transparency; the loss of later transparency is announced. FFmpeg clears
    to an opaque colour before the first clear picture."""
    source = gif(tmp_path / "in.gif", lambda i: opaque(i) if i < before else clear(i), before + 2)
    report = upscale(source, tmp_path / "out.mkv")
    assert report.frames_out == before + 2
    found = [alpha.min() < 0.01 for alpha in read_alpha(tmp_path / "out.mkv")]
    assert found == [kept and i > before for i in range(before + 2)]
    lost = [each for each in report.warnings if "transparency of some frames" in each]
    assert len(lost) == (not kept)
