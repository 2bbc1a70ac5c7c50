"""The kind of sound of one connection to a live source."""

from __future__ import annotations

import io
from typing import Any

import av

from paragon_stream.media.output.aac.adts import has_adts
from paragon_stream.media.output.trial_muxing import add_copy
from paragon_stream.number_text import counted


class SoundKind:
    """The properties of a stream of sound that decoders and containers need, also after it is closed.

    A sender that reconnects may send another kind. Kinds with equal `key` have interchangeable packets.
    """

    def __init__(self, stream: Any) -> None:
        # A stream lives as long as its container, and connections are closed by another thread.
        self.template: Any = add_copy(av.open(io.BytesIO(), "w", format="null"), stream)
        """A stream like the source's."""
        self.sample: bytes | None = None
        """The first packet, if one came before the first pictures."""
        context = stream.codec_context
        self.codec: str = context.codec.canonical_name
        self.rate: int = context.sample_rate
        """Samples per second; 0 if no packet has come yet."""
        self.layout: str = context.layout.name
        self.channels: int = context.layout.nb_channels
        self.has_adts = has_adts(stream)
        """Whether each packet states its configuration."""
        self.key: tuple[object, ...] = (self.codec, self.rate, self.channels, bytes(context.extradata or b""))
        if self.has_adts:
            self.key = self.codec, "ADTS"

    def __str__(self) -> str:
        known = (
            f", {self.rate} Hz, {counted(self.channels, 'channel')}" if self.rate and self.channels else ""
        )
        return f"{self.codec}{known}"
