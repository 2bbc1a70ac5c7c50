"""Resuming an interrupted render: the frames that are done are read again, and not computed.

Reading is quick. So deinterlacing, strengths and changes of format are what they would have been, and every
picture of the result is that of an uninterrupted render, up to how the second encoder starts.
"""

from __future__ import annotations

import time

from paragon_stream.errors import OutputError
from paragon_stream.media.frames.frame_reader import FrameReader
from paragon_stream.media.output.writer import VideoWriter
from paragon_stream.media.sink import Sink
from paragon_stream.render.progress import OnProgress, RenderProgress
from paragon_stream.render.strengths import Strengths
from paragon_stream.render.stretches import next_format
from paragon_stream.render.upscalers import Upscalers

_INTERVAL = 0.5
"""Seconds between two reports of progress."""


def pass_over(
    reader: FrameReader,
    upscalers: Upscalers,
    sink: Sink,
    strengths: Strengths,
    on_progress: OnProgress | None,
) -> int:
    """Read the frames that an earlier run has written, and let `sink` copy them; how many they are.

    Raises OutputError if they are not those of the source.
    """
    done, frames, told = (sink.done if isinstance(sink, VideoWriter) else 0), 0, 0.0
    while frames < done:
        assert isinstance(sink, VideoWriter)
        timing = reader.read_into(upscalers.slots(reader.changes.format)[0].inputs)
        if timing is None:
            if next_format(reader, upscalers) is None:
                raise OutputError(f"the unfinished {sink.earlier} is longer than the source: begin anew")
            continue
        strengths.of(timing)
        sink.pass_over(timing)
        frames += 1
        now = time.monotonic()
        if on_progress is not None and now - told > _INTERVAL:
            told = now
            total, size = reader.info.video.frames, sink.bytes_written
            on_progress(RenderProgress(frames=frames, total=total, fps=0.0, eta=None, bytes_out=size))
    return done
