"""Chooses the faster of two engines for a job: compiles both, and each computes a few frames."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from paragon_stream.errors import EngineError
from paragon_stream.framejob import allocate_planes
from paragon_stream.framejob.job import FrameJob
from paragon_stream.pipeline.slot import Completion
from paragon_stream.runtimes.base import Precision, Runtime, Session, SessionOptions

logger = logging.getLogger(__name__)

_FRAMES, _SECONDS = 24, 1.0
"""Limits of one measurement, in seconds and in frames; the first one ends it."""


class FasterRuntime:
    """The GPU's engine if it is faster than the CPU's, else the CPU's; small GPUs may be slower."""

    name = "auto"

    def __init__(
        self, gpu: Runtime, cpu: Runtime, refusal: Callable[[FrameJob], str] = lambda job: ""
    ) -> None:
        """`refusal` returns why the GPU's engine cannot do a job; "" where it can."""
        self._gpu, self._cpu, self._refusal = gpu, cpu, refusal

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """See `Runtime`. Raises the errors of the CPU's engine, and of the GPU's if `device` selects it.

        The CPU's engine refuses the devices "cuda…", because it has the reason.
        """
        device = options.device or ""
        if device.startswith("gpu"):
            logger.info("engine: %s, because the device %s is selected", self._gpu.name, device)
            return self._gpu.compile(job, options)
        if device.startswith(("cpu", "cuda")) or options.precision is Precision.INT8:
            what = f"the device {device}" if device else "int8"
            logger.info("engine: one for CPUs, because %s is selected", what)
            return self._cpu.compile(job, options)
        reason = self._refusal(job)
        if reason:
            logger.info("engine: one for CPUs, although there is a GPU: %s", reason)
            return self._cpu.compile(job, options)
        try:
            gpu = self._gpu.compile(job, options)
        except EngineError as error:
            logger.warning("engine: one for CPUs, because the GPU's failed: %s", error)
            return self._cpu.compile(job, options)
        try:
            cpu = self._cpu.compile(job, options)
        except EngineError as error:
            logger.info("engine: %s, because the CPU's failed: %s", gpu.engine, error)
            return gpu
        except BaseException:
            gpu.close()
            raise
        try:
            rates = [_frames_a_second(session) for session in (gpu, cpu)]
        except EngineError as error:
            logger.warning("engine: %s, because %s failed: %s", cpu.engine, gpu.engine, error)
            rates = [0.0, 1.0]
        kept, dropped = (gpu, cpu) if rates[0] > rates[1] else (cpu, gpu)
        logger.info(
            "engine: %s, because %s computes %.1f frames a second here and %s %.1f",
            kept.engine,
            gpu.device,
            rates[0],
            cpu.engine,
            rates[1],
        )
        dropped.close()
        return kept


def _frames_a_second(session: Session) -> float:
    """Throughput of a session with `in_flight` frames in flight."""
    slots = [
        (allocate_planes(session.job.source), allocate_planes(session.job.target))
        for _ in range(session.in_flight)
    ]
    session.run(*slots[0]).wait()  # the first one also warms up
    flying: deque[Completion] = deque()
    begin, done = time.perf_counter(), 0
    while done < _FRAMES and time.perf_counter() - begin < _SECONDS:
        if len(flying) == len(slots):
            flying.popleft().wait()
        flying.append(session.run(*slots[done % len(slots)]))
        done += 1
    for each in flying:
        each.wait()
    return done / (time.perf_counter() - begin)
