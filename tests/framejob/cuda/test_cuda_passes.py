"""The passes of the kernel `head`: every plane once, and no more passes than the registers require."""

from __future__ import annotations

import itertools

import pytest
from network_reference import random_spec, random_weights

from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import build_job
from paragon_stream.framejob.cuda.passes import TILE, Pass, tail_passes


def passes_of(variant: str, scale: int, name: str, alpha: float = 0.0) -> tuple[Pass, ...]:
    job = build_job(random_weights(random_spec(variant, scale, alpha=alpha)), FrameFormat.of(name, 32, 16))
    return tail_passes(job, job.tail(TILE, sparse=False))


def planes_of(passes: tuple[Pass, ...]) -> list[list[int]]:
    """The components of each pass."""
    return [[member.plane.component for group in each.groups for member in group] for each in passes]


@pytest.mark.parametrize("variant", ["realtime", "stream"])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize(
    ("scale", "name"),
    [(2, "yuv420p"), (2, "rgb24"), (3, "yuv444p"), (4, "yuv420p"), (4, "gray"), (4, "bgr0")],
)
def test_every_plane_is_made_once_of_tiles_that_have_it(
    variant: str, alpha: float, scale: int, name: str
) -> None:
    passes = passes_of(variant, scale, name, alpha)
    components = len(FrameFormat.of(name, 32, 16).pixel_format.order) - (name == "bgr0")
    assert list(itertools.chain(*planes_of(passes))) == list(range(components))
    for each in passes:
        for group in each.groups:
            for detail in (member.detail for member in group):
                first, last = TILE * each.first_tile, TILE * (each.first_tile + each.tiles)
                assert first <= detail.channels[0] < detail.channels[1] <= last
        assert each.registers <= 210


def test_doubling_takes_one_pass() -> None:
    """There sums, taps and columns of all planes have room, with the one filter that shipped sets have."""
    for variant in ("realtime", "stream"):
        for name in ("gray", "yuv420p", "yuv422p", "yuv444p", "rgb24"):
            (only,) = passes_of(variant, 2, name)
            assert only.holds_taps


@pytest.mark.parametrize(
    ("variant", "scale", "name", "alpha", "planes"),
    [
        ("realtime", 4, "yuv420p", 0.0, [[0, 1, 2]]),
        ("stream", 4, "yuv420p", 0.0, [[0], [1, 2]]),
        ("realtime", 4, "rgb24", 0.0, [[0], [1], [2]]),
        ("stream", 3, "yuv444p", 0.0, [[0], [1], [2]]),
        ("realtime", 3, "yuv444p", 0.0, [[0], [1, 2]]),
        ("stream", 2, "yuv444p", 0.3, [[0, 1], [2]]),
    ],
)
def test_more_than_registers_hold_takes_several(
    variant: str, scale: int, name: str, alpha: float, planes: list[list[int]]
) -> None:
    passes = passes_of(variant, scale, name, alpha)
    assert planes_of(passes) == planes
    assert all(each.holds_taps for each in passes)


def test_taps_without_room_are_read_through_the_cache() -> None:
    assert [each.holds_taps for each in passes_of("stream", 4, "yuv410p")] == [False, True]
