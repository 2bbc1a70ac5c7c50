"""The engines `tensorrt` and `tensorrt-rtx`: the same code over the same API, from two libraries."""

from __future__ import annotations

import logging
from typing import Any

from paragon_stream.device import Device
from paragon_stream.errors import EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.runtimes.base import Precision, Session, SessionOptions
from paragon_stream.runtimes.gpu.compilation import compile_on_gpus
from paragon_stream.runtimes.gpu.program import DeviceProgram, Hold, Load
from paragon_stream.runtimes.gpu.tensorrt_builder import ENGINES, Target, graph_types, tensorrt_engine
from paragon_stream.runtimes.gpu.tensorrt_program import TensorRtProgram, UnloadableError

logger = logging.getLogger(__name__)


class TensorRtRuntime:
    """Engines are built for the size of the video at first use, and cached on disk."""

    def __init__(self, name: str, trt: Any) -> None:
        """`trt` is the module `tensorrt` or `tensorrt_rtx`."""
        self.name = name
        self.trt = trt

    def compile(self, job: FrameJob, options: SessionOptions) -> Session:
        """Raises EngineError without a GPU, for bf16, and for what TensorRT refuses."""
        graph_types(options.precision)  # before anything is opened
        if job.sorts_pixels:
            raise EngineError(f"TensorRT cannot sort the pixels of a frame, as {job.spec} needs; torch can")
        return compile_on_gpus(job, options, lambda fitting: self.loader(fitting, options.precision))

    def loader(self, job: FrameJob, precision: Precision) -> Load:
        """The function that loads the program of `job` on a device."""

        def load(device: Device, hold: Hold) -> DeviceProgram:
            target = Target(sm=device.info.sm, device=device.info)
            for attempt in ("from the cache", "newly built"):
                content, facts = tensorrt_engine(self.trt, job, precision, target)
                try:
                    return TensorRtProgram(
                        self.trt,
                        self.name,
                        job,
                        Precision.FP32 if precision is Precision.FP32 else Precision.FP16,
                        content,
                        device,
                        hold,
                    )
                except UnloadableError as error:
                    ENGINES.remove(facts)
                    logger.warning("the engine %s cannot be used: %s", attempt, error)
                    last = error
            raise EngineError(f"{self.name} cannot load the engine that it built: {last}")

        return load
