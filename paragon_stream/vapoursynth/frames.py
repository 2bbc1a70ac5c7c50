"""The frames of the result: every one is computed in the callback in which the host requests it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from paragon_stream.errors import UsageError
from paragon_stream.frame import FrameFormat
from paragon_stream.frame_properties import color_properties
from paragon_stream.framejob import allocate_planes
from paragon_stream.framejob.temporal import WARM, Temporal, TemporalHistory
from paragon_stream.runtimes import cache
from paragon_stream.vapoursynth.errors import errors_as_vs
from paragon_stream.vapoursynth.requests import Requests

MAX_PREFETCH = 32
"""The most frames in flight at once."""


def branch_count(clip: vs.VideoNode, prefetch: int | None) -> int:
    """The number of frames in flight at once: `prefetch`, or the number of the core's threads. Raises
    UsageError."""
    if prefetch is not None and not 1 <= prefetch <= MAX_PREFETCH:
        raise UsageError(f"prefetch must be between 1 and {MAX_PREFETCH}, not {prefetch}")
    return min(prefetch or MAX_PREFETCH, int(vs.core.num_threads), int(clip.num_frames))


def upscaled(clip: vs.VideoNode, requests: Requests, branches: int) -> vs.VideoNode:
    """The node of the result: `branches` nodes in turn, or one that also gets earlier frames (`temporal`)."""
    width, height = requests.placement.columns.total, requests.placement.rows.total
    shape = vs.core.std.BlankClip(clip, width=width, height=height, keep=True)
    if requests.mode is not Temporal.OFF:  # frames need those before them, the latest first
        first = clip[0] * WARM + clip
        earlier = [first[WARM - n : WARM - n + len(clip)] for n in range(1, WARM + 1)]
        return shape.std.ModifyFrame([clip, *earlier], _branch(requests))
    if branches == 1:
        return shape.std.ModifyFrame(clip, _branch(requests))
    dealt = [
        shape.std.SelectEvery(branches, [branch], modify_duration=False).std.ModifyFrame(
            clip.std.SelectEvery(branches, [branch], modify_duration=False), _branch(requests)
        )
        for branch in range(branches)
    ]
    return vs.core.std.Interleave(dealt, modify_duration=False)


def _branch(requests: Requests) -> Callable[[int, Any], vs.VideoFrame]:
    """The callback of one branch. It runs one call at a time, so one set of buffers is enough."""
    buffers: dict[FrameFormat, tuple[NDArray[Any], ...]] = {}
    width, height = requests.placement.columns.total, requests.placement.rows.total
    history = TemporalHistory(requests.mode)

    def upscale_frame(n: int, f: Any) -> vs.VideoFrame:
        frames: list[vs.VideoFrame] = f if isinstance(f, list) else [f]
        f = frames[0]
        with errors_as_vs(), requests.pace.computing(requests.seconds(f.props)):
            requests.warn_if_interlaced(f.props)
            source = requests.source(f.props)
            request = requests.request(source)
            if len(frames) == 1:
                inputs = _copied(buffers, f, request.source)
            else:
                inputs = history.planes(
                    n, request.source, lambda ago: _copied(buffers, frames[ago], request.source)
                )
            result = vs.core.create_video_frame(f.format, width, height)
            planes = [np.asarray(result[component]) for component in source.pixel_format.order]
            with cache.SESSIONS.session(request) as session:
                padded = not all(plane.flags.c_contiguous for plane in planes)
                outputs = _buffers(buffers, session.job.target) if padded else planes
                session.run(inputs, outputs, requests.strength(f.props)).wait()
            if padded:
                for plane, output in zip(planes, outputs, strict=True):
                    np.copyto(plane, output)
        _set_props(result, f.props, source)
        return result

    return upscale_frame


def _copied(
    buffers: dict[FrameFormat, tuple[NDArray[Any], ...]], frame: vs.VideoFrame, source: FrameFormat
) -> tuple[NDArray[Any], ...]:
    """The planes of `frame`, as engines need them: rows without padding."""
    inputs = _buffers(buffers, source)
    for buffer, component in zip(inputs, source.pixel_format.order, strict=True):
        np.copyto(buffer, np.asarray(frame[component]))
    return inputs


def _buffers(
    known: dict[FrameFormat, tuple[NDArray[Any], ...]], format: FrameFormat
) -> tuple[NDArray[Any], ...]:
    if format not in known:
        known[format] = allocate_planes(format)
    return known[format]


def _set_props(frame: vs.VideoFrame, props: Mapping[str, Any], source: FrameFormat) -> None:
    for name in props:
        if name not in ("_Alpha", "_Field", "_ColorRange"):
            frame.props[name] = props[name]
    if "_FieldBased" in props:
        frame.props["_FieldBased"] = 0
    for name, value in color_properties(source).items():
        frame.props[name] = value
