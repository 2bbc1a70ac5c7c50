"""The VapourSynth filter: a node in, a node out.

    import paragon_stream.vapoursynth as paragon
    clip = paragon.upscale(clip, variant="realtime", scale=2)

How it works. The planes of a frame go into a compiled session unchanged and come out `scale` times larger in
the same format; the user converts nothing. The filter has no order, queue or thread of its own: output frame
n is computed from source frame n, in the callback in which the host requests it. The Python callback of one
node runs one call at a time. To have several frames in flight, the clip is split into several nodes, the
*branches* (frame n goes to branch n mod B), which VapourSynth runs in parallel. So the filter requests only
frames that the host has requested, whether the host seeks, stops half-way, evicts old frames (mpv) or uses
one thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from paragon_stream.checkpoint import Weights
from paragon_stream.errors import FormatError, ParagonError, UsageError
from paragon_stream.frame import (
    PIXEL_FORMATS,
    Family,
    FrameFormat,
    PixelFormat,
    Primaries,
    Transfer,
    resolve_color,
)
from paragon_stream.frame_properties import color_properties, number_of, tagged_color
from paragon_stream.framejob import allocate_planes, build_job
from paragon_stream.framejob.temporal import WARM, Temporal, TemporalHistory
from paragon_stream.geometry import Placement, parse_fit, parse_size, place
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.option import called_with, described, option, options_of, part
from paragon_stream.pipeline.pace import Pace
from paragon_stream.runtimes import Flavour, SessionOptions, runtime
from paragon_stream.runtimes.cache import SESSIONS, SessionRequest
from paragon_stream.upscaler import choose_network, doubts, parse_strength, session_options

MAX_PREFETCH = 32

logger = logging.getLogger(__name__)
"""Hosts that run scripts (vspipe, editors) show these messages in VapourSynth's own log."""

_SUBSAMPLINGS = {format.subsampling for format in PIXEL_FORMATS.values()}
_FAMILIES = {vs.YUV: Family.YUV, vs.RGB: Family.RGB, vs.GRAY: Family.GRAY}


@dataclass(frozen=True, kw_only=True)
class FilterCall(UpscalerOptions):
    """The arguments of `upscale`."""

    clip: vs.VideoNode = field(
        kw_only=False, metadata=described("A clip of constant format and size: YUV, RGB or GRAY.")
    )
    prefetch: int | None = option(
        None, "Frames in flight at once (default: the number of the core's threads)."
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
    weights. `prefetch` is the number of frames in flight at once (default: the number of the core's threads);
    the host requests as many of them as it needs. All filters of the process share their sessions, so
    reloading a script compiles nothing again.

    The session is compiled when the first frame is requested. With `wait=False`, which is for players only, a
    bicubic scaler makes the frames until the session is ready, and all further ones if the engine turns out
    to be too slow for the video. The log reports both changes.

    Raises vs.Error: at once for a clip, an option or weights that cannot be used; as the error of a frame if
    its colour cannot be processed or the engine fails.
    """
    clip = call.clip
    with _errors_as_vs():
        pixel_format = _pixel_format(clip)
        branches = _branches(clip, call.prefetch)
        format = FrameFormat(width=clip.width, height=clip.height, pixel_format=pixel_format)
        chosen = part(call, UpscalerOptions)
        for doubt in doubts(chosen):
            logger.warning("paragon.upscale: %s", doubt)
        network, placement = choose_network(format, chosen, grain=_grain(pixel_format))
        _check_size(pixel_format, placement)
        requests = _Requests(
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
    source = clip if clip.format.sample_type == vs.INTEGER else _convert(clip, pixel_format.depth, vs.INTEGER)
    result = _upscaled(source, requests, branches)
    if not call.wait:
        result = _plain_for_players(source, result, requests)
    if source is not clip:
        result = _convert(result, clip.format.bits_per_sample, vs.FLOAT)
    return result


def options() -> dict[str, Callable[[str], Any]]:
    """Every option of `upscale` with the function that parses its text, for scripts with options."""
    return {name: each.parse for name, each in options_of(FilterCall).items() if name != "clip"}


def reaches(clip: vs.VideoNode, to: str | float, fit: str | None = None) -> bool:
    """Whether `clip` already has the size `to`, so that there is nothing to upscale. Raises vs.Error."""
    with _errors_as_vs():
        pixel_format, size = _pixel_format(clip), parse_size(to)
        assert size is not None
        format = FrameFormat(width=clip.width, height=clip.height, pixel_format=pixel_format)
        wanted_fit = parse_fit(fit, size)
        try:
            place(format, size, wanted_fit, grain=_grain(pixel_format))
        except FormatError:
            return True
    return False


def _grain(pixel_format: PixelFormat) -> int:
    """The multiple for sizes: VapourSynth's frames have whole chroma samples."""
    return max(1 << n for n in pixel_format.subsampling)


def _check_size(pixel_format: PixelFormat, placement: Placement) -> None:
    width, height = placement.columns.total, placement.rows.total
    if any(side % (1 << n) for side, n in zip((width, height), pixel_format.subsampling, strict=True)):
        raise UsageError(f"{width}x{height} is not possible in {pixel_format.name}: give even numbers")


@contextmanager
def _errors_as_vs() -> Iterator[None]:
    try:
        yield
    except ParagonError as error:
        raise vs.Error(f"paragon.upscale: {error}") from None


def _branches(clip: vs.VideoNode, prefetch: int | None) -> int:
    if prefetch is not None and not 1 <= prefetch <= MAX_PREFETCH:
        raise UsageError(f"prefetch must be between 1 and {MAX_PREFETCH}, not {prefetch}")
    return min(prefetch or MAX_PREFETCH, int(vs.core.num_threads), int(clip.num_frames))


def _pixel_format(clip: vs.VideoNode) -> PixelFormat:
    """The clip that the session reads: `clip`, or its conversion to 16-bit integers if it has floats."""
    if not isinstance(clip, vs.VideoNode):
        raise UsageError(f"the first argument must be a video clip, not {type(clip).__name__}")
    if clip.format is None or clip.format.color_family == vs.UNDEFINED or not (clip.width and clip.height):
        raise UsageError("the clip must have a constant format and size; resize it to one first")
    depth = clip.format.bits_per_sample if clip.format.sample_type == vs.INTEGER else 16
    subsampling = (clip.format.subsampling_w, clip.format.subsampling_h)
    family = _FAMILIES[clip.format.color_family]
    if not 8 <= depth <= 16 or subsampling not in _SUBSAMPLINGS:
        raise UsageError(
            f"{clip.format.name} is not supported: choose YUV 4:2:0, 4:2:2, 4:4:4, 4:4:0, 4:1:1 or 4:1:0,"
            " RGB or GRAY, with 8 to 16 bits or float"
        )
    for known in PIXEL_FORMATS.values():
        planar = known.order in ((0, 1, 2), (1, 2, 0), (0,)) and len(known.plane_shapes(2, 2)) == len(
            known.order
        )
        if planar and (known.family, known.depth, known.subsampling) == (family, depth, subsampling):
            return known
    # VapourSynth has depths without a name in FFmpeg (11, 13, 15).
    order = (0,) if family is Family.GRAY else (0, 1, 2)
    return PixelFormat(
        name=clip.format.name.lower(), family=family, depth=depth, subsampling=subsampling, order=order
    )


def _convert(clip: vs.VideoNode, bits: int, sample_type: vs.SampleType) -> vs.VideoNode:
    """The same picture in another depth, without resampling, matrix or dither."""
    wanted = clip.format.replace(bits_per_sample=bits, sample_type=sample_type)
    return clip.resize.Point(format=wanted.id, dither_type="none")


class _Requests:
    """Chooses the session for a frame by its properties. All branches of one filter share it."""

    def __init__(
        self,
        *,
        format: FrameFormat,
        weights: Weights,
        placement: Placement,
        engine: str,
        options: SessionOptions,
        frame_rate: Fraction | None,
        strength: float,
        mode: Temporal,
    ) -> None:
        self._format = format
        self.mode = mode
        self.pace = Pace()
        self._weights = weights
        self.placement = placement
        self._engine = engine
        self._options = options
        self._frame_rate = frame_rate
        self._strength = strength
        self._known: dict[FrameFormat, SessionRequest] = {}
        self._warned = False

    def source(self, props: Mapping[str, Any]) -> FrameFormat:
        """The frame's format with the colour of its properties; missing fields are guessed."""
        format = self._format
        color = resolve_color(
            tagged_color(props),
            format=format.pixel_format,
            width=format.width,
            height=format.height,
            frame_rate=self._frame_rate,
        )
        return replace(format, color=color)

    def strength(self, props: Mapping[str, Any]) -> float:
        """The strength of a frame's compression, 0…1: its property, else the filter's `strength`."""
        return min(max(number_of(props, "_ParagonStrength", self._strength), 0.0), 1.0)

    def seconds(self, props: Mapping[str, Any]) -> float:
        """How long a frame is shown; infinite if that is unknown."""
        number, unit = number_of(props, "_DurationNum", 0), number_of(props, "_DurationDen", 0)
        if number > 0 and unit > 0:
            return number / unit
        return float(1 / self._frame_rate) if self._frame_rate else inf

    def warn_if_interlaced(self, props: Mapping[str, Any]) -> None:
        """Warn once that interlaced frames are upscaled like progressive ones."""
        if number_of(props, "_FieldBased", 0) > 0 and not self._warned:
            self._warned = True
            logger.warning("paragon.upscale: the clip is interlaced; deinterlace it before upscaling")

    def request(self, source: FrameFormat) -> SessionRequest:
        """Transfer and primaries do not affect the samples: frames that differ only in these share a
        session."""
        request = self._known.get(source)
        if request is None:
            color = replace(source.color, transfer=Transfer.UNSPECIFIED, primaries=Primaries.UNSPECIFIED)
            request = SessionRequest(
                weights=self._weights,
                source=replace(source, color=color),
                placement=self.placement,
                temporal=self.mode is not Temporal.OFF,
                engine=self._engine,
                options=self._options,
            )
            self._known[source] = request
        return request


def _upscaled(clip: vs.VideoNode, requests: _Requests, branches: int) -> vs.VideoNode:
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


def _branch(requests: _Requests) -> Callable[[int, Any], vs.VideoFrame]:
    """The callback of one branch. It runs one call at a time, so one set of buffers is enough."""
    buffers: dict[FrameFormat, tuple[NDArray[Any], ...]] = {}
    width, height = requests.placement.columns.total, requests.placement.rows.total
    history = TemporalHistory(requests.mode)

    def upscale_frame(n: int, f: Any) -> vs.VideoFrame:
        frames: list[vs.VideoFrame] = f if isinstance(f, list) else [f]
        f = frames[0]
        with _errors_as_vs(), requests.pace.computing(requests.seconds(f.props)):
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
            with SESSIONS.session(request) as session:
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


def _plain_for_players(clip: vs.VideoNode, upscaled: vs.VideoNode, requests: _Requests) -> vs.VideoNode:
    """`upscaled`, but a plain scaler makes the frames while their session is being compiled, and all frames
    after the engine was too slow."""
    plain = clip.resize.Bicubic(width=upscaled.width, height=upscaled.height)
    reported = ""

    def choose(n: int, f: vs.VideoFrame) -> vs.VideoNode:
        nonlocal reported
        with _errors_as_vs():
            request = requests.request(requests.source(f.props))
            ready = SESSIONS.ready(request)
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
