"""PGS subtitles (Blu-ray) as whole display sets, as Matroska stores them.

Transport streams and .sup files have each segment of a set in a packet of its own, with timestamps that may
differ within a set. FFmpeg's Matroska muxer joins them.
"""

from __future__ import annotations

from typing import Any

from av.bitstream import BitStreamFilterContext

PGS = "hdmv_pgs_subtitle"


class DisplaySets:
    """Joins the packets of the PGS stream `stream`; packets of whole sets pass unchanged."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._filter = BitStreamFilterContext("pgs_frame_merge", in_stream=stream)

    def add(self, packet: Any | None) -> list[Any]:
        """The sets that end with `packet`, which is empty afterwards; None is the end of the stream.

        A set has the timestamps of its first segment. Raises what FFmpeg raises.
        """
        sets = self._filter.filter(packet)
        for whole in sets:
            whole.stream, whole.time_base = self._stream, self._stream.time_base
        return sets
