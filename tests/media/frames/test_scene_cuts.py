"""Scene cuts: two pictures show the same scene, or they do not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paragon_stream.media.frames.scene_cuts import is_cut, small_picture

type Picture = NDArray[np.float64]


def scene(seed: int) -> Picture:
    """Soft shapes, 216×384, 0…1."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:216, :384] / 100
    waves = [
        np.sin(a * rows + b * columns + c) for a, b, c in rng.uniform([-5, -5, 0], [5, 5, 6], size=(6, 3))
    ]
    return 0.5 + 0.12 * np.sum(waves, axis=0).clip(-4, 4)


def cut(before: Picture, after: Picture) -> bool:
    one, other = (
        small_picture((255 * each).clip(0, 255).round().astype(np.uint8), 255) for each in (before, after)
    )
    return is_cut(one, other)


def barred(picture: Picture) -> Picture:
    made = picture.copy()
    made[:36] = made[-36:] = 16 / 255
    return made


def test_other_scenes_are_cuts_in_any_light() -> None:
    a, b = scene(1), scene(2)
    assert cut(a, b)
    assert cut(a - a.mean() + 0.5, b - b.mean() + 0.5)
    assert cut(0.06 + 0.15 * a, 0.06 + 0.15 * b)
    assert cut(barred(a), barred(b))
    assert cut(np.zeros_like(a), b) and cut(a, np.ones_like(a))


def test_fades_flashes_pans_and_noise_are_none() -> None:
    a, b = scene(1), scene(2)
    assert not cut(a, a)
    assert not cut(a, 0.8 * a) and not cut(0.12 * a, np.zeros_like(a))
    assert not cut(0.75 * a + 0.25 * b, 0.5 * a + 0.5 * b)
    assert not cut(a, (0.3 + 1.1 * a).clip(0, 1)) and not cut((0.3 + 1.1 * a).clip(0, 1), a)
    assert not cut(a[:, :-24], a[:, 24:])
    noise = np.random.default_rng(5).normal(0, 0.1, a.shape)
    assert not cut(a, a + noise)


def test_tiny_pictures_and_changes_of_size() -> None:
    one, other = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
    assert is_cut(one, other) and not is_cut(one, one)
    assert is_cut(one, np.zeros((2, 1), np.float32))
