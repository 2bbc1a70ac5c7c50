"""Results in a GPU's memory, for encoders that read them there."""

from __future__ import annotations

import logging

from paragon_stream.errors import EngineError
from paragon_stream.media.encode.device_frames import DeviceFrames, fits
from paragon_stream.media.output.plan import OutputPlan
from paragon_stream.render.upscalers import SPARE_SLOTS
from paragon_stream.upscaler import Upscaler

logger = logging.getLogger(__name__)


def results_on_gpu(upscaler: Upscaler, plan: OutputPlan) -> DeviceFrames | None:
    """Buffers on the engine's GPU for results that the encoder of `plan` reads there; None if it reads them
    in the host's memory."""
    room = upscaler.device_results
    if plan.job is None or not fits(upscaler.target, plan.job.encoder):
        return None
    if room is None:
        logger.info("%s gets its frames from the host: the engine is not on one GPU", plan.job.encoder.name)
        return None
    ordinal, make = room
    in_flight = upscaler.session.in_flight + SPARE_SLOTS
    try:
        results = DeviceFrames(upscaler.target, ordinal, make, in_flight=in_flight)
    except EngineError as error:
        logger.warning("%s gets its frames from the host: %s", plan.job.encoder.name, error)
        return None
    logger.info("%s gets its frames from the memory of cuda:%d", plan.job.encoder.name, ordinal)
    return results
