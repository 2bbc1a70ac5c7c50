"""Selects the form of the kernels for a job: the fastest one whose precision is sufficient."""

from __future__ import annotations

from paragon_stream.checkpoint import Variant
from paragon_stream.errors import EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.native.library import Kernels, kernels
from paragon_stream.runtimes.base import Precision
from paragon_stream.runtimes.native.trial import is_better


def form_for(precision: Precision, job: FrameJob) -> Kernels:
    """The fastest form of that precision that this CPU has. Raises EngineError.

    `auto` takes bf16 or fp16 only where it does not show (see `widest_depth`), and a form whose speed is not
    known only after a trial.
    """
    if precision is not Precision.AUTO:
        fitting = [each for each in kernels() if Precision(each.form.precision) is precision]
        if not fitting:
            raise EngineError(f"the engine native does not compute in {precision} on this CPU")
        return fitting[-1]
    deepest = max(job.source.pixel_format.depth, job.target.pixel_format.depth)
    chosen = None
    for each in kernels():
        fits = each.is_fast and deepest <= widest_depth(job, Precision(each.form.precision))
        if fits and (chosen is None or each.form.is_measured or is_better(each, chosen, job.spec.variant)):
            chosen = each
    if chosen is None:
        raise EngineError("the engine native has no kernels for this CPU")
    return chosen


def widest_depth(job: FrameJob, precision: Precision) -> int:
    """Bits of a sample up to which smooth areas of `job` in `precision` stay within one code of fp32."""
    match precision:
        case Precision.BF16:
            return 10 if job.spec.variant is Variant.REALTIME else 8
        case Precision.FP16:
            return 10
        case _:
            return 16
