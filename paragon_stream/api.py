"""`upscale()`: file to file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paragon_stream import resource_usage
from paragon_stream.errors import UsageError
from paragon_stream.options.cluster import ClusterOptions
from paragon_stream.options.option import called_with, option, part
from paragon_stream.render.plan import plan_render
from paragon_stream.render.progress import RenderProgress
from paragon_stream.render.request import RenderRequest
from paragon_stream.render.run import run
from paragon_stream.report import Report


@dataclass(frozen=True, kw_only=True)
class UpscaleCall(ClusterOptions, RenderRequest):
    """The arguments of `upscale`: a request, and what is watched while it runs."""

    trace: str | Path | None = option(
        None, "A file to write: what every stage did when, for ui.perfetto.dev."
    )
    on_progress: Callable[[RenderProgress], None] | None = option(
        None, "Called on this thread a few times a second."
    )
    on_warning: Callable[[str], None] | None = option(
        None, "Called with one sentence for everything that was guessed or is not carried over."
    )


@called_with(UpscaleCall)
def upscale(call: UpscaleCall) -> Report:
    """Upscale the video of `source` into `destination`, with everything else that `source` holds.

    `to` is the size of the result: "1080p" is a box of 1920x1080 (upright for upright pictures) in which the
    picture is as large as fits; "1920x1080" is one as seen; "1.5" is a factor. Boxes mean square pixels.
    `fit` "crop" fills the box and cuts off what sticks out, "pad" adds bars, "stretch" fills it out of shape.

    `strength` says how hard the source was compressed, for weights that are conditioned on it: 0 (clean) to
    1, or "auto" (the default), which follows the stream's own quantisers: see `media.frames.strength`.

    `start`, `duration` and `end` cut a part out, to the frame: seconds from the beginning of the programme,
    or "h:mm:ss.xxx". `deinterlace` is auto (frames flagged as interlaced), off, bwdif, bwdif-2x (double rate)
    or yadif; `idet` looks at the picture instead of the flags; `ivtc` undoes telecine.

    `probesize` is how much of a transport or program stream is searched for streams before the render: bytes,
    "500M", "all"; by default the first 100 MB, and further where something is found behind them.

    `video` is the number of the video to upscale, from 1; `audio` and `subtitles` are lists of numbers and
    languages to keep ("1,3", "eng,jpn", [] for none); the sound and subtitles of the files in `add` become
    further tracks.

    A numbered name such as "frame_%06d.png" stands for a sequence of images, as `source` (`fps` frames per
    second, 24 by default, beginning with the lowest number there is) and as `destination`.

    `hwaccel` says what decodes: "none" is the CPU; "cuda" an NVIDIA GPU, where it gives the CPU's samples;
    "auto" the latter where the engine runs on one. The report's `decoder` says which.

    `destination` "-" writes y4m to standard output. The final name appears when the output is complete. What
    an interrupted render has written stays in `DESTINATION.paragon/`: the same call with `resume` goes on
    with it (on any engine), with `overwrite` it begins anew, and without either it is refused.

    `cluster` renders on the machines of a Ray cluster: "auto" (this machine's), "local" (this machine alone)
    or "host:port"; see docs/cluster.md.

    Raises a `ParagonError` (see `paragon_stream.errors`), or
    KeyboardInterrupt after Ctrl-C; nothing then stands under the final name.
    """
    usage = resource_usage.Usage()
    if call.cluster is not None:
        return _on_cluster(call, call.cluster, usage)
    if call.chunk_seconds is not None:
        raise UsageError("--chunk-seconds is for --cluster")
    plan = plan_render(part(call, RenderRequest))
    return run(plan, trace=call.trace, on_progress=call.on_progress, on_warning=call.on_warning, usage=usage)


def _on_cluster(call: UpscaleCall, address: str, usage: resource_usage.Usage) -> Report:
    from paragon_stream.cluster.render import render_on_cluster

    if call.trace is not None:
        raise UsageError("--trace shows one machine: leave it out with --cluster")
    return render_on_cluster(
        part(call, RenderRequest),
        address,
        chunk_seconds=call.chunk_seconds,
        on_progress=call.on_progress,
        on_warning=call.on_warning,
        usage=usage,
    )
