"""Quantisation tables of JPEG and Motion JPEG against what encoders were given; images' strengths by them."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paragon_stream import upscale_images
from paragon_stream.media.measure.roundtrip import Encoding, round_trip
from paragon_stream.media.quantisers.jpeg import JpegHeaders
from paragon_stream.media.quantisers.meter import Origin

# In Pillow's tables rows are written one after another; low frequencies are those above the diagonal.
LOW_IS_3 = [90 if not (y or x) else 3 if y + x < 6 else 200 for y in range(8) for x in range(8)]


def picture(mode: str = "RGB") -> Image.Image:
    samples = np.random.default_rng(3).integers(0, 256, (40, 48, 3), np.uint8)
    return Image.fromarray(samples).convert(mode)


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    picture(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"mode": "L"}, {"mode": "CMYK"}, {"exif": b"Exif\0\0" + b"\xff" * 50}],
)
def test_the_low_frequencies_of_lumas_table(options: dict[str, object]) -> None:
    tables = [LOW_IS_3, [77] * 64] if options.get("mode") != "L" else [LOW_IS_3]
    assert JpegHeaders().quantiser(jpeg(qtables=tables, **options)) == 3


def test_better_qualities_have_smaller_steps() -> None:
    steps = [JpegHeaders().quantiser(jpeg(quality=quality)) for quality in (20, 50, 75, 90, 98)]
    assert steps == sorted(steps, reverse=True) and steps[-1] < 3 < 40 < steps[0]


def test_what_is_no_jpeg_tells_nothing() -> None:
    data = jpeg(quality=80)
    assert JpegHeaders().quantiser(b"") is None
    assert JpegHeaders().quantiser(b"\x89PNG" + data) is None
    rng = random.Random(4)
    for _ in range(300):
        broken = bytearray(data[: rng.randrange(2, len(data))])
        for _ in range(8):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        measured = JpegHeaders().quantiser(bytes(broken))
        assert measured is None or 0 <= measured < 65536


def test_motion_jpeg_tells_by_its_tables() -> None:
    rng = np.random.default_rng(5)
    planes = [rng.integers(16, 236, shape).astype(np.uint8) for shape in ((48, 64), (24, 32), (24, 32))]
    strengths = []
    for quantiser in ("2", "12"):
        options = {"qmin": quantiser, "qmax": quantiser, "b": "1000000"}
        decoded = round_trip([tuple(planes)] * 3, Encoding(encoder="mjpeg", options=options))
        assert {frame.reading.origin for frame in decoded if frame.reading} == {Origin.HEADERS}
        strengths.append(decoded[0].strength)
    assert 0 <= strengths[0] < strengths[1]


def test_images_get_their_own_strength(tmp_path: Path) -> None:
    """Harder ones get a higher one; `strength` is for all; what is no JPEG is clean."""
    folder = tmp_path / "in"
    folder.mkdir()
    picture().save(folder / "a.jpg", quality=15)
    picture().save(folder / "b.jpg", quality=80)
    picture().save(folder / "c.png")
    measured = {
        strength: [
            image.strength
            for image in upscale_images(
                folder, tmp_path / f"out{strength}", weights="video", engine="null", strength=strength
            ).images
        ]
        for strength in ("auto", 0.3)
    }
    hard, soft, clean = measured["auto"]
    assert 1 >= hard > soft > clean == 0
    assert measured[0.3] == [0.3] * 3
