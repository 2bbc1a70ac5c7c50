"""The properties of a decoded frame as FFmpeg reports them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, Self

import av


class ColorNumbers(NamedTuple):
    """Colour tags as FFmpeg numbers them (H.273's numbers but for the range); not all of them are known."""

    matrix: int = 2
    range: int = 0
    """1 limited, 2 full."""
    transfer: int = 2
    primaries: int = 2
    chroma_location: int = 0

    @classmethod
    def of_frame(cls, frame: av.VideoFrame) -> Self:
        return cls(
            frame.colorspace,
            frame.color_range,
            frame.color_trc,
            frame.color_primaries,
            frame.chroma_location,
        )

    @classmethod
    def of_header(cls, context: av.VideoCodecContext) -> Self:
        """The tags of the stream's header, which include the container's."""
        return cls(
            context.colorspace,
            context.color_range,
            context.color_trc,
            context.color_primaries,
            context.chroma_sample_location,
        )


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """Size, pixel format, colour tags and sample aspect ratio of a frame, as tagged: nothing is guessed
    yet."""

    width: int
    height: int
    pixel_format: str
    colors: ColorNumbers
    aspect: Fraction | None
    """None if the codec does not state it."""

    @classmethod
    def of(cls, frame: av.VideoFrame, aspect: Fraction | None) -> Self:
        return cls(
            width=frame.width,
            height=frame.height,
            pixel_format=frame.format.name,
            colors=ColorNumbers.of_frame(frame),
            aspect=aspect,
        )
