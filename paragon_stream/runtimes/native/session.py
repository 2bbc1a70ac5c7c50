"""A session of the engine `native`: the pool of threads that computes its frames."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from paragon_stream.checkpoint import Variant
from paragon_stream.errors import EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.native.emit import emit_native
from paragon_stream.framejob.native.resize import at_network_scale
from paragon_stream.framejob.native.weights import Packing
from paragon_stream.native.library import Kernels
from paragon_stream.pipeline.slot import Completion
from paragon_stream.runtimes.base import Flavour, Plane, Precision
from paragon_stream.runtimes.buffers import check_planes
from paragon_stream.runtimes.cpu import in_words
from paragon_stream.runtimes.native.frame import NativeRun
from paragon_stream.runtimes.native.resize import ResizedWork
from paragon_stream.runtimes.native.work import RealtimeWork, Stages, StreamWork, stages_into


class NativeSession:
    """See `Session`. A pool of threads works on the parts of one frame or of several."""

    engine = "native"

    def __init__(self, job: FrameJob, chosen: Kernels, threads: int, flavour: Flavour) -> None:
        self.job = job
        self.precision = Precision(chosen.form.precision)
        self.device = f"{in_words(threads)}, {chosen.form.name}"
        packing = Packing.of(chosen.form, chosen.block)
        program = emit_native(job if job.ends_at_network_scale else at_network_scale(job), packing)
        kind = StreamWork if job.spec.variant is Variant.STREAM else RealtimeWork
        work = kind(program, chosen.entry, threads, flavour)
        self.in_flight = work.in_flight
        self.stages: Stages = functools.partial(stages_into, work)
        if not job.ends_at_network_scale:
            larger = ResizedWork(job, work, chosen.entry, threads, flavour)
            self.in_flight, self.stages = larger.in_flight, larger.stages
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="native")
        self._room = threading.BoundedSemaphore(self.in_flight)
        self._lock = threading.Lock()
        self._closed = False

    def run(self, inputs: Sequence[Plane], outputs: Sequence[Plane], strength: float = 0.0) -> Completion:
        check_planes(inputs, self.job.source)
        check_planes(outputs, self.job.target)
        self._room.acquire()
        try:
            with self._lock:
                if self._closed:
                    raise EngineError("the session is closed")
                stages = self.stages(inputs, outputs, strength)
                run = NativeRun(self._pool, stages, self._room.release)
        except BaseException:
            self._room.release()
            raise
        run.begin()
        return run

    def close(self) -> None:
        with self._lock:
            self._closed = True
        for _ in range(self.in_flight):  # waits for all frames in flight
            self._room.acquire()
        self._pool.shutdown(wait=True)
        for _ in range(self.in_flight):
            self._room.release()
