"""For players: a plain scaler helps out where the engine is not ready or too slow."""

from __future__ import annotations

import logging

import vapoursynth as vs

from paragon_stream.runtimes import cache
from paragon_stream.vapoursynth.errors import errors_as_vs
from paragon_stream.vapoursynth.requests import Requests

logger = logging.getLogger(__name__)


def plain_for_players(clip: vs.VideoNode, upscaled: vs.VideoNode, requests: Requests) -> vs.VideoNode:
    """`upscaled`, but a plain scaler makes the frames while their session is being compiled, and all frames
    after the engine was too slow."""
    plain = clip.resize.Bicubic(width=upscaled.width, height=upscaled.height)
    reported = ""

    def choose(n: int, f: vs.VideoFrame) -> vs.VideoNode:
        nonlocal reported
        with errors_as_vs():
            request = requests.request(requests.source(f.props))
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
        return upscaled if ready and not pace.too_slow else plain

    return upscaled.std.FrameEval(choose, prop_src=clip, clip_src=[plain, upscaled])
