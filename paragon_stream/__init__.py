"""Real-time video super-resolution with the ParagonSR2 networks: planes in, planes out.

    paragon_stream.upscale("in.mkv", "out.mkv", variant="realtime")     # file to file
    paragon_stream.upscale_images("photo.png", "big.png")               # still images
    paragon_stream.upscale_all(["shows", "extra.mkv"], "out")           # folders; resumes after a kill
    paragon_stream.live("screen")                                       # live, into a window
    paragon_stream.Upscaler(width=960, height=540)                      # planes in, planes out

Importing the package is cheap: each name is imported at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paragon_stream import models as models
    from paragon_stream.api import upscale as upscale
    from paragon_stream.errors import CannotResume as CannotResume
    from paragon_stream.errors import CheckpointError as CheckpointError
    from paragon_stream.errors import ConsumerGone as ConsumerGone
    from paragon_stream.errors import DeviceMemoryError as DeviceMemoryError
    from paragon_stream.errors import EngineError as EngineError
    from paragon_stream.errors import FormatError as FormatError
    from paragon_stream.errors import InputError as InputError
    from paragon_stream.errors import Interrupted as Interrupted
    from paragon_stream.errors import LossError as LossError
    from paragon_stream.errors import OutputError as OutputError
    from paragon_stream.errors import ParagonError as ParagonError
    from paragon_stream.errors import UsageError as UsageError
    from paragon_stream.frame import ColorSpec as ColorSpec
    from paragon_stream.livestream.live import live as live
    from paragon_stream.livestream.meter import LiveProgress as LiveProgress
    from paragon_stream.onnx_export import OnnxExport as OnnxExport
    from paragon_stream.onnx_export import export_onnx as export_onnx
    from paragon_stream.pictures.batch import ImageProgress as ImageProgress
    from paragon_stream.pictures.batch import upscale_images as upscale_images
    from paragon_stream.queue.observer import QueueItem as QueueItem
    from paragon_stream.queue.observer import QueueObserver as QueueObserver
    from paragon_stream.queue.progress import QueueProgress as QueueProgress
    from paragon_stream.queue.results import FileResult as FileResult
    from paragon_stream.queue.results import QueueReport as QueueReport
    from paragon_stream.queue.runner import upscale_all as upscale_all
    from paragon_stream.render.plan import RenderPlan as RenderPlan
    from paragon_stream.render.plan import plan_render as plan_render
    from paragon_stream.render.progress import RenderProgress as RenderProgress
    from paragon_stream.render.request import RenderRequest as RenderRequest
    from paragon_stream.render.run import run as run
    from paragon_stream.report import ChunkReport as ChunkReport
    from paragon_stream.report import Damage as Damage
    from paragon_stream.report import FormatReport as FormatReport
    from paragon_stream.report import ImageResult as ImageResult
    from paragon_stream.report import ImagesReport as ImagesReport
    from paragon_stream.report import LatencyReport as LatencyReport
    from paragon_stream.report import LiveReport as LiveReport
    from paragon_stream.report import ModelReport as ModelReport
    from paragon_stream.report import Report as Report
    from paragon_stream.report import StageReport as StageReport
    from paragon_stream.report import StrengthReport as StrengthReport
    from paragon_stream.upscaler import Upscaler as Upscaler
    from paragon_stream.verification.findings import Verification as Verification
    from paragon_stream.verification.verifier import verify as verify

__version__ = "0.1.0"

_HOMES = {
    "CannotResume": "paragon_stream.errors",
    "CheckpointError": "paragon_stream.errors",
    "ChunkReport": "paragon_stream.report",
    "ColorSpec": "paragon_stream.frame",
    "ConsumerGone": "paragon_stream.errors",
    "Damage": "paragon_stream.report",
    "DeviceMemoryError": "paragon_stream.errors",
    "EngineError": "paragon_stream.errors",
    "FormatError": "paragon_stream.errors",
    "FormatReport": "paragon_stream.report",
    "ImageProgress": "paragon_stream.pictures.batch",
    "ImageResult": "paragon_stream.report",
    "ImagesReport": "paragon_stream.report",
    "InputError": "paragon_stream.errors",
    "Interrupted": "paragon_stream.errors",
    "LatencyReport": "paragon_stream.report",
    "LiveProgress": "paragon_stream.livestream.meter",
    "LiveReport": "paragon_stream.report",
    "LossError": "paragon_stream.errors",
    "ModelReport": "paragon_stream.report",
    "OnnxExport": "paragon_stream.onnx_export",
    "OutputError": "paragon_stream.errors",
    "ParagonError": "paragon_stream.errors",
    "FileResult": "paragon_stream.queue.results",
    "QueueItem": "paragon_stream.queue.observer",
    "QueueObserver": "paragon_stream.queue.observer",
    "QueueProgress": "paragon_stream.queue.progress",
    "QueueReport": "paragon_stream.queue.results",
    "RenderPlan": "paragon_stream.render.plan",
    "RenderProgress": "paragon_stream.render.progress",
    "RenderRequest": "paragon_stream.render.request",
    "Report": "paragon_stream.report",
    "StageReport": "paragon_stream.report",
    "StrengthReport": "paragon_stream.report",
    "Upscaler": "paragon_stream.upscaler",
    "UsageError": "paragon_stream.errors",
    "export_onnx": "paragon_stream.onnx_export",
    "live": "paragon_stream.livestream.live",
    "plan_render": "paragon_stream.render.plan",
    "run": "paragon_stream.render.run",
    "verify": "paragon_stream.verification.verifier",
    "Verification": "paragon_stream.verification.findings",
    "upscale_all": "paragon_stream.queue.runner",
    "upscale": "paragon_stream.api",
    "upscale_images": "paragon_stream.pictures.batch",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "models":  # the torch modules: the extra `torch`
        return importlib.import_module("paragon_stream.models")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """All public names, including those that are not imported yet: for completion and `dir()`."""
    return sorted([*__all__, "models"])
