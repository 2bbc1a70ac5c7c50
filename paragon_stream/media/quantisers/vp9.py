"""Quantiser indices of VP9, read from packets: uncompressed headers up to `base_q_idx`.

For frames that a GPU decodes; the CPU's decoder exports more. Numbers in parentheses are sections of the VP9
bitstream specification.
"""

from __future__ import annotations

from collections.abc import Iterator

from paragon_stream.media.quantisers.bits import BitReader, HeaderError

_SLOTS, _REFERENCES = 8, 3
_RGB = 7
_MOST_OF_A_HEADER = 256
"""Bytes."""


class Vp9Headers:
    """Reads one stream, packet by packet in coded order."""

    def __init__(self, extradata: bytes | None = None) -> None:
        self._slots: list[int | None] = [None] * _SLOTS

    def quantiser(self, packet: bytes) -> float | None:
        """`base_q_idx` (0…255; 0 is lossless) of the frame that `packet` shows; None if it is unknown."""
        shown: int | None = None
        try:
            for frame in _frames(packet):
                value, is_shown = self._frame(BitReader(frame[:_MOST_OF_A_HEADER]))
                shown = value if is_shown else shown
        except HeaderError:
            return None
        return None if shown is None else float(shown)

    def _frame(self, bits: BitReader) -> tuple[int | None, bool]:
        """The index of a frame and whether it is shown (6.2)."""
        if bits.bits(2) != 2:
            raise HeaderError("no frame of VP9")
        profile = bits.bits(1) + 2 * bits.bits(1)
        bits.skip(profile == 3)  # reserved_zero
        if bits.flag():  # show_existing_frame
            return self._slots[bits.bits(3)], True
        is_key, is_shown, resilient = not bits.flag(), bits.flag(), bits.flag()
        refreshed = 0xFF
        if is_key:
            bits.skip(24)  # frame_sync_code
            _skip_color(bits, profile)
            _skip_size(bits)
        else:
            intra_only = not is_shown and bits.flag()
            bits.skip(0 if resilient else 2)  # reset_frame_context
            if intra_only:
                bits.skip(24)  # frame_sync_code
                if profile > 0:
                    _skip_color(bits, profile)
                refreshed = bits.bits(8)
                _skip_size(bits)
            else:
                refreshed = bits.bits(8)
                bits.skip(4 * _REFERENCES)  # ref_frame_idx, ref_frame_sign_bias
                if not any(bits.flag() for _ in range(_REFERENCES)):  # found_ref
                    bits.skip(32)  # size
                bits.skip(32 * bits.flag())  # size to show
                bits.skip(1)  # allow_high_precision_mv
                bits.skip(0 if bits.flag() else 2)  # is_filter_switchable, raw_interpolation_filter
        bits.skip((0 if resilient else 2) + 2)  # refresh_frame_context … frame_context_idx
        bits.skip(6 + 3)  # loop_filter_level, loop_filter_sharpness
        if bits.flag() and bits.flag():  # changes of the loop filter's strengths
            for _ in range(4 + 2):
                bits.skip(7 * bits.flag())
        value = bits.bits(8)
        for slot in range(_SLOTS):
            if refreshed >> slot & 1:
                self._slots[slot] = value
        return value, is_shown


def _skip_color(bits: BitReader, profile: int) -> None:
    """6.2.2."""
    bits.skip(profile >= 2)  # ten_or_twelve_bit
    if bits.bits(3) != _RGB:
        bits.skip(1 + 3 * (profile % 2))  # color_range; subsampling, reserved_zero
    else:
        bits.skip(profile % 2)  # reserved_zero


def _skip_size(bits: BitReader) -> None:
    """6.2.3 and 6.2.4."""
    bits.skip(32)
    bits.skip(32 * bits.flag())


def _frames(packet: bytes) -> Iterator[bytes]:
    """The frames of a packet (annex B)."""
    marker = packet[-1] if packet else 0
    count, width = (marker & 7) + 1, (marker >> 3 & 3) + 1
    start = len(packet) - 2 - count * width
    if marker & 0xE0 != 0xC0 or start < 0 or packet[start] != marker:
        yield packet
        return
    at = 0
    for index in range(count):
        place = start + 1 + index * width
        size = int.from_bytes(packet[place : place + width], "little")
        yield packet[at : at + size]
        at += size
