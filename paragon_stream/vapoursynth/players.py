"""For players: a plain scaler helps out where the engine is not ready or too slow."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import vapoursynth as vs

from paragon_stream.framejob.color import color_map
from paragon_stream.geometry import Placement
from paragon_stream.runtimes import cache
from paragon_stream.vapoursynth.clips import progressive
from paragon_stream.vapoursynth.errors import errors_as_vs
from paragon_stream.vapoursynth.requests import Requests

logger = logging.getLogger(__name__)


def plain_for_players(clip: vs.VideoNode, upscaled: vs.VideoNode, requests: Requests) -> vs.VideoNode:
    """`upscaled`, but a plain scaler makes the frames while their session is being compiled, and all frames
    after the engine was too slow."""
    scaled = _scaled(clip, requests.placement)
    has_bars = (scaled.width, scaled.height) != (upscaled.width, upscaled.height)
    plain: dict[tuple[int, ...], vs.VideoNode] = {}
    """The scaled clip with its bars, by the codes of black, which depend on the range of each frame."""
    reported = ""

    def choose(n: int, f: vs.VideoFrame) -> vs.VideoNode:
        nonlocal reported
        with errors_as_vs():
            source = requests.source(f.props)
            request = requests.request(source)
            ready = cache.SESSIONS.ready(request)
        pace = requests.pace
        if pace.too_slow:
            state = (
                f"plain scaling, because the engine makes only {pace.rate:.1f} frames a second;"
                " it is tried again after a seek"
            )
        else:
            state = "the engine takes over" if ready else "plain scaling while the engine is compiled"
        if state != reported and (reported or not ready):
            logger.info("paragon.upscale: from frame %d on: %s", n, state)
        reported = state
        if ready and not pace.too_slow:
            return upscaled
        if not has_bars:
            return scaled
        black = tuple(round(code) for code in color_map(source).code_of_black)
        if black not in plain:
            plain[black] = _with_bars(scaled, requests.placement, black)
        return plain[black]

    return upscaled.std.FrameEval(choose, prop_src=clip, clip_src=[scaled, upscaled])


def _scaled(clip: vs.VideoNode, placement: Placement) -> vs.VideoNode:
    """The part of `clip` that `placement` shows, in the size that it has there."""
    rows, columns = placement.rows, placement.columns
    return progressive(clip).resize.Bicubic(
        width=columns.size,
        height=rows.size,
        src_left=float(columns.begin),
        src_width=float(columns.length),
        src_top=float(rows.begin),
        src_height=float(rows.length),
    )


def _with_bars(clip: vs.VideoNode, placement: Placement, black: Sequence[int]) -> vs.VideoNode:
    (left, right), (top, bottom) = placement.columns.bars, placement.rows.bars
    return clip.std.AddBorders(left=left, right=right, top=top, bottom=bottom, color=list(black))
