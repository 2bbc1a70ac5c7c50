"""Going on with an interrupted render: which render it was, and the frames that it has done.

Frames that are done are decoded again, which is quick, and not computed: so deinterlacing, strengths and
changes of format are what they would have been, and every picture of the result is that of a render in one
piece, up to what the second encoder makes of a fresh start.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from paragon_stream.checkpoint import Weights
from paragon_stream.errors import OutputError, UsageError
from paragon_stream.geometry import Placement
from paragon_stream.media.decode.abilities import versions
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.images.sequence_reader import SequenceReader
from paragon_stream.media.output.plan import OutputPlan
from paragon_stream.media.output.writer import VideoWriter
from paragon_stream.media.prepare import SourceOptions
from paragon_stream.media.sink import Sink
from paragon_stream.render import RenderProgress, Strengths, Upscalers, turned

_TOLD_EVERY = 0.5
"""Seconds."""


def identity_of(
    info: MediaInfo,
    options: SourceOptions,
    network: Weights,
    placement: Placement | None,
    plan: OutputPlan,
    strength: object,
) -> dict[str, str]:
    """What must be the same for a render to be gone on with. Engine and device may change.

    Raises UsageError for `--resume` into a sequence of images or y4m.
    """
    if plan.job is None:
        if plan.options.resume:
            raise UsageError("--resume goes on with video files; y4m and sequences of images begin anew")
        return {}
    try:
        status = info.path.stat()
        source = f"{info.path.name}, {status.st_size} bytes, {status.st_mtime_ns}"
    except OSError:  # a numbered pattern
        source = str(info.path)
    settings = " ".join(f"{key}={value}" for key, value in plan.job.settings.items())
    return {
        "source": source,
        "choice of frames": repr(options),
        "weights": network.sha256 or network.name,
        "strength": str(strength),
        "size": f"{plan.target}, {placement}",
        "encoder": f"{plan.job.encoder.name} {settings}",
        "FFmpeg": versions()["FFmpeg"],
    }


def pass_over(
    reader: VideoReader | SequenceReader,
    upscalers: Upscalers,
    sink: Sink,
    strengths: Strengths,
    on_progress: Callable[[RenderProgress], None] | None,
) -> int:
    """Read the frames that an earlier run has written, and let `sink` copy them; how many they are.

    Raises OutputError if they are not those of the source.
    """
    done, frames, told = (sink.done if isinstance(sink, VideoWriter) else 0), 0, 0.0
    while frames < done:
        assert isinstance(sink, VideoWriter)
        timing = reader.read_into(upscalers.slots(reader.changes.format)[0].inputs)
        if timing is None:
            if turned(reader, upscalers) is None:
                raise OutputError(f"the unfinished {sink.earlier} is longer than the source: begin anew")
            continue
        strengths.of(timing)
        sink.pass_over(timing)
        frames += 1
        now = time.monotonic()
        if on_progress is not None and now - told > _TOLD_EVERY:
            told = now
            total, size = reader.info.video.frames, sink.bytes_written
            on_progress(RenderProgress(frames=frames, total=total, fps=0.0, eta=None, bytes_out=size))
    return done
