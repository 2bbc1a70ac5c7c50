"""Which packets of H.265 hold a picture that a decoder must deliver (H.265, 8.1.3 and 8.3.2).

FFmpeg's decoder leaves out a picture with a damaged slice header, and those that need it, without an error.
"""

from __future__ import annotations

from typing import Any

from paragon_stream.media.quantisers.bits import BitReader, HeaderError
from paragon_stream.media.quantisers.hevc import (
    PPS,
    RANDOM_ACCESS,
    SLICES,
    base_units,
    stored_units,
    unit_kind,
)
from paragon_stream.media.quantisers.nal import payload

_SKIPPED_LEADING = (8, 9)
"""RASL pictures: shown before the random access point that they follow, predicted from what precedes it."""
_CLEAN = 21
"""A CRA picture; the other random access points refer to nothing before them."""
_ENDS = (36, 37)
_MOST_REORDERED = 16
"""A picture follows at most so many later ones out of a decoder (A.4.2, `MaxDpbSize`)."""


class PicturesOwed:
    """The pictures of one stream that its decoder has not delivered. Serial numbers of packets rise."""

    def __init__(self, extradata: bytes | None) -> None:
        self._examined = HevcPictures(extradata)
        self._owed: set[int] = set()
        self._latest = -1
        self.left_out = 0
        """The number of pictures that will not come any more."""

    def sent(self, serial: int, packet: Any) -> None:
        """A packet that is sent to the decoder next."""
        if self._examined.must_show(bytes(packet)) and not packet.is_discard:
            self._owed.add(serial)

    def delivered(self, serial: int) -> None:
        """A frame came out, made of the packet with this number."""
        self._owed.discard(serial)
        self._latest = max(self._latest, serial)
        lost = {each for each in self._owed if each < self._latest - _MOST_REORDERED}
        self.left_out += len(lost)
        self._owed -= lost

    def ended(self) -> None:
        """The decoder has delivered its last frame."""
        self.left_out += len(self._owed)
        self._owed.clear()


def pictures_owed(context: Any) -> PicturesOwed | None:
    """For a decoder's context; None if its codec reports every picture that does not decode."""
    return PicturesOwed(context.extradata) if context.codec.canonical_name == "hevc" else None


class HevcPictures:
    """Examines the packets of one stream in coded order. `extradata` is the container's header."""

    def __init__(self, extradata: bytes | None) -> None:
        self._length_size, found = stored_units(extradata)
        self._began = False
        """Whether a random access point was seen: what precedes the first one cannot be decoded."""
        self._ended = True
        """Whether the next random access point begins a sequence."""
        self._skips_leading = True
        self._hides = any(map(_hides_pictures, found))
        """Whether a slice header can say that its picture is not shown."""

    def must_show(self, packet: bytes) -> bool:
        """Whether the picture in `packet` must come out of a decoder."""
        shows = False
        for kind, unit in base_units(packet, self._length_size):
            if kind in RANDOM_ACCESS and not shows:
                self._skips_leading = self._ended or kind != _CLEAN
                self._began, self._ended = True, False
            shows |= kind in SLICES and not (kind in _SKIPPED_LEADING and self._skips_leading)
            self._ended |= kind in _ENDS
            self._hides |= _hides_pictures(unit)
        return shows and self._began and not self._hides


def _hides_pictures(unit: bytes) -> bool:
    """Whether `unit` is a picture parameter set with `output_flag_present_flag` (7.3.2.3.1)."""
    if unit_kind(unit) != PPS:
        return False
    bits = BitReader(payload(unit, header=2))
    try:
        bits.unsigned(), bits.unsigned()  # pps_pic_parameter_set_id, pps_seq_parameter_set_id
        bits.skip(1)  # dependent_slice_segments_enabled_flag
        return bool(bits.flag())
    except (HeaderError, IndexError):
        return False
