"""Encodes a part of a video into a separate file, which is joined with others later (`pieces.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from paragon_stream.device import DevicePicture
from paragon_stream.frame import Timing
from paragon_stream.media.encode.device_frames import DeviceFrames
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.media.output.plan import OutputPlan
from paragon_stream.media.output.writer import VideoWriter


class PieceWriter(VideoWriter):
    """Writes the frames of a part, and notes their times in the whole: `timings`.

    `coded_as` is `headers`, kept when the file is closed. A part without any frame leaves no file.
    """

    def __init__(self, plan: OutputPlan, info: MediaInfo, results: DeviceFrames | None = None) -> None:
        """`plan` is one that `piece_plan` made."""
        self.timings: list[Timing] = []
        self.coded_as = ""
        super().__init__(plan, replace(info, seekable=False, chapters=0), results)

    def write(self, planes: Sequence[Plane], timing: Timing) -> None:
        super().write(planes, timing)
        self._note(timing)

    def write_picture(self, picture: DevicePicture, timing: Timing) -> None:
        super().write_picture(picture, timing)
        self._note(timing)

    def repeat(self, timing: Timing) -> None:
        super().repeat(timing)
        self._note(timing)

    def finish(self) -> None:
        if self.timings:
            super().finish()
        else:
            self.abort()

    def _note(self, timing: Timing) -> None:
        if not self.timings:
            self.coded_as = self.headers
        self.timings.append(timing)


def piece_plan(plan: OutputPlan, shift: Fraction, threads: int) -> OutputPlan:
    """`plan` with only the video, `shift` seconds earlier, encoded by `threads` threads (0: the default
    number)."""
    assert plan.job is not None
    return replace(
        plan,
        job=replace(plan.job, threads=threads),
        streams=(),
        added=(),
        file_tags={},
        shift=shift,
        identity={},
        losses=(),
        warnings=(),
    )
