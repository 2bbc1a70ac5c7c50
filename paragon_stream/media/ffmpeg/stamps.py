"""Timestamps of packets and frames, in ticks of their time base; None if both are missing."""

from __future__ import annotations

from typing import Any


def decoding_stamp(packet: Any) -> int | None:
    """A packet's decoding time, or else its presentation time: the order of packets in a file."""
    return packet.pts if packet.dts is None else packet.dts  # type: ignore[no-any-return]


def presentation_stamp(item: Any) -> int | None:
    """The presentation time of a packet or frame, or else its decoding time."""
    return item.dts if item.pts is None else item.pts  # type: ignore[no-any-return]
