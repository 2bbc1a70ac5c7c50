"""Filter banks: against direct resampling, and the figures that the design states."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from paragon_stream.frame import ChromaLocation
from paragon_stream.framejob.taps import (
    HALF_BAND,
    IDENTITY,
    FilterBank,
    chroma_down,
    chroma_up,
    magic_kernel,
)


def apply(bank: FilterBank, signal: np.ndarray, first: int, cells: int) -> np.ndarray:
    """The bank on `signal`, whose sample `first` begins cell 0."""
    return np.array(
        [
            sum(float(w) * signal[first + cell * bank.step + k] for k, w in taps.items())
            for cell in range(cells)
            for taps in bank.phases
        ]
    )


def taps(bank: FilterBank, denominator: int) -> list[list[int]]:
    """Weights of each phase at the offsets -1, 0, 1."""
    return [[int(phase.get(k, 0) * denominator) for k in (-1, 0, 1)] for phase in bank.phases]


def test_magic_kernel_phases() -> None:
    assert taps(magic_kernel(2), 16) == [[5, 10, 1], [1, 10, 5]]
    assert taps(magic_kernel(3), 16) == [[5, 11, 0], [1, 14, 1], [0, 11, 5]]
    assert taps(magic_kernel(4), 16) == [[5, 11, 0], [1, 15, 0], [0, 15, 1], [0, 11, 5]]
    assert taps(magic_kernel(8), 16)[2:6] == [[0, 16, 0]] * 4


def test_chroma_up_at_left_and_centre() -> None:
    assert taps(chroma_up(2, ChromaLocation.LEFT.vertical), 4) == [[1, 3, 0], [0, 3, 1]]
    assert taps(chroma_up(2, ChromaLocation.LEFT.horizontal), 2) == [[0, 2, 0], [0, 1, 1]]
    assert taps(chroma_up(2, ChromaLocation.BOTTOM.vertical), 2) == [[1, 1, 0], [0, 2, 0]]


def test_chroma_down() -> None:
    quarter, half = Fraction(1, 4), Fraction(1, 2)
    assert chroma_down(2, Fraction(0)).phases == ({-1: quarter, 0: half, 1: quarter},)
    assert chroma_down(2, Fraction(1, 2)).phases == ({0: half, 1: half},)
    assert chroma_down(2, Fraction(1)).phases == ({0: quarter, 1: half, 2: quarter},)
    assert chroma_down(1, Fraction(1, 2)) == IDENTITY


@pytest.mark.parametrize("location", list(ChromaLocation)[1:])
@pytest.mark.parametrize("factor", [2, 4])
def test_chroma_filters_keep_a_ramp_where_it_is(location: ChromaLocation, factor: int) -> None:
    """Up and down move nothing: on a ramp every sample has the value of its own place."""
    for position in (location.horizontal, location.vertical):
        offset = float(position * (factor - 1))
        luma_ramp = np.arange(200.0) - 80
        chroma = apply(chroma_down(factor, position), luma_ramp, 80, 10)
        np.testing.assert_allclose(chroma, np.arange(10) * factor + offset, atol=1e-12)
        chroma_ramp = (np.arange(60.0) - 20) * factor + offset
        np.testing.assert_allclose(
            apply(chroma_up(factor, position), chroma_ramp, 20, 10), np.arange(10 * factor), atol=1e-12
        )


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 2), (1, 2), (2, 1), (4, 2), (2, 4)])
def test_composition_is_one_after_the_other(scale: int, up: int, down: int) -> None:
    banks = [chroma_up(up, Fraction(0)), HALF_BAND, magic_kernel(scale), chroma_down(down, Fraction(1, 2))]
    whole = banks[0]
    for bank in banks[1:]:
        whole = whole.then(bank)
    rng = np.random.default_rng(0)
    signal, origin, margin = rng.standard_normal(120), 48, 16
    # Each stage keeps `margin` cells of the first grid before the picture, so origins stay known.
    stage, first = signal, origin
    for bank in banks:
        before = margin * len(bank.phases) // bank.step if bank.step > 1 else margin
        cells = (len(stage) - first) // bank.step - margin + before - 4
        stage = apply(bank, stage, first - before * bank.step, before + cells - before)
        first = before * len(bank.phases)
        margin = before * len(bank.phases) // 2
    count = 6 * len(whole.phases)
    np.testing.assert_allclose(apply(whole, signal, origin, 6), stage[first : first + count], atol=1e-12)


def test_shifted_and_repeated_are_the_same_filter() -> None:
    bank = magic_kernel(3)
    signal = np.random.default_rng(1).standard_normal(60)
    plain = apply(bank, signal, 20, 10)
    np.testing.assert_allclose(apply(bank.repeated(2), signal, 20, 5), plain, atol=1e-15)
    np.testing.assert_allclose(apply(bank.shifted(1), signal, 20, 10)[1:], plain[:-1], atol=1e-15)


def test_every_filter_keeps_constants() -> None:
    banks = [HALF_BAND, *(magic_kernel(s) for s in (2, 3, 4, 8))]
    banks += [f(n, Fraction(p, 2)) for f in (chroma_up, chroma_down) for n in (2, 4) for p in (0, 1, 2)]
    for bank in banks:
        assert all(sum(phase.values()) == 1 for phase in bank.phases)
