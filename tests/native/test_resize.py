"""Frames that are brought to another size by the kernels, beside numpy's way over the same network."""

from __future__ import annotations

import numpy as np
import pytest
from native_material import make_job, noise

from paragon_stream.framejob import allocate_planes
from paragon_stream.native.library import kernels, missing
from paragon_stream.runtimes import Flavour
from paragon_stream.runtimes.native.session import NativeSession
from paragon_stream.runtimes.tiles import TiledSession

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "the kernels are there")


@pytest.mark.parametrize(
    ("variant", "pixels", "size", "box"),
    [
        ("realtime", "yuv420p", (97, 61), (146, 92)),
        ("realtime", "bgr0", (61, 33), (64, 80)),
        ("realtime", "p010le", (40, 22), (100, 44)),
        ("realtime", "yuva420p", (34, 67), (150, 100)),
        ("stream", "yuv422p10le", (37, 21), (56, 40)),
        ("realtime", "yuv420p", (26, 18), (80, 36)),  # bars alone
    ],
)
@pytest.mark.parametrize("flavour", list(Flavour))
def test_forms_agree_with_numpy(
    flavour: Flavour, variant: str, pixels: str, size: tuple[int, int], box: tuple[int, int]
) -> None:
    job = make_job(variant, 2, pixels, size, box)
    planes = noise(job)
    for each in kernels():
        session = NativeSession(job, each, 3, flavour)
        outputs = [allocate_planes(job.target) for _ in range(3)]
        for run in [session.run(planes, frame, 0.5) for frame in outputs]:
            run.wait()
        session.close()
        apart = TiledSession(
            job, size[1], size[0], lambda tile, each=each: NativeSession(tile, each, 1, Flavour.LATENCY)
        )
        expected = allocate_planes(job.target)
        apart.run(planes, expected, 0.5).wait()
        apart.close()
        for frame in outputs:
            for plane, wanted in zip(frame, expected, strict=True):
                difference = np.abs(plane.astype(int) - wanted) >> job.target.pixel_format.shift
                assert difference.max() <= 1 and (difference > 0).sum() <= 2, each.form.name


def test_frames_in_flight_do_not_share_memory() -> None:
    """Two frames, dark and bright, computed at once."""
    job = make_job("realtime", 2, "gray", (96, 64), (144, 96))
    session = NativeSession(job, kernels()[-1], 2, Flavour.THROUGHPUT)
    assert session.in_flight == 2
    dark, bright = allocate_planes(job.source), allocate_planes(job.source)
    bright[0][:] = 200
    alone = [allocate_planes(job.target) for _ in range(2)]
    for planes, frame in zip((dark, bright), alone, strict=True):
        session.run(planes, frame).wait()
    for _ in range(20):
        together = [allocate_planes(job.target) for _ in range(2)]
        for run in [session.run(p, frame) for p, frame in zip((dark, bright), together, strict=True)]:
            run.wait()
        for frame, wanted in zip(together, alone, strict=True):
            np.testing.assert_array_equal(frame[0], wanted[0])
    session.close()
