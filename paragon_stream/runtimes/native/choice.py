"""Selects the form of the kernels for a job: the fastest one whose precision is sufficient."""

from __future__ import annotations

import logging

from paragon_stream.checkpoint import Variant
from paragon_stream.errors import EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.native.library import Kernels, kernels
from paragon_stream.runtimes.base import Precision
from paragon_stream.runtimes.native.error import psnr_of_noise
from paragon_stream.runtimes.native.trial import is_better

logger = logging.getLogger(__name__)

LEAST_PSNR = 47.0
"""The least PSNR of a reduced precision beside fp32, in dB, on noise of all codes, which is the worst case.
With the shipped weights bf16 reaches 48 (Stream `fidelity`, 65 on a picture) to 54 dB, fp16 56 and more."""


def form_for(precision: Precision, job: FrameJob) -> Kernels:
    """The fastest form of that precision that this CPU has. Raises EngineError.

    `auto` takes bf16 or fp16 only if its error does not show with the depth and weights of the job, and takes
    a form whose speed is not known only after a trial.
    """
    exact = form_of(Precision.FP32)
    if precision is Precision.AUTO:
        return _fastest(job, exact)
    chosen = form_of(precision)
    if chosen is not exact and (psnr := psnr_of_noise(job, chosen, exact)) < LEAST_PSNR:
        logger.warning(
            "with these weights %s differs from fp32: PSNR of noise %.1f dB; use --precision auto or fp32",
            *(precision, psnr),
        )
    return chosen


def form_of(precision: Precision) -> Kernels:
    """The fastest form of that precision. Raises EngineError."""
    for each in reversed(kernels()):
        if Precision(each.form.precision) is precision:
            return each
    raise EngineError(f"the engine native does not compute in {precision} on this CPU")


def _fastest(job: FrameJob, exact: Kernels) -> Kernels:
    """The fastest form in a reduced precision that may replace `exact`; `exact` if none may."""
    deepest = max(job.source.pixel_format.depth, job.target.pixel_format.depth)
    chosen = exact
    for each in kernels():
        if each.form.precision == "fp32" or not each.is_fast:
            continue
        if deepest > widest_depth(job, Precision(each.form.precision)):
            continue
        if not each.form.is_measured and not is_better(each, chosen, job.spec.variant):
            continue
        if (psnr := psnr_of_noise(job, each, exact)) < LEAST_PSNR:
            logger.info(
                "engine native: %s is too coarse for these weights: PSNR of noise %.1f dB",
                *(each.form.name, psnr),
            )
            continue
        chosen = each
    return chosen


def widest_depth(job: FrameJob, precision: Precision) -> int:
    """Bits of a sample up to which smooth areas in a reduced precision stay within one code of fp32."""
    return 8 if precision is Precision.BF16 and job.spec.variant is Variant.STREAM else 10
