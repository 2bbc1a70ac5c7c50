"""`upscale()` of the VapourSynth filter, its options, and the question whether it has anything to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import vapoursynth as vs

from paragon_stream.errors import FormatError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import build_job
from paragon_stream.framejob.temporal import Temporal
from paragon_stream.geometry import parse_fit, parse_size, place
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.option import called_with, described, option, options_of, part
from paragon_stream.runtimes import Flavour, runtime
from paragon_stream.upscaler import choose_network, doubts, parse_strength, session_options
from paragon_stream.vapoursynth.clips import check_size, clip_pixel_format, convert, grain_of
from paragon_stream.vapoursynth.errors import errors_as_vs
from paragon_stream.vapoursynth.frames import branch_count, upscaled
from paragon_stream.vapoursynth.players import plain_for_players
from paragon_stream.vapoursynth.requests import Requests

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FilterCall(UpscalerOptions):
    """The arguments of `upscale`."""

    clip: vs.VideoNode = field(
        kw_only=False, metadata=described("A clip of constant format and size: YUV, RGB or GRAY.")
    )
    strength: str | float | None = option(
        None,
        "Strength of compression of frames without `_ParagonStrength`: 0 (clean; default, also auto) to 1.",
        metavar="S",
    )
    prefetch: int | None = option(
        None, "Frames in flight at once, at most the number of the core's threads (default)."
    )
    wait: bool = option(True, "Wait for the engine; False: a plain scaler helps out, for players.")


@called_with(FilterCall)
def upscale(call: FilterCall) -> vs.VideoNode:
    """Return `clip` enlarged `scale` times (default 2), or to the size `to`, in the same format.

    `to` and `fit` are those of `paragon_stream.upscale`, but sizes are counted in the clip's samples, and the
    sample aspect ratio is kept. A clip that already has the size is an error; `reaches` checks this.

    `clip` has a constant format and size: YUV of a usual subsampling, RGB or GRAY with 8 to 16 bits, any size
    that VapourSynth allows. Float clips are converted to 16-bit integers (values outside 0…1 are clipped) and
    the result is converted back.

    The colour is that of each frame's `_Matrix`, `_Range` and `_ChromaLocation`. Missing properties are
    guessed from the size, as players do, and set in the result. All other properties are carried over, except
    `_FieldBased`, which becomes 0 (the filter does not separate fields: deinterlace first), and `_Alpha`,
    which is dropped because its size would be wrong. Weights that are conditioned on the strength of
    compression use `_ParagonStrength` (0…1), or `strength` if a frame has none.

    `weights` is a path or the name of a shipped set. `alpha` and `window_size` override the metadata of the
    weights. `prefetch` is the number of frames in flight at once, each of which occupies a thread of the core
    (default and maximum: the number of these threads); the host requests as many of them as it needs. All
    filters of the process share their sessions, so reloading a script compiles nothing again.

    The session is compiled when the first frame is requested. With `wait=False`, which is for players only, a
    bicubic scaler makes the frames until the session is ready, and all further ones if the engine turns out
    to be too slow for the video. The log reports both changes.

    Raises vs.Error: at once for a clip, an option or weights that cannot be used; as the error of a frame if
    its colour cannot be processed or the engine fails.
    """
    clip = call.clip
    with errors_as_vs():
        pixel_format = clip_pixel_format(clip)
        branches = branch_count(clip, call.prefetch)
        format = FrameFormat(width=clip.width, height=clip.height, pixel_format=pixel_format)
        chosen = part(call, UpscalerOptions)
        for doubt in doubts(chosen):
            logger.warning("paragon.upscale: %s", doubt)
        network, placement = choose_network(format, chosen, grain=grain_of(pixel_format))
        check_size(pixel_format, placement)
        requests = Requests(
            format=format,
            weights=network,
            placement=placement,
            engine=call.engine,
            options=session_options(chosen, Flavour.THROUGHPUT if branches > 1 else Flavour.LATENCY),
            frame_rate=Fraction(clip.fps_num, clip.fps_den) if clip.fps_den and clip.fps_num else None,
            strength=parse_strength(call.strength) or 0.0,
            mode=Temporal.parse(call.temporal),
        )
        runtime(call.engine)  # an unknown name is an error now, not at the first frame
        # So is a format that no network can process.
        blends = requests.mode is not Temporal.OFF
        build_job(network, requests.source({}), placement=placement, temporal=blends)
    source = clip if clip.format.sample_type == vs.INTEGER else convert(clip, pixel_format.depth, vs.INTEGER)
    result = upscaled(source, requests, branches)
    if not call.wait:
        result = plain_for_players(source, result, requests)
    if source is not clip:
        result = convert(result, clip.format.bits_per_sample, vs.FLOAT)
    return result


def options() -> dict[str, Callable[[str], Any]]:
    """Every option of `upscale` with the function that parses its text, for scripts with options."""
    return {name: each.parse for name, each in options_of(FilterCall).items() if name != "clip"}


def reaches(clip: vs.VideoNode, to: str | float, fit: str | None = None) -> bool:
    """Whether `clip` already has the size `to`, so that there is nothing to upscale. Raises vs.Error."""
    with errors_as_vs():
        pixel_format, size = clip_pixel_format(clip), parse_size(to)
        assert size is not None
        format = FrameFormat(width=clip.width, height=clip.height, pixel_format=pixel_format)
        wanted_fit = parse_fit(fit, size)
        try:
            place(format, size, wanted_fit, grain=grain_of(pixel_format))
        except FormatError:
            return True
    return False
