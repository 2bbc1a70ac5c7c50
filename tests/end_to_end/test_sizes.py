"""`--to` and `--fit` from the command line: real files in, real files of the size asked for out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip, read_frames, scene
from PIL import Image

from paragon_stream import Upscaler
from paragon_stream.cli.main import run
from paragon_stream.frame import ChromaLocation, ColorSpec


def look(path: Path) -> tuple[int, int, Fraction]:
    """Width, height, sample aspect ratio; every frame decodes."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        sizes = {(frame.width, frame.height) for frame in container.decode(stream)}
        assert len(sizes) == 1
        aspect = stream.sample_aspect_ratio or Fraction(1)
        return (*sizes.pop(), Fraction(aspect.numerator, aspect.denominator))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mkv", width=64, height=36, frames=3)


@pytest.mark.parametrize(
    ("to", "fit", "size"),
    [
        ("96x54", None, (96, 54)),
        ("1.5", None, (96, 54)),
        ("54p", None, (96, 54)),
        ("100x100", None, (100, 56)),
        ("100x100", "pad", (100, 100)),
        ("100x100", "crop", (100, 100)),
        ("100x100", "stretch", (100, 100)),
        ("144p", None, (256, 144)),
        ("2", None, (128, 72)),
    ],
)
def test_sizes(clip: Path, tmp_path: Path, to: str, fit: str | None, size: tuple[int, int]) -> None:
    out = tmp_path / "out.mkv"
    options = ["--to", to, "--preset", "ultrafast", "--quiet", *(["--fit", fit] if fit else [])]
    assert run([str(clip), str(out), *options]) == 0
    assert look(out) == (*size, 1)
    assert len(read_frames(out)) == 3


def test_the_samples_are_the_upscalers(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    options = ["--to", "96x54", "--weights", "fidelity", "--codec", "ffv1", "--quiet", "--precision", "fp32"]
    assert run([str(clip), str(out), *options]) == 0
    with Upscaler(
        width=64, height=36, pixel_format="yuv420p", to="96x54", weights="fidelity", precision="fp32"
    ) as upscaler:
        for (_, small), (_, large) in zip(read_frames(clip), read_frames(out), strict=True):
            for plane, wanted in zip(large, upscaler(small), strict=True):
                np.testing.assert_array_equal(plane, wanted)


@pytest.mark.parametrize("to", ["36p", "64x36", "50x30", "40p"])
def test_a_source_that_is_large_enough(
    clip: Path, tmp_path: Path, to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if to == "40p":
        clip = make_clip(tmp_path / "larger.mkv", width=80, height=44, frames=1)
    assert run([str(clip), str(tmp_path / "out.mkv"), "--to", to, "--quiet"]) == 1
    said = capsys.readouterr().err
    assert "already" in said and "would not enlarge it" in said and said.count("\n") == 1
    assert not (tmp_path / "out.mkv").exists()


def test_more_than_the_network_can_is_said(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--to", "144p", "--scale", "2", "--engine", "null", "--quiet"]
    assert run([str(clip), str(tmp_path / "out.mkv"), *options]) == 0
    assert "the network enlarges 2 times; the rest of the way to 4 times is plain" in capsys.readouterr().err
    del options[2:4]  # without a choice it is the better way
    assert run([str(clip), str(tmp_path / "default.mkv"), *options]) == 0
    assert capsys.readouterr().err == ""


def test_a_folder_of_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each gets its own factor; one that is large enough fails alone."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name, (width, height) in {"a": (64, 36), "b": (40, 40), "c": (31, 50), "d": (200, 100)}.items():
        Image.fromarray(scene(0, width, height, "rgb24")[0]).save(folder / f"{name}.png")
    assert run([str(folder), str(out), "--to", "96x54", "--quiet"]) == 1
    assert "200x100 already" in capsys.readouterr().err
    sizes = {}
    for path in out.glob("*.png"):
        with Image.open(path) as image:
            sizes[path.name] = image.size
    assert sizes == {"a.png": (96, 54), "b.png": (54, 54), "c.png": (33, 54)}


@pytest.mark.parametrize("location", [ChromaLocation.LEFT, ChromaLocation.CENTER])
def test_nothing_moves(location: ChromaLocation) -> None:
    """The centre of a soft blob, by its moments, in luma and in chroma."""
    color = ColorSpec(chroma_location=location)
    with Upscaler(
        width=64, height=48, pixel_format="yuv420p", color=color, to="1.5", weights="fidelity"
    ) as upscaler:
        where = (23.3, 30.7)
        offset = 0.0 if location is ChromaLocation.LEFT else 0.5
        small = tuple(blob(shape, where, step, (0.5 if step == 2 else 0, offset if step == 2 else 0))
                      for shape, step in (((48, 64), 1), ((24, 32), 2), ((24, 32), 2)))  # fmt: skip
        large = upscaler(small)
    wanted = [(place + 0.5) * 1.5 - 0.5 for place in where]
    for index, step in enumerate((1, 2, 2)):
        sited = (0.5 if step == 2 else 0, offset if step == 2 else 0)
        weight = large[index].astype(float) - 60
        weight[weight < 3] = 0
        for axis in (0, 1):
            places = np.arange(weight.shape[axis]) * step + sited[axis]
            centre = (weight.sum(axis=1 - axis) * places).sum() / weight.sum()
            # So much is the weights' own; a wrong siting or phase moves planes by a quarter of a sample.
            assert abs(centre - wanted[axis]) < 0.06 * step, (index, axis, centre, wanted[axis])


def blob(
    shape: tuple[int, int], where: tuple[float, float], step: int, sited: tuple[float, float]
) -> np.ndarray:
    rows, columns = (np.arange(n) * step + s for n, s in zip(shape, sited, strict=True))
    distance = (rows[:, None] - where[0]) ** 2 + (columns[None] - where[1]) ** 2
    return np.rint(60 + 120 * np.exp(-distance / 50)).astype(np.uint8)
