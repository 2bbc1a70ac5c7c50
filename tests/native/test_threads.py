"""Threads of the engine `native` end with their session, also in the middle of a frame."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from native_material import make_job, noise
from places import SAMPLE

from paragon_stream import upscale
from paragon_stream.errors import EngineError
from paragon_stream.framejob import allocate_planes
from paragon_stream.native.library import kernels, missing
from paragon_stream.render.progress import RenderProgress
from paragon_stream.runtimes import Flavour
from paragon_stream.runtimes.native.session import NativeSession

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "the kernels are there")


def working() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("native", "paragon"))]


@pytest.mark.parametrize("flavour", list(Flavour))
@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_a_session_that_is_closed_in_the_middle_of_a_frame(variant: str, flavour: Flavour) -> None:
    """The frame is completed, then all threads are gone; another session goes on."""
    job = make_job(variant, 2, "yuv420p", (320, 180))
    first, second = (NativeSession(job, kernels()[-1], 2, flavour) for _ in range(2))
    planes = noise(job)
    outputs, others = allocate_planes(job.target), allocate_planes(job.target)
    completion = first.run(planes, outputs, 0.5)
    assert working()
    first.close()
    completion.wait()
    second.run(planes, others, 0.5).wait()
    second.close()
    for got, wanted in zip(outputs, others, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert working() == []
    with pytest.raises(EngineError, match="closed"):
        first.run(planes, outputs)


def test_a_render_that_is_interrupted(tmp_path: Path) -> None:
    def stop(progress: RenderProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale(SAMPLE, tmp_path / "out.mkv", engine="native", preset="ultrafast", on_progress=stop)
    assert working() == []
    assert not (tmp_path / "out.mkv").exists()
