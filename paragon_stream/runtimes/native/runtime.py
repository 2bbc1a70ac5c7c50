"""The engine `native`: this package's own CPU kernels (docs/cpu.md). Needs the compiled library, no other
package."""

from __future__ import annotations

import logging

from paragon_stream.checkpoint import Variant
from paragon_stream.errors import EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.framejob.native.emit import refusal
from paragon_stream.runtimes.base import Precision, Session, SessionOptions
from paragon_stream.runtimes.cpu import check_device, cores
from paragon_stream.runtimes.native.choice import form_for, form_of
from paragon_stream.runtimes.native.session import NativeSession
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
    if options.precision is not Precision.AUTO:
        try:
            form_of(options.precision)
        except EngineError as error:
            return str(error)
    return ""


RUNTIME = NativeRuntime()
