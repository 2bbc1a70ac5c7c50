"""The engine `tensorrt`. See gpu/tensorrt_runtime.py."""

from __future__ import annotations

import tensorrt

from paragon_stream.runtimes.gpu.tensorrt_runtime import TensorRtRuntime

RUNTIME = TensorRtRuntime("tensorrt", tensorrt)
