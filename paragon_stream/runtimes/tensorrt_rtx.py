"""The engine `tensorrt-rtx`. See gpu/tensorrt_runtime.py."""

from __future__ import annotations

import tensorrt_rtx

from paragon_stream.runtimes.gpu.tensorrt_runtime import TensorRtRuntime

RUNTIME = TensorRtRuntime("tensorrt-rtx", tensorrt_rtx)
