"""Calibration for INT8: the ranges of a network's maps, and the convolutions to quantise.

Each convolution is tested alone; those with the least error are combined until the result reaches the noise
budget. The pictures are the caller's, or generated ones: clouds, edges, fine lines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from paragon_stream.framejob.onnx.quantise import (
    Calibration,
    Range,
    best_range,
    convolutions,
    quantised,
    sampled,
)

logger = logging.getLogger(__name__)

type Arrays = Mapping[str, NDArray[Any]]
type Compute = Callable[[onnx.ModelProto, Sequence[Arrays], Sequence[str]], list[list[NDArray[Any]]]]
"""Computes the named outputs of a graph for each set of inputs; engines provide it."""

LEAST_DB = 53.0
"""Least PSNR of INT8 results against fp32, dB. Noise of 53 dB reduces a result of 36.6 dB by 0.1 dB."""

_AT_ONCE = 24
"""Convolutions whose inputs are sampled in one run: all 331 of v6's pro take more than 20 GB."""

SIDE = 96
"""Side of the generated pictures, pixels."""


def drawn_pictures(count: int = 4, side: int = SIDE) -> list[NDArray[np.float32]]:
    """Pictures [3, side, side] in 0…1, always the same: clouds of many sizes under shapes and fine lines."""
    rng = np.random.default_rng(20)
    rows, columns = np.mgrid[:side, :side] / side
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)) + 1 / side
    pictures = []
    for number in range(count):
        noise = np.fft.fft2(rng.standard_normal((3, side, side)))
        clouds = np.fft.ifft2(noise / frequency ** (1.2 + 0.15 * number)).real
        grey = clouds.mean(0, keepdims=True)
        picture = 0.5 + 0.16 * (grey + 0.2 * (clouds - grey)) / grey.std()
        for _ in range(6):
            angle, place = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8, 2)
            across = np.cos(angle) * (rows - place[0]) + np.sin(angle) * (columns - place[1])
            along = np.sin(angle) * (rows - place[0]) - np.cos(angle) * (columns - place[1])
            inside = (np.abs(across) < rng.uniform(0.02, 0.2)) & (np.abs(along) < rng.uniform(0.1, 0.4))
            flat = rng.uniform(-0.3, 0.3, (3, 1))
            lines = 0.15 * np.sin(150 * across[inside])
            picture[:, inside] += flat if number % 2 else lines
        pictures.append(np.clip(picture, 0, 1).astype(np.float32))
    return pictures


def calibrate(
    model: onnx.ModelProto,
    feeds: Sequence[Arrays],
    outputs: Sequence[str],
    compute: Compute,
    *,
    peak: float,
    least_db: float = LEAST_DB,
    on_progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Choose the convolutions of `model` (fp32) that are computed in INT8, by the results for `feeds`.

    `outputs` are the results to compare, with values from 0 to `peak`. `on_progress` is called with the
    number of tested convolutions and their total.
    """
    count = len(convolutions(model))
    ranges = [
        each
        for first in range(0, count, _AT_ONCE)
        for each in _ranges(model, range(first, first + _AT_ONCE), feeds, compute)
    ]
    found = Calibration(ranges=tuple(ranges), chosen=frozenset())
    expected = compute(model, feeds, outputs)

    def noise(chosen: Sequence[int], some: Sequence[Arrays] = feeds) -> float:
        """Mean squared error of the worst output, as a part of the peak's square."""
        results = compute(quantised(model, found, chosen), some, outputs)
        errors = [
            [np.square((a.astype(np.float64) - b) / peak).mean() for a, b in zip(there, here, strict=True)]
            for there, here in zip(expected, results, strict=False)
        ]
        return float(np.mean(errors, axis=0).max())

    budget = 10 ** (-least_db / 10)
    alone = []
    for number in range(count):
        alone.append((noise([number], feeds[:2]), number))
        if on_progress is not None:
            on_progress(number + 1, count)
    alone.sort()
    chosen: list[int] = []
    total = 0.0
    for cost, number in alone:
        total += cost
        if total > budget:
            break
        chosen.append(number)
    while chosen and noise(chosen) > budget:  # errors of neighbours may add up
        chosen.pop()
    logger.info("INT8: %d of %d convolutions", len(chosen), count)
    return replace(found, chosen=frozenset(chosen))


def _ranges(model: onnx.ModelProto, numbers: range, feeds: Sequence[Arrays], compute: Compute) -> list[Range]:
    """The ranges of the inputs of some convolutions."""
    whole, inputs = sampled(model, numbers)
    names = list(dict.fromkeys(inputs))  # convolutions may share their input
    samples = compute(whole, feeds, names)
    found = {name: best_range([each[place] for each in samples]) for place, name in enumerate(names)}
    return [found[name] for name in inputs]


def left_wide(model: onnx.ModelProto, calibration: Calibration) -> list[str]:
    """Names of the convolutions that are not INT8."""
    nodes = enumerate(convolutions(model))
    return [node.name for number, node in nodes if number not in calibration.chosen]
