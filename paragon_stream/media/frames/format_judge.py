"""The `FrameFormat` of every frame of a stream whose format may change.

`probe` finds the format of the first frames; it also reads the container. The properties of later frames that
differ from the first one's change the format.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av

from paragon_stream.errors import FormatError
from paragon_stream.frame import ColorSpec, FrameFormat, Transfer
from paragon_stream.media.facts.appearance import Appearance
from paragon_stream.media.facts.color_tags import decide_color, read_color
from paragon_stream.media.facts.info import VideoInfo
from paragon_stream.media.ffmpeg.pixel_formats import full_range_by_name, processed_format

_MOST_NOTES = 4
_DYNAMICS: dict[int, str] = {Transfer.PQ: "PQ", Transfer.HLG: "HLG"}


class FormatJudge:
    """Judges frames of a stream whose first frames are `video`'s."""

    def __init__(self, video: VideoInfo) -> None:
        self._video = video
        self._known: dict[Appearance, FrameFormat] = {}
        if video.appearance is not None:
            self._known[video.appearance] = video.format
        self.notes: list[str] = []
        """Sentences about what no conversion takes into account."""

    def format_of(self, frame: av.VideoFrame, appearance: Appearance, seconds: float) -> FrameFormat:
        """The format of `frame`, which is shown at `seconds`. Transfer and primaries are always those of the
        first frame, because they are not converted. Raises FormatError for pictures in a device's memory."""
        if appearance not in self._known:
            first = self._video.format.color
            format = self._layout(frame, appearance)
            try:
                color = self._color(format, appearance)[0]
            except FormatError as error:
                self._note(f"colours are wrong from {seconds:.2f} s on: {error}")
                color = first
            now, then = (_DYNAMICS.get(each, "standard range") for each in (color.transfer, first.transfer))
            if now != then:
                self._note(
                    f"brightness is wrong from {seconds:.2f} s on: the picture changes from {then} to {now},"
                    " which is not converted"
                )
            color = replace(color, transfer=first.transfer, primaries=first.primaries)
            self._known[appearance] = replace(format, color=color)
        return self._known[appearance]

    def video_from(self, frame: av.VideoFrame, appearance: Appearance) -> VideoInfo:
        """The stream's facts as they were if it began with `frame`. Raises FormatError."""
        if appearance == self._video.appearance:
            return self._video
        format = self._layout(frame, appearance)
        color, guessed = self._color(format, appearance)
        crop = self._video.crop if self.is_cropped(frame) else (0, 0, 0, 0)
        return replace(
            self._video,
            format=replace(format, color=color),
            guessed=guessed,
            appearance=appearance,
            crop=crop,
        )

    def is_cropped(self, frame: av.VideoFrame) -> bool:
        """Whether the container's crop applies to `frame`: it applies to frames of the first size."""
        first = self._video.appearance
        is_first_size = first is not None and (first.width, first.height) == (frame.width, frame.height)
        return is_first_size and any(self._video.crop)

    def _layout(self, frame: av.VideoFrame, appearance: Appearance) -> FrameFormat:
        """The format of `frame`, but for its colours."""
        video = self._video
        known = appearance.pixel_format == video.decoded
        left, top, right, bottom = video.crop if self.is_cropped(frame) else (0, 0, 0, 0)
        aspect = video.format.sample_aspect_ratio
        if video.appearance is None or appearance.aspect != video.appearance.aspect:
            aspect = appearance.aspect or Fraction(1)
        return FrameFormat(
            width=frame.width - left - right,
            height=frame.height - top - bottom,
            pixel_format=video.format.pixel_format if known else processed_format(frame, video.codec),
            sample_aspect_ratio=aspect,
        )

    def _color(self, format: FrameFormat, appearance: Appearance) -> tuple[ColorSpec, tuple[str, ...]]:
        """See `decide_color`."""
        video = self._video
        return decide_color(
            read_color(appearance.colors, video.header_colors),
            format=format.pixel_format,
            width=format.width,
            height=format.height,
            full_range_name=full_range_by_name(appearance.pixel_format),
            frame_rate=video.average_rate,
            codec=video.codec,
        )

    def _note(self, sentence: str) -> None:
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(sentence)
