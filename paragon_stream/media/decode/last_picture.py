"""The duration of the last picture of an MP4 or MOV.

The duration of a sample in these files is the distance to the next sample in decoding order. With reordering,
this is not the time for which the picture is shown. It matters only for the last picture, because every other
picture ends when the next one begins.
"""

from __future__ import annotations

from typing import Any

import av


class LastPicture:
    """Takes every packet of `stream`, then returns the durations of the decoded frames."""

    def __init__(self, demuxer: str, stream: av.VideoStream) -> None:
        self._concerned = "mov" in demuxer.split(",")
        self._end = (stream.start_time or 0) + stream.duration if stream.duration else None
        self._latest: int | None = None
        """The latest presentation time so far, ticks."""
        self._decoded_last = False
        """Whether the packet of that time is the one sent last."""
        self._duration = 0
        """The duration of the packet sent last."""

    def sent(self, packet: Any) -> None:
        """Note the next packet in decoding order."""
        pts = packet.pts
        if self._concerned and pts is not None and not packet.is_discard:
            self._decoded_last = self._latest is None or pts > self._latest
            self._latest = pts if self._decoded_last else self._latest
            self._duration = packet.duration or 0

    def duration(self, frame: Any) -> int:
        """The duration in ticks; 0 if it is unknown. The track's own end decides, unless it lies before the
        last picture (FFmpeg's muxer writes such files); then the least of the two durations that may be
        meant."""
        own = int(frame.duration or 0)
        if frame.pts is None or frame.pts != self._latest or self._decoded_last:
            return own
        if self._end is not None and self._end > frame.pts:
            return self._end - int(frame.pts)
        return min(own or self._duration, self._duration or own)
