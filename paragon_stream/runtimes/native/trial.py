"""Tries a form of the kernels that has only run in emulators: it has to compute the right samples on this
processor, and be faster than the form that is known."""

from __future__ import annotations

import functools
import logging
import time

from paragon_stream.checkpoint import Variant, load_weights
from paragon_stream.errors import EngineError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.job import FrameJob, build_job
from paragon_stream.framejob.planes import allocate_planes
from paragon_stream.native.library import Kernels
from paragon_stream.runtimes.base import Flavour
from paragon_stream.runtimes.native.session import NativeSession
from paragon_stream.runtimes.self_check import check_engine, synthetic_frame

logger = logging.getLogger(__name__)

_WIDTH, _HEIGHT = 192, 32
"""The size of the frame: it takes a few milliseconds with Realtime, some ten with Stream."""

_ROUNDS = 5


@functools.cache
def is_better(candidate: Kernels, known: Kernels, variant: Variant) -> bool:
    """Whether `candidate` computes what `known` does, and faster; for Realtime or Stream at ×2. A wrong
    result is reported as a warning."""
    job = _job(variant)
    sessions = [NativeSession(job, each, 1, Flavour.LATENCY) for each in (candidate, known)]
    try:
        check_engine(sessions[0], lambda tile: NativeSession(tile, known, 1, Flavour.LATENCY))
        seconds = [float("inf")] * 2
        for _ in range(_ROUNDS):
            for number, session in enumerate(sessions):
                seconds[number] = min(seconds[number], duration(session))
    except EngineError as error:
        logger.warning("%s; it is not used. Please report this.", error)
        return False
    finally:
        for session in sessions:
            session.close()
    logger.info(
        "engine native: a small frame takes %.1f ms with %s and %.1f ms with %s",
        *(1000 * seconds[0], candidate.form.name, 1000 * seconds[1], known.form.name),
    )
    return seconds[0] < seconds[1]


def duration(session: NativeSession) -> float:
    """Seconds for one frame."""
    planes, outputs = synthetic_frame(session.job.source), allocate_planes(session.job.target)
    begin = time.perf_counter()
    session.run(planes, outputs).wait()
    return time.perf_counter() - begin


def _job(variant: Variant) -> FrameJob:
    source = FrameFormat.of("yuv420p", _WIDTH, _HEIGHT)
    return build_job(load_weights(variant=variant, scale=2), source)
