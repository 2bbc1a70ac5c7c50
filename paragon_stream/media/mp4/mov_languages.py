"""The languages that FFmpeg's MOV muxer can write: some of those with one of QuickTime's old numbers."""

from __future__ import annotations

import functools
import io

import av
import numpy as np


@functools.cache
def mov_has(language: str) -> bool:
    """Whether a track of a MOV file keeps `language`, a code as FFmpeg has it.

    By writing one: the muxer's table is not public, and grows.
    """
    memory = io.BytesIO()
    with av.open(memory, "w", format="mov") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        stream.metadata["language"] = language
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    memory.seek(0)
    with av.open(memory) as written:
        return written.streams[0].metadata.get("language") == language
