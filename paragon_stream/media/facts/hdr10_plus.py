"""HDR10+: dynamic metadata of a frame, from FFmpeg's structure to the message of a bit stream.

The syntax is that of SMPTE ST 2094-40 and of its registered message (ITU-T T.35: USA, provider 0x003C); the
structure is AVDynamicHDRPlus of libavutil/hdr_dynamic_metadata.h.
"""

from __future__ import annotations

import struct

_HEADER = b"\xb5\x00\x3c\x00\x01\x04"
"""Country, provider, the provider's code, application identifier."""
_WINDOW_BYTES = 428
_WINDOWS = 3
_LUMINANCE = 4 + _WINDOWS * _WINDOW_BYTES
"""Offset of the target display's luminance; its peaks and the mastering display's follow."""
_TARGET_PEAKS = _LUMINANCE + 8
_PEAKS_BYTES = 4 + 25 * 25 * 8
_MASTERING_PEAKS = _TARGET_PEAKS + _PEAKS_BYTES
_SIZE = _MASTERING_PEAKS + _PEAKS_BYTES
_SIDE = 25
"""Rows and columns of the arrays of peaks."""


def windows(data: bytes) -> int:
    """The number of windows of the picture that have metadata of their own; 0 if `data` is too short."""
    return data[2] if len(data) >= _SIZE else 0


def hdr10_plus_message(data: bytes) -> bytes:
    """The T.35 message, from its country code on, of the structure `data`.

    b"" for several windows: their places are pixels, and the result has others.
    """
    if windows(data) != 1:
        return b""
    bits = _Bits()
    bits.put(8, data[1])  # application_version
    bits.put(2, 1)  # num_windows
    bits.put(27, _scaled(data, _LUMINANCE, 1))
    _put_peaks(bits, data, _TARGET_PEAKS)
    window = data[4 : 4 + _WINDOW_BYTES]
    for offset in (48, 56, 64, 72):  # maxscl, average_maxrgb
        bits.put(17, _scaled(window, offset, 100_000))
    count = min(window[80], 15)
    bits.put(4, count)
    for offset in range(84, 84 + 12 * count, 12):
        bits.put(7, window[offset])
        bits.put(17, _scaled(window, offset + 4, 100_000))
    bits.put(10, _scaled(window, 264, 1000))  # fraction_bright_pixels
    _put_peaks(bits, data, _MASTERING_PEAKS)
    bits.put(1, has_curve := window[272])
    if has_curve:
        bits.put(12, _scaled(window, 276, 4095))  # the knee point
        bits.put(12, _scaled(window, 284, 4095))
        count = min(window[292], 15)
        bits.put(4, count)
        for offset in range(296, 296 + 8 * count, 8):
            bits.put(10, _scaled(window, offset, 1023))
    bits.put(1, has_saturation := window[416])
    if has_saturation:
        bits.put(6, _scaled(window, 420, 8))
    return _HEADER + bits.to_bytes()


def _put_peaks(bits: _Bits, data: bytes, offset: int) -> None:
    """An array of actual peak luminances: a flag, rows and columns, sixteenths."""
    present, rows, columns = data[offset], min(data[offset + 1], _SIDE), min(data[offset + 2], _SIDE)
    bits.put(1, present)
    if present:
        bits.put(5, rows)
        bits.put(5, columns)
        for row in range(rows):
            for column in range(columns):
                bits.put(4, _scaled(data, offset + 4 + 8 * (_SIDE * row + column), 15))


def _scaled(data: bytes, offset: int, unit: int) -> int:
    """The rational at `offset` in 1/`unit`; 0 where its denominator is 0."""
    numerator, denominator = struct.unpack_from("=2i", data, offset)
    return round(numerator * unit / denominator) if denominator else 0


class _Bits:
    """Bits, the most significant one first."""

    def __init__(self) -> None:
        self._value = self._count = 0

    def put(self, count: int, value: int) -> None:
        """Append `value`, limited to what `count` bits hold."""
        self._value = self._value << count | min(max(value, 0), (1 << count) - 1)
        self._count += count

    def to_bytes(self) -> bytes:
        """All bits, filled up with zeros to whole bytes."""
        spare = -self._count % 8
        return (self._value << spare).to_bytes((self._count + spare) // 8)
