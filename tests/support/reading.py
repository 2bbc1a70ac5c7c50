"""Videos read whole, by the project's reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from clips import Planes

from paragon_stream.frame import Timing
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.frames.reader import VideoReader


def read_all(path: Path, threads: int | None = None) -> tuple[list[tuple[Timing, Planes]], VideoReader]:
    """Every frame (copied) and the closed reader."""
    info = probe(path)
    dtype = np.uint8 if info.video.format.pixel_format.depth <= 8 else np.uint16
    planes = [np.empty(shape, dtype) for shape in info.video.format.plane_shapes]
    frames = []
    with VideoReader(info, threads=threads) as reader:
        while (timing := reader.read_into(planes)) is not None:
            frames.append((timing, tuple(plane.copy() for plane in planes)))
        assert reader.read_into(planes) is None  # the end stays the end
    assert reader.frames == len(frames)
    return frames, reader
