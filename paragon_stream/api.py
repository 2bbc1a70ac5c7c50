"""`upscale()`: file to file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paragon_stream import resource_usage
from paragon_stream.errors import UsageError
from paragon_stream.options.cluster import ClusterOptions
from paragon_stream.options.option import called_with, option, part
from paragon_stream.render.plan import RenderPlan, plan_render, show_plan
from paragon_stream.render.progress import RenderProgress
from paragon_stream.render.request import RenderRequest
from paragon_stream.render.run import run
from paragon_stream.report import Report


@dataclass(frozen=True, kw_only=True)
class UpscaleCall(ClusterOptions, RenderRequest):
    """The arguments of `upscale`: a request, and callbacks for its progress."""

    on_plan: Callable[[RenderPlan], None] | None = option(
        None, "Called with the plan before the first frame."
    )
    trace: str | Path | None = option(None, "File for the times of every stage, for ui.perfetto.dev.")
    on_progress: Callable[[RenderProgress], None] | None = option(
        None, "Called on this thread about twice a second."
    )
    on_warning: Callable[[str], None] | None = option(
        None, "Called with one sentence for each guess and each property that is not carried over."
    )


@called_with(UpscaleCall)
def upscale(call: UpscaleCall) -> Report:
    """Upscale the video of `source` into `destination`, and carry over all other streams of `source`.

    `to` is the size of the result. "1080p" means a box of 1920×1080 square pixels (1080×1920 for upright
    pictures), "1920x1080" a box of exactly this orientation, "1.5" a factor. The picture is made as large as
    fits into the box (`fit` "inside"). `fit` "crop" fills the box and crops the picture, "pad" adds black
    bars, "stretch" fills the box and changes the aspect ratio.

    `strength` is the strength of the source's compression, for weights that are conditioned on it: 0 (clean)
    to 1, or "auto" (the default), which measures it from the stream's quantisers; see
    `media.frames.strength`.

    `start`, `duration` and `end` select a part with frame accuracy, in seconds from the beginning of the
    programme or as "h:mm:ss.xxx". `deinterlace` is "auto" (frames flagged as interlaced), "off", "bwdif",
    "bwdif-2x" (double rate) or "yadif". `idet` detects interlacing from the picture instead of the flags;
    `ivtc` reverses telecine.

    `probesize` is the amount of a transport or program stream that is searched for streams before the render:
    bytes, "500M" or "all". By default, the first 100 MB are searched, and more where streams begin late.

    `video` is the number of the video to upscale, counted from 1. `audio` and `subtitles` are lists of the
    numbers and languages to keep ("1,3", "eng,jpn", [] for none). Sound and subtitles of the files in `add`
    become further tracks.

    A numbered name such as "frame_%06d.png" is a sequence of images, as `source` (`fps` frames per second, 24
    by default, from the lowest existing number on) and as `destination`.

    `hwaccel` chooses the decoder: "none" is the CPU, "cuda" an NVIDIA GPU for the codecs that it decodes to
    the same samples as the CPU, and "auto" is "cuda" where the engine runs on an NVIDIA GPU. The report's
    `decoder` names the decoder that ran.

    `destination` "-" writes y4m to standard output. A file gets its final name when it is complete. The
    output of an interrupted render stays in `DESTINATION.paragon/`. The same call continues it with `resume`
    (on any engine) and restarts with `overwrite`; without either, it raises OutputError.

    `cluster` renders on the machines of a Ray cluster: "auto" (this machine's cluster), "local" (this machine
    alone) or "host:port"; see docs/cluster.md.

    Raises a `ParagonError` (see `paragon_stream.errors`), or KeyboardInterrupt after Ctrl-C. In both cases
    there is no file under the final name.
    """
    usage = resource_usage.Usage()
    if call.cluster is not None:
        return _on_cluster(call, call.cluster, usage)
    if call.chunk_seconds is not None:
        raise UsageError("--chunk-seconds is for --cluster")
    plan = plan_render(part(call, RenderRequest))
    if call.on_plan is not None:
        show_plan(plan, call.on_plan)
    return run(plan, trace=call.trace, on_progress=call.on_progress, on_warning=call.on_warning, usage=usage)


def _on_cluster(call: UpscaleCall, address: str, usage: resource_usage.Usage) -> Report:
    from paragon_stream.cluster.render import render_on_cluster

    if call.trace is not None:
        raise UsageError("--trace shows one machine: leave it out with --cluster")
    return render_on_cluster(
        part(call, RenderRequest),
        address,
        chunk_seconds=call.chunk_seconds,
        on_plan=call.on_plan,
        on_progress=call.on_progress,
        on_warning=call.on_warning,
        usage=usage,
    )
