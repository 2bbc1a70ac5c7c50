"""VMAF and VMAF-NEG of frames in memory, by FFmpeg's filter `libvmaf` with its built-in models."""

from __future__ import annotations

import gc
import json
import tempfile
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.filter import Graph
from av.filter.context import FilterContext
from numpy.typing import NDArray

from paragon_stream.errors import EngineError
from paragon_stream.media.ffmpeg.errors import av_errors_as
from paragon_stream.media.ffmpeg.planes import copy_to_frame

MODELS = {"vmaf": "vmaf_v0.6.1", "vmaf_neg": "vmaf_v0.6.1neg"}
"""Our names → libvmaf's models, all measured in one pass. NEG ("no enhancement gain") does not reward
contrast and sharpness beyond the original's; https://github.com/Netflix/vmaf, resource/doc/models.md."""

type _Chain = tuple[FilterContext, FilterContext, FilterContext]
"""The filter graph's two inputs (results, originals) and its output."""


def vmaf_available() -> bool:
    """Whether this build of PyAV has the filter (its wheels do)."""
    return "libvmaf" in av.filter.filters_available


class Vmaf:
    """Scores one sequence against its original, frame by frame. VMAF uses luma and motion only.

        with Vmaf() as vmaf:
            vmaf.add(result, truth)     # luma, H×W uint8 on a limited-range scale, in order
            scores = vmaf.means()

    Raises EngineError where the filter is absent or refuses.
    """

    def __init__(self) -> None:
        self._chain: _Chain | None = None
        self._size = (0, 0)
        self._count = 0
        self._folder = tempfile.TemporaryDirectory(prefix="paragon-vmaf-", ignore_cleanup_errors=True)

    def add(self, result: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
        """The next frame of both; all have the first one's size."""
        with av_errors_as(EngineError, "VMAF"):
            if self._chain is None:
                self._chain = self._open(truth.shape[1], truth.shape[0])
            _push(self._chain, (self._frame(result), self._frame(truth)))
        self._count += 1

    def means(self) -> dict[str, float]:
        """Mean over the frames by our models' names. Nothing can be added afterwards."""
        if self._chain is None:
            raise EngineError("VMAF: no frames were given")
        with av_errors_as(EngineError, "VMAF"):
            _push(self._chain, (None, None))
            # libvmaf writes its scores only to a file that is written when the graph is freed; graph and
            # filters refer to each other, so that takes a collection, and no other reference to either.
            self._chain = None
            gc.collect()
            pooled = json.loads(self._log.read_text(encoding="utf-8"))["pooled_metrics"]
        return {name: float(pooled[name]["mean"]) for name in MODELS}

    @property
    def _log(self) -> Path:
        return Path(self._folder.name) / "scores.json"

    def _open(self, width: int, height: int) -> _Chain:
        if not vmaf_available():
            raise EngineError("VMAF: this build of PyAV lacks the filter libvmaf")
        self._size = (width, height)
        graph = Graph()
        kind = f"video_size={width}x{height}:pix_fmt=yuv420p:time_base=1/25:frame_rate=25"
        result, truth = (graph.add("buffer", kind, name=name) for name in ("result", "truth"))
        models = "|".join(f"version={version}:name={name}" for name, version in MODELS.items())
        measure = graph.add("libvmaf", model=models, log_path=str(self._log), log_fmt="json")
        sink = graph.add("buffersink")
        result.link_to(measure, 0, 0)
        truth.link_to(measure, 0, 1)
        measure.link_to(sink)
        graph.configure()
        return result, truth, sink

    def _frame(self, luma: NDArray[np.uint8]) -> av.VideoFrame:
        """Luma with gray chroma: the filter takes no gray, and FFmpeg would expand its range."""
        width, height = self._size
        frame = av.VideoFrame(width, height, "yuv420p")
        chroma = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
        copy_to_frame((luma, chroma, chroma), frame)
        frame.pts, frame.time_base = self._count, Fraction(1, 25)
        return frame

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._chain is not None:  # it writes into the folder when it is freed
            self._chain = None
            gc.collect()
        self._folder.cleanup()


def _push(chain: _Chain, frames: tuple[av.VideoFrame | None, av.VideoFrame | None]) -> None:
    """Feed a frame of one sequence, or the end of both; discard the filter's output frames."""
    *sources, sink = chain
    for source, frame in zip(sources, frames, strict=True):
        source.push(frame)
    try:
        while True:
            sink.pull()
    except (BlockingIOError, EOFError):
        return
