"""Stream's CUDA kernels, run on the CPU from their own source, against the plain float64 reference.

What they share with Realtime's (the planes' side) is tested there. Their text does not depend on the number
of blocks, so most of this takes networks of one or two.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from emulator import BACKWARD, FORWARD, SHUFFLED, run_program
from kernel_material import assert_close, noise, stream_weights
from network_reference import random_spec, random_weights

from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import build_job
from paragon_stream.framejob.cuda.emit import emit_cuda

CONDITIONED = stream_weights(conditioned=True)


def test_a_frame_of_several_strips() -> None:
    job = build_job(CONDITIONED, FrameFormat.of("yuv420p", 34, 9))
    assert_close(CONDITIONED, job, strength=0.7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "height", "scale", "alpha"),
    [
        ("yuv420p", 1, 1, 2, 0.0),
        ("yuv420p10le", 37, 23, 2, 0.3),
        ("p010le", 21, 17, 2, 0.0),
        ("nv12", 66, 19, 2, 0.0),
        ("yuv422p10le", 37, 23, 2, 0.0),
        ("yuv440p", 21, 17, 2, 0.0),
        ("yuv444p12le", 21, 17, 2, 0.0),
        ("gray", 150, 12, 2, 0.0),
        ("rgb24", 61, 17, 2, 0.0),
        ("yuv420p16le", 34, 18, 2, 0.0),
        ("yuv444p", 13, 10, 3, 0.0),
        ("yuv420p", 13, 10, 4, 0.0),
        ("gbrp", 13, 10, 4, 0.0),
        ("yuv410p", 20, 12, 4, 0.0),
        ("bgr0", 21, 9, 4, 0.3),
    ],
)
def test_formats(name: str, width: int, height: int, scale: int, alpha: float) -> None:
    network = stream_weights(scale, alpha=alpha)
    assert_close(network, build_job(network, FrameFormat.of(name, width, height)))


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [1, 6])
def test_other_depths(blocks: int) -> None:
    """Odd numbers of blocks end in the other workspace."""
    network = stream_weights(depth=blocks)
    assert_close(network, build_job(network, FrameFormat.of("yuv420p", 40, 22)))


def test_neither_order_nor_stale_memory_nor_how_rows_are_dealt_out_matters() -> None:
    job = build_job(CONDITIONED, FrameFormat.of("yuv420p", 14, 6))
    one, many = (emit_cuda(job, multiprocessors=count) for count in (1, 100))
    assert one.launches != many.launches and one.source == many.source
    wanted = run_program(one, noise(job.source), order=FORWARD, fill=0xFF).outputs
    for program, order, fill in ((one, SHUFFLED, 0x3C), (many, BACKWARD, 0x00)):
        got = run_program(program, noise(job.source), order=order, fill=fill).outputs
        for plane, other in zip(wanted, got, strict=True):
            np.testing.assert_array_equal(plane, other)


def test_status_tells_of_numbers_that_are_none() -> None:
    job = build_job(CONDITIONED, FrameFormat.of("yuv420p", 6, 4))
    program = emit_cuda(job, multiprocessors=1)
    body, head, block, last = program.constants
    spoiled = bytearray(block)
    spoiled[:2] = np.float16(np.inf).tobytes()  # a tap of `near`: infinities of both signs, then none
    broken = replace(program, constants=(body, head, bytes(spoiled), last))
    assert run_program(broken, noise(job.source)).status == 1
    assert run_program(program, noise(job.source)).status == 0


def test_source_is_the_same_for_all_sizes_weights_and_depths() -> None:
    small, large = (
        emit_cuda(build_job(stream_weights(), FrameFormat.of("yuv420p", w, h))).source
        for w, h in ((64, 48), (1920, 1080))
    )
    other = random_weights(random_spec("stream", alpha=0.0), seed=1)
    assert small == large == emit_cuda(build_job(other, FrameFormat.of("yuv420p", 1920, 1080))).source


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1, 1), (853, 479), (28, 4), (7680, 4320)])
def test_launches_stay_inside_the_maps(width: int, height: int) -> None:
    """The last strip's context, and the last tile of `head`, have memory; so has every row."""
    network = stream_weights(depth=6)
    program = emit_cuda(build_job(network, FrameFormat.of("yuv420p", width, height)))
    assert len(program.workspaces) == 2
    for launch in program.launches[1:-1]:
        pitch, rows, strips, segment = (each.value for each in launch.args[3:])  # type: ignore[union-attr]
        assert 4 + 28 * (strips - 1) + 4 * 7 + 8 < pitch
        assert (rows + 8) * pitch * 64 <= program.workspaces[0]
        assert launch.grid[0] * 4 >= strips and launch.grid[1] * segment >= rows
