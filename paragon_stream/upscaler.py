"""`Upscaler`: planes in, planes out. Files, the filter, live sessions and Python callers use it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from paragon_stream.checkpoint import Weights, load_weights
from paragon_stream.device import DevicePicture, DevicePlane
from paragon_stream.errors import EngineError, FormatError, UsageError
from paragon_stream.frame import ColorSpec, Family, FrameFormat, Layout, PixelFormat
from paragon_stream.frame import pixel_format as find_pixel_format
from paragon_stream.framejob import FrameJob, allocate_planes, build_job
from paragon_stream.framejob.products import warn_of_missing_limit
from paragon_stream.framejob.temporal import Temporal, TemporalState
from paragon_stream.geometry import Placement, enlarged, parse_fit, parse_size, place
from paragon_stream.options.network import UpscalerOptions as UpscalerOptions
from paragon_stream.options.option import described, initialised_with, option, part
from paragon_stream.pipeline.slot import Completion
from paragon_stream.pipeline.trace import Trace
from paragon_stream.runtimes import Flavour, Precision, Session, SessionOptions, runtime
from paragon_stream.runtimes.base import DeviceBound, Plane, takes_pictures

type Frame = NDArray[Any] | tuple[NDArray[Any], ...]
"""An H×W×C array for packed formats, a tuple of planes for all other formats."""

logger = logging.getLogger(__name__)


def parse_strength(value: str | float | None) -> float | None:
    """A strength, 0…1; None for "auto" and None, which mean the strength of each frame. Raises UsageError."""
    if value in (None, "auto"):
        return None
    try:
        strength = float(value)
    except (TypeError, ValueError):
        strength = -1.0
    if not 0 <= strength <= 1:
        raise UsageError(f"invalid strength {value}: give auto, or a number from 0 to 1")
    return strength


def choose_network(
    source: FrameFormat, options: UpscalerOptions, *, grain: int = 1, sideways: bool = False
) -> tuple[Weights, Placement]:
    """The weights that `options` select, and the placement of the picture of `source`; see `place`.

    Raises UsageError, CheckpointError, and FormatError for a picture that already has the requested size.
    """
    size = parse_size(options.to)
    fit = parse_fit(options.fit, size)
    placement = None if size is None else place(source, size, fit, grain=grain, sideways=sideways)
    strength = parse_strength(options.strength)
    # A given strength selects the conditioned default set for every kind of source.
    rgb = source.pixel_format.family is Family.RGB and strength is None
    weights = selected_weights(options, placement.factor if placement else None, rgb=rgb)
    if strength is not None and not weights.spec.conditioned:
        raise UsageError(
            f"the weights {weights.name} are not conditioned on strength:"
            f" leave the strength {options.strength} out"
        )
    return weights, placement or enlarged(source, weights.spec.scale)


def check_network(options: UpscalerOptions) -> Weights:
    """The weights that `options` select before any source is known. With a target size every picture has its
    own scale; a network without any fitting scale is an error here. Raises UsageError and CheckpointError.
    """
    return selected_weights(options, Fraction(1) if parse_size(options.to) else None)


def selected_weights(options: UpscalerOptions, factor: Fraction | None, *, rgb: bool = False) -> Weights:
    """The weights that `options` select; see `load_weights` for `factor`, `rgb` and the exceptions."""
    found = load_weights(
        options.weights,
        variant=options.variant,
        scale=options.scale,
        alpha=options.alpha,
        window_size=options.window_size,
        generation=options.generation,
        factor=factor,
        rgb=rgb,
    )
    warn_of_missing_limit(found)
    return found


def doubts(options: UpscalerOptions) -> list[str]:
    """A warning for each option whose value is accepted but unusual."""
    if options.alpha is None or 0 <= options.alpha <= 1:
        return []
    return [f"--alpha {options.alpha:g} is outside of 0 to 1: the base path overshoots at edges"]


def session_options(options: UpscalerOptions, flavour: Flavour) -> SessionOptions:
    """The options for an engine's session. Raises UsageError."""
    try:
        precision = Precision(options.precision)
    except ValueError:
        known = ", ".join(Precision)
        raise UsageError(f"unknown precision {options.precision!r}: choose one of {known}") from None
    if options.threads is not None and options.threads < 1:
        raise UsageError(f"threads must be at least 1, not {options.threads}")
    return SessionOptions(
        precision=precision, threads=options.threads, flavour=flavour, device=options.device
    )


def compile_job(job: FrameJob, options: UpscalerOptions, flavour: Flavour) -> Session:
    """A session of the engine that `options` select. Raises UsageError and EngineError."""
    return runtime(options.engine).compile(job, session_options(options, flavour))


@dataclass(frozen=True, kw_only=True)
class UpscalerCall(UpscalerOptions):
    """The arguments of `Upscaler`."""

    width: int = field(metadata=described("Width of the source frames, in luma samples."))
    height: int = field(metadata=described("Height of the source frames, in luma samples."))
    pixel_format: str = option("yuv420p", "FFmpeg's name of the source's pixel format.")
    output_pixel_format: str | None = option(
        None, "FFmpeg's name of the result's pixel format (default: the source's)."
    )
    color: ColorSpec | None = option(
        None, "The source's colour; None and unspecified fields are guessed from the size."
    )


class Upscaler:
    """Upscales frames of one format. Create one for each stream; close it, or use `with`.

        up = Upscaler(width=960, height=540, pixel_format="yuv420p")
        y, u, v = up((y, u, v))          # 1080×1920 and two 540×960 planes

    `strength` "auto" is 0 here (a clean source) unless a call gives another value: plain planes have no
    stream to measure.

    Raises UsageError for unknown names, CheckpointError for invalid weights, FormatError for formats that
    cannot be processed and EngineError if the engine fails.
    """

    source: FrameFormat
    target: FrameFormat
    weights: Weights
    session: Session
    strength: float
    """The strength for conditioned weights if a call gives none."""
    temporal: TemporalState | None
    """The state of the video mode: frames must come in their order then."""

    @initialised_with(UpscalerCall)
    def __init__(self, call: UpscalerCall) -> None:
        """Unspecified fields of `color` are guessed from the size, as players do.

        Raises FormatError if the picture already has the size `to`.
        """
        source = FrameFormat.of(call.pixel_format, call.width, call.height, call.color)
        target = find_pixel_format(call.output_pixel_format) if call.output_pixel_format else None
        self._open(source, part(call, UpscalerOptions), target, Flavour.LATENCY)

    @classmethod
    def for_format(
        cls,
        source: FrameFormat,
        options: UpscalerOptions,
        *,
        pixel_format: PixelFormat | None = None,
        color: ColorSpec | None = None,
        network: tuple[Weights, Placement] | None = None,
        flavour: Flavour = Flavour.LATENCY,
    ) -> Self:
        """An upscaler for frames of the format `source`, whose colour is resolved.

        `network` has weights and placement that were chosen before. `pixel_format` and `color` are those of
        the result (default: the source's).
        """
        upscaler = cls.__new__(cls)
        upscaler._open(source, options, pixel_format, flavour, network, color)
        return upscaler

    def _open(
        self,
        source: FrameFormat,
        options: UpscalerOptions,
        pixel_format: PixelFormat | None,
        flavour: Flavour,
        network: tuple[Weights, Placement] | None = None,
        color: ColorSpec | None = None,
    ) -> None:
        self.weights, placement = network or choose_network(source, options)
        mode = Temporal.parse(options.temporal)
        job = build_job(
            self.weights,
            source,
            pixel_format=pixel_format,
            color=color,
            placement=placement,
            temporal=mode is not Temporal.OFF,
        )
        self.source, self.target = source, job.target
        self.temporal = None if mode is Temporal.OFF else TemporalState(source, mode)
        self.strength = parse_strength(options.strength) or 0.0
        self.session = compile_job(job, options, flavour)
        logger.info("%s → %s by %s on %s", self.source, self.target, self.session.engine, self.session.device)

    def __call__(self, frame: Frame, *, strength: str | float | None = None) -> Frame:
        """Upscale one frame; returns arrays of the same kind.

        `frame` is an H×W×C array for packed formats (rgb24, rgb48 …) and a tuple of planes for planar formats
        (or an H×W array for gray); uint8 up to 8 bits, uint16 above. CPU tensors of torch are accepted, too;
        results are numpy arrays. `strength` (0…1) is the strength of this frame's compression, for weights
        that are conditioned on it; None and "auto" are the upscaler's own.

        Raises UsageError for other strengths; FormatError if shapes or dtypes differ from those of `source`.
        """
        planes = frame if isinstance(frame, (tuple, list)) else (frame,)
        inputs = tuple(np.require(plane, requirements=["C", "W"]) for plane in planes)
        self._check(inputs)
        outputs = allocate_planes(self.target)
        self.run(inputs, outputs, parse_strength(strength)).wait()
        return outputs if isinstance(frame, (tuple, list)) else outputs[0]

    def run(
        self,
        inputs: Sequence[NDArray[Any]] | DevicePicture,
        outputs: Sequence[NDArray[Any]] | DevicePicture,
        strength: float | None = None,
    ) -> Completion:
        """Start the computation of one frame in buffers of the caller; see `Session.run`.

        Pictures in the memory of a GPU are accepted if `fetch` or `device_results` are not None.
        """
        given = self.strength if strength is None else strength
        if self.temporal is not None:
            if isinstance(inputs, DevicePicture) or isinstance(outputs, DevicePicture):
                raise EngineError("the video mode takes frames in the host's memory")
            return self.session.run(self.temporal.advance(inputs), outputs, given)
        if not isinstance(inputs, DevicePicture) and not isinstance(outputs, DevicePicture):
            return self.session.run(inputs, outputs, given)
        if not takes_pictures(self.session):
            raise EngineError(f"the engine {self.session.engine} accepts no pictures in a GPU's memory")
        return self.session.run(inputs, outputs, given)

    @property
    def fetch(self) -> Callable[[DevicePlane], NDArray[np.uint8]] | None:
        """Reads pictures in the memory of the engine's GPU; None if `run` accepts none."""
        if self.temporal is not None or not takes_pictures(self.session):
            return None
        return self.session.fetch

    @property
    def device_results(self) -> tuple[int, Callable[[], DevicePicture]] | None:
        """The GPU's number, and the allocator of results there; None if `run` accepts none."""
        session = self.session
        if self.temporal is not None or not takes_pictures(session):
            return None
        return session.ordinal, lambda: session.allocate_picture(self.target)

    def allocate(self) -> tuple[tuple[Plane, ...], tuple[Plane, ...]]:
        """Planes of `source` and of `target` in the memory that `run` transfers fastest; valid until
        `close`."""
        make = self.session.allocate_planes if isinstance(self.session, DeviceBound) else allocate_planes
        return make(self.source), make(self.target)

    def look(self, inputs: Sequence[NDArray[Any]]) -> None:
        """Record a frame that is not computed: the video mode continues from it."""
        if self.temporal is not None:
            self.temporal.advance(inputs)

    def restart(self) -> None:
        """The next frame does not follow the one before: the video mode restarts."""
        if self.temporal is not None:
            self.temporal.restart()

    @property
    def reruns(self) -> int:
        """The number of frames that contained NaN and were computed again."""
        return self.session.reruns if isinstance(self.session, DeviceBound) else 0

    def trace(self, trace: Trace) -> None:
        """Record the device's work in `trace`, from the first frame on."""
        if isinstance(self.session, DeviceBound):
            self.session.trace(trace)

    def close(self) -> None:
        self.session.close()

    def __repr__(self) -> str:
        return f"<Upscaler {self.source} → {self.target}, {self.weights.name}, {self.session.engine}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, planes: tuple[NDArray[Any], ...]) -> None:
        expected = self.source.plane_shapes
        dtype = np.dtype(self.source.pixel_format.sample_type)
        if tuple(plane.shape for plane in planes) == expected and all(p.dtype == dtype for p in planes):
            return
        kind = "an array" if self.source.pixel_format.layout is Layout.PACKED else "planes"
        wanted = ", ".join(map(str, expected))
        got = ", ".join(f"{plane.shape} {plane.dtype}" for plane in planes)
        raise FormatError(f"{self.source} takes {kind} of shape {wanted} and dtype {dtype}, not {got}")
