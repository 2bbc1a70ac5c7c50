"""Checks an engine at the start: compares its result for one synthetic frame with the CPU's.

Drivers, kernels and compilers can fail without an error: black frames, NaN, exchanged planes. The CPU
computes only some tiles of the frame (corners, middle), so that the check is as fast for large frames.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import EngineError
from paragon_stream.frame import Family, FrameFormat, Layout, PixelFormat
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.planes import Plane, allocate_planes
from paragon_stream.runtimes.base import DeviceBound, Precision, Session
from paragon_stream.runtimes.tiles import Tiling

logger = logging.getLogger(__name__)

LEAST_PSNR = 42.0
"""Least PSNR of every plane, dB. 16-bit arithmetic stays above 50; a shift by half a sample is far below."""

MOST_CODES = 8 / 255
"""The largest error allowed at any sample, as a fraction of the peak. 16-bit arithmetic stays below 2 /
255."""

FP32_ERROR = 2.0**-19
"""The largest mean error of a body in fp32 before rounding, as a fraction of the peak. With the shipped
networks a different order of sums causes 2**-21 at most; TF32, with 10 bits of mantissa, 2**-18 at least."""

_TIES = 3  # samples of a small picture that may be rounded differently

_TILE = 64  # luma samples, without the context


@dataclass(frozen=True, kw_only=True)
class PlaneDeviation:
    """The deviation of one plane from the CPU's: PSNR in dB, and codes of its depth."""

    name: str
    psnr: float
    largest: float
    mean: float
    """Mean squared error, in codes without the shift of formats such as p010."""
    samples: int
    peak: int


def check_engine(
    session: Session, compile_reference: Callable[[FrameJob], Session]
) -> tuple[PlaneDeviation, ...]:
    """Run one frame through `session`, some of its tiles through the CPU, and compare.

    `compile_reference` is called with the job of one tile. Raises EngineError that names the kind of error,
    and the errors of both sessions.
    """
    job = session.job
    inputs, outputs = synthetic_frame(job.source), allocate_planes(job.target)
    for plane in outputs:
        plane[...] = 0x5A  # reveals an engine that writes nothing
    reruns = _reruns(session)
    session.run(inputs, outputs, 0.5).wait()
    if _reruns(session) != reruns:
        raise EngineError(f"{_whose(session)} computes NaN or infinity on an ordinary frame")
    expected = _by_tiles(job, inputs, compile_reference)
    names = _names(job.target)
    pixels = job.target.pixel_format
    deviations = []
    for name, got, wanted in zip(names, outputs, expected, strict=True):
        known = wanted >= 0
        deviations.append(_deviation(name, got[known], wanted[known], pixels))
    most = MOST_CODES * (pixels.peak << pixels.shift)
    bad = [each for each in deviations if each.psnr < LEAST_PSNR or each.largest > most]
    if bad:
        what = _diagnosis(job.target, outputs, expected, bad)
        worst = min(bad, key=lambda each: each.psnr)
        raise EngineError(
            f"{_whose(session)} computes a wrong result: {what} "
            f"({worst.name}: {worst.psnr:.1f} dB, up to {worst.largest:.0f} codes off)"
        )
    found = ", ".join(f"{each.name} {each.psnr:.1f} dB" for each in deviations)
    if session.precision is Precision.FP32 and not all(map(_is_fp32, deviations)):
        logger.warning("%s is less exact than fp32, probably because of TF32: %s", _whose(session), found)
    logger.info("%s agrees with the CPU: %s", _whose(session), found)
    return tuple(deviations)


def synthetic_frame(format: FrameFormat) -> tuple[Plane, ...]:
    """Gradients, hard edges and noise, different in each plane. Deterministic."""
    rng = np.random.default_rng(20)
    pixels = format.pixel_format
    planes = allocate_planes(format)
    for index, plane in enumerate(planes):
        rows, columns = np.indices(plane.shape[:2])
        slope = rows * (0.9 + index) / plane.shape[0] + columns * (1.3 - 0.4 * index) / plane.shape[1]
        blocks = ((rows // 7 + columns // (9 + 2 * index)) % 2) * 0.25
        picture = (0.15 + 0.25 * slope + blocks)[..., None] + rng.normal(0, 0.03, (*plane.shape[:2], 1))
        shades = np.linspace(1.0, 0.6, int(np.prod(plane.shape[2:]) or 1))
        codes = np.clip(picture * shades, 0.06, 0.92) * pixels.peak
        plane[...] = (codes.astype(plane.dtype) << pixels.shift).reshape(plane.shape)
    return planes


def _by_tiles(
    job: FrameJob, inputs: Sequence[Plane], compile_reference: Callable[[FrameJob], Session]
) -> list[NDArray[np.int32]]:
    """The CPU's result in the computed tiles, -1 elsewhere."""
    side = max(_TILE, 2 * job.context) + 2 * job.context
    whole = job.spec.sees_whole_frame  # then tiles would give a different result
    rows = side if job.source.height > 2 * side and not whole else job.source.height
    columns = side if job.source.width > 2 * side and not whole else job.source.width
    tiling = Tiling(job, rows, columns)
    last = len(tiling) - 1
    corners_and_middle = {0, tiling.across - 1, last // 2, last - tiling.across + 1, last}
    has_bars = any(plane.has_bars for plane in job.outputs)  # tiles have no bars
    expected = [np.full(shape, -1, np.int32) for shape in job.target.plane_shapes]
    reference = compile_reference(tiling.tile)
    try:
        tiling.run(reference, inputs, expected, 0.5, only=None if has_bars else corners_and_middle)
    finally:
        reference.close()
    return expected


def _deviation(
    name: str, got: NDArray[np.generic], wanted: NDArray[np.int32], pixels: PixelFormat
) -> PlaneDeviation:
    error = got.astype(np.float64) - wanted
    power = float(np.mean(error**2)) / 4**pixels.shift
    return PlaneDeviation(
        name=name,
        psnr=10 * np.log10(pixels.peak**2 / power) if power else np.inf,
        largest=float(np.abs(error).max()),
        mean=power,
        samples=error.size,
        peak=pixels.peak,
    )


def _is_fp32(plane: PlaneDeviation) -> bool:
    """Whether the result is as exact as fp32: an error of e < 1 codes changes a fraction e of all samples by
    one code; a larger e changes every sample by e."""
    allowed = FP32_ERROR * plane.peak
    return plane.mean - _TIES / plane.samples <= max(allowed, allowed**2)


def _diagnosis(
    format: FrameFormat,
    got: Sequence[Plane],
    wanted: Sequence[NDArray[np.int32]],
    bad: Sequence[PlaneDeviation],
) -> str:
    """The kind of error, in words."""
    peak = format.pixel_format.peak << format.pixel_format.shift
    pairs = [(g[w >= 0].astype(np.float64), w[w >= 0]) for g, w in zip(got, wanted, strict=True)]
    first = pairs[0][0]
    if np.all(first == first.flat[0]):
        empty = first.flat[0] <= 0.07 * peak
        return "the picture is black" if empty else "the picture is empty"
    if all((plane == 0x5A).mean() > 0.5 for plane in got):
        return "the result was not written"
    if len(pairs) == 3 and pairs[1][0].shape == pairs[2][0].shape:
        pixels = format.pixel_format
        swapped = (_deviation("", pairs[a][0], pairs[b][1], pixels).psnr for a, b in ((1, 2), (2, 1)))
        if min(swapped) > LEAST_PSNR:
            return "the second and the third plane are exchanged"
    names = [each.name for each in bad]
    if format.pixel_format.family is Family.YUV and "Y" not in names:
        return "the colours are wrong"
    shifts = [float(np.median(g - w)) for g, w in pairs]
    if all(abs(shift) > 0.01 * peak for shift in shifts):
        return "the range or the matrix is wrong"
    return f"the picture differs in {', '.join(names)}"


def _names(format: FrameFormat) -> tuple[str, ...]:
    """Names of the arrays of `format`."""
    pixels = format.pixel_format
    letters = {Family.YUV: "YUVA", Family.RGB: "RGBA", Family.GRAY: "Y"}[pixels.family]
    if pixels.layout is Layout.PACKED:
        return ("the picture",)
    if pixels.layout is Layout.SEMIPLANAR:
        return "Y", "UV"
    return tuple(letters[component] for component in pixels.order)


def _whose(session: Session) -> str:
    return f"engine {session.engine} on {session.device}"


def _reruns(session: Session) -> int:
    return session.reruns if isinstance(session, DeviceBound) else 0
