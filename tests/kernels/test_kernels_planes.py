"""Realtime's CUDA kernels, run on the CPU from their own source, against the plain float64 reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from emulator import BACKWARD, FORWARD, SHUFFLED, run_program
from frame_reference import reference_frame, rounded
from kernel_material import assert_close, noise, weights
from network_reference import random_spec, random_weights

from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat, pixel_format
from paragon_stream.framejob import build_job
from paragon_stream.framejob.cuda.emit import emit_cuda
from paragon_stream.framejob.cuda.program import BufferKind
from paragon_stream.geometry import Fit, parse_size, place

QUICK = [
    ("yuv420p", 66, 35, 2, 0.0),  # several tiles, slices and segments; odd height
    ("p010le", 21, 17, 2, 0.0),
    ("bgr0", 21, 17, 2, 0.0),
    ("yuv422p", 34, 21, 2, 0.0),
    ("yuv420p", 34, 21, 2, 0.3),
    ("yuv444p", 13, 10, 3, 0.0),
]
THOROUGH = [
    ("yuv420p", 1, 1, 2, 0.0),
    ("yuv420p10le", 37, 23, 2, 0.0),
    ("yuv420p12le", 21, 17, 2, 0.0),
    ("yuv420p16le", 34, 18, 2, 0.3),
    ("yuv422p10le", 37, 23, 2, 0.0),
    ("yuv440p", 21, 17, 2, 0.0),
    ("yuv444p12le", 21, 17, 2, 0.0),
    ("gray", 61, 21, 2, 0.0),
    ("gray12le", 70, 18, 3, 0.0),
    ("nv12", 66, 19, 2, 0.0),
    ("nv21", 20, 17, 2, 0.0),
    ("rgb24", 61, 17, 2, 0.0),
    ("rgb48le", 13, 10, 2, 0.0),
    ("gbrp", 13, 10, 4, 0.0),
    ("yuv420p", 13, 10, 4, 0.0),
    ("yuv420p", 13, 10, 4, 0.3),
    ("rgb24", 66, 18, 3, 0.3),
    ("yuv420p", 130, 70, 2, 0.0),
]


@pytest.mark.parametrize(("name", "width", "height", "scale", "alpha"), QUICK)
def test_formats(name: str, width: int, height: int, scale: int, alpha: float) -> None:
    network = weights(scale, alpha)
    assert_close(network, build_job(network, FrameFormat.of(name, width, height)))


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p", "rgb24", "gbrp10le"])
def test_chroma_by_a_filter(name: str) -> None:
    """Weights that leave chroma to it: longer filters than the base path's, another than luma's; in RGB they
    see mixtures of components."""
    network = replace(weights(), spec=replace(weights().spec, filters_chroma=True))
    assert_close(network, build_job(network, FrameFormat.of(name, 30, 18)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "width", "height", "scale", "alpha"), THOROUGH)
def test_more_formats(name: str, width: int, height: int, scale: int, alpha: float) -> None:
    test_formats(name, width, height, scale, alpha)


@pytest.mark.parametrize("strength", [0.0, 0.7])
def test_strength(strength: float) -> None:
    network = weights(conditioned=True)
    assert_close(network, build_job(network, FrameFormat.of("yuv420p", 18, 10)), strength)


@pytest.mark.parametrize("order", [FORWARD, SHUFFLED])
def test_two_blocks(order: int) -> None:
    network = random_weights(replace(random_spec(alpha=0.0), blocks=2))
    job = build_job(network, FrameFormat.of("gray", 140, 12))
    planes = noise(job.source)
    result = run_program(emit_cuda(job, multiprocessors=1), planes, order=order).outputs[0]
    expected = rounded(reference_frame(network, job.source, job.target, planes), job.target)[0]
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_deeper_target_and_pitched_planes() -> None:
    job = build_job(weights(), FrameFormat.of("yuv420p", 34, 21), pixel_format=pixel_format("yuv420p10le"))
    assert_close(weights(), job, input_pitches=(64, 32, 32), output_pitches=(256, 128, 128))


@pytest.mark.parametrize("target", ["gray", "gbrp10le"])
def test_other_targets_of_rgb(target: str) -> None:
    layout, color = pixel_format(target), FrameFormat.of(target, 68, 42).color
    job = build_job(weights(), FrameFormat.of("rgb24", 34, 21), pixel_format=layout, color=color)
    assert_close(weights(), job)


def test_neither_the_order_of_threads_nor_stale_memory_matters() -> None:
    """Races give other results when threads take other turns; so do bytes that were never written."""
    job = build_job(weights(), FrameFormat.of("yuv420p", 34, 21))
    program, planes = emit_cuda(job, multiprocessors=1), noise(job.source)
    wanted = run_program(program, planes, order=FORWARD, fill=0xFF).outputs
    for order, fill in ((BACKWARD, 0x00), (SHUFFLED, 0x3C)):
        for plane, other in zip(
            wanted, run_program(program, planes, order=order, fill=fill).outputs, strict=True
        ):
            np.testing.assert_array_equal(plane, other)


def test_how_rows_are_dealt_out_does_not_matter() -> None:
    job = build_job(weights(), FrameFormat.of("yuv420p", 34, 40))
    one, many = (emit_cuda(job, multiprocessors=count) for count in (1, 100))
    assert one.launches != many.launches and one.source == many.source
    first, second = (run_program(each, noise(job.source)).outputs for each in (one, many))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_status_tells_of_numbers_that_are_none() -> None:
    job = build_job(weights(), FrameFormat.of("yuv420p", 18, 10))
    program = emit_cuda(job, multiprocessors=1)
    head = next(launch for launch in program.launches if launch.kernel == "head")
    assert any(getattr(arg, "kind", None) is BufferKind.STATUS for arg in head.args)
    spoiled = bytearray(program.constants[1])
    spoiled[288 * 16 : 288 * 16 + 4] = np.float32(np.nan).tobytes()  # a bias of conv_mid
    broken = replace(program, constants=(program.constants[0], bytes(spoiled)))
    assert run_program(broken, noise(job.source)).status == 1


def test_source_is_the_same_for_all_sizes_and_weights() -> None:
    """So one cubin serves them."""
    small, large = (
        emit_cuda(build_job(weights(), FrameFormat.of("yuv420p", w, h))).source
        for w, h in ((64, 48), (1920, 1080))
    )
    other = build_job(
        random_weights(random_spec("realtime", alpha=0.0), seed=1), FrameFormat.of("yuv420p", 1920, 1080)
    )
    # The matrix (by size) changes no constant either: it is in the weights.
    assert small == large == emit_cuda(other).source


@pytest.mark.parametrize(
    ("variant", "scale", "name", "says"),
    [
        ("stream", 3, "yuv420p", "chroma samples do not fit"),
        ("realtime", 3, "yuv420p", "chroma samples do not fit"),
        ("realtime", 2, "yuv411p", "chroma samples do not fit"),
    ],
)
def test_what_the_kernels_cannot_do(variant: str, scale: int, name: str, says: str) -> None:
    network = random_weights(random_spec(variant, scale, alpha=0.0))
    with pytest.raises(EngineError, match=says):
        emit_cuda(build_job(network, FrameFormat.of(name, 32, 16)))


@pytest.mark.parametrize(
    ("variant", "changed", "says"),
    [
        ("realtime", {"features": 24}, "16 features of realtime"),
        ("stream", {"features": 64}, "32 features of stream"),
        ("realtime", {"blocks": 1}, "2 or 3 blocks"),
    ],
)
def test_networks_without_kernels(variant: str, changed: dict[str, int], says: str) -> None:
    network = random_weights(replace(random_spec(variant, alpha=0.0), **changed))
    with pytest.raises(EngineError, match=says):
        emit_cuda(build_job(network, FrameFormat.of("yuv420p", 32, 16)))


def test_other_families_sizes_and_alpha_are_refused() -> None:
    rgb, alpha = FrameFormat.of("rgb24", 32, 16), FrameFormat.of("rgba", 32, 16)
    colours = build_job(weights(), FrameFormat.of("yuv420p", 32, 16), pixel_format=pixel_format("rgb24"))
    size = parse_size("48x24")
    assert size
    resampled = build_job(weights(), rgb, placement=place(rgb, size, Fit.STRETCH))
    for job, says in (
        (colours, "of other colour"),
        (resampled, "resamples"),
        (build_job(weights(), alpha), "rgba"),
    ):
        with pytest.raises(EngineError, match=says):
            emit_cuda(job)
