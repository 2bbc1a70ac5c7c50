"""The engine `native`: this package's own CPU kernels (docs/cpu.md). Needs the compiled library, no other
package."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from paragon_stream.checkpoint import Variant
from paragon_stream.errors import EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.native.emit import emit_native, refusal
from paragon_stream.framejob.native.resize import at_network_scale
from paragon_stream.framejob.native.weights import Packing
from paragon_stream.native.library import Kernels, kernels
from paragon_stream.pipeline.slot import Completion
from paragon_stream.runtimes.base import Flavour, Plane, Precision, Session, SessionOptions
from paragon_stream.runtimes.buffers import check_planes
from paragon_stream.runtimes.cpu import check_device, cores, in_words
from paragon_stream.runtimes.native_frame import NativeRun
from paragon_stream.runtimes.native_resize import ResizedWork
from paragon_stream.runtimes.native_work import RealtimeWork, Stages, StreamWork, stages_into
from paragon_stream.runtimes.tiles import in_tiles_if_large

logger = logging.getLogger(__name__)


class NativeRuntime:
    """Frame jobs by this package's kernels, in fp32, or in bf16 or fp16 if the CPU has the instructions."""

    name = "native"

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """See `Runtime`. Raises EngineError if there are no kernels for this CPU, the job or the
        precision."""
        check_device(self.name, options)
        if reason := refusal(job):
            raise EngineError(reason)
        chosen = form_for(options.precision, job)
        threads = options.threads or cores()

        def compile_whole(job: FrameJob) -> Session:
            return NativeSession(job, chosen, threads, options.flavour)

        # Realtime's kernels keep rows, not whole maps.
        stream = job.spec.variant is Variant.STREAM
        session = in_tiles_if_large(job, compile_whole) if stream else compile_whole(job)
        logger.info("engine: native, %s, %s", session.precision, session.device)
        return session


def drawback(job: FrameJob, options: SessionOptions) -> str:
    """Why another engine is better for `job` on this CPU; "" if none is."""
    if reason := refusal(job):
        return reason
    try:
        form_for(options.precision, job)
    except EngineError as error:
        return str(error)
    return ""


def form_for(precision: Precision, job: FrameJob) -> Kernels:
    """The fastest form of that precision that this CPU has. Raises EngineError.

    `auto` takes bf16 or fp16 only where it does not show: see `widest_depth`.
    """
    deepest = max(job.source.pixel_format.depth, job.target.pixel_format.depth)
    for each in reversed(kernels()):
        if precision is Precision.AUTO:
            fits = each.is_fast and deepest <= widest_depth(job, _precision(each))
        else:
            fits = _precision(each) is precision
        if fits:
            return each
    raise EngineError(f"the engine native does not compute in {precision} on this CPU")


def widest_depth(job: FrameJob, precision: Precision) -> int:
    """Bits of a sample up to which smooth areas of `job` in `precision` stay within one code of fp32."""
    match precision:
        case Precision.BF16:
            return 10 if job.spec.variant is Variant.REALTIME else 8
        case Precision.FP16:
            return 10
        case _:
            return 16


def _precision(chosen: Kernels) -> Precision:
    return Precision(chosen.form.precision)


class NativeSession:
    """See `Session`. A pool of threads works on the parts of one frame or of several."""

    engine = "native"

    def __init__(self, job: FrameJob, chosen: Kernels, threads: int, flavour: Flavour) -> None:
        self.job = job
        self.precision = _precision(chosen)
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


RUNTIME = NativeRuntime()
