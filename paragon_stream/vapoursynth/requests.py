"""Which session computes a frame: the filter's options and the properties of the frame decide."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import inf
from typing import Any

from paragon_stream.checkpoint import Weights
from paragon_stream.frame import FrameFormat, Primaries, Transfer, resolve_color
from paragon_stream.frame_properties import number_of, tagged_color
from paragon_stream.framejob.temporal import Temporal
from paragon_stream.geometry import Placement
from paragon_stream.pipeline.pace import Pace
from paragon_stream.runtimes import SessionOptions
from paragon_stream.runtimes.cache import SessionRequest

logger = logging.getLogger(__name__)


class Requests:
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
