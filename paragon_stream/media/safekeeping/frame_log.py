"""A record of every frame that was given to a sink, for continuing after an interruption."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from paragon_stream.frame import Timing
from paragon_stream.media.safekeeping.records import RecordFile, keep_records, read_records

_FORM = struct.Struct("<qqqqqqdIB")
_SHOWN, _SHOWN_AT = struct.Struct("<qq"), 32
"""The times in the output, and their position in a record."""
_STRENGTH, _STRENGTH_AT = struct.Struct("<d"), 48
_MOVED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRecord:
    """One frame, in order of display."""

    timing: Timing
    """The timing from the reader."""
    strength: float
    """The compression strength that the network used."""
    sample: int
    """CRC-32 of some rows of the source's planes; 0 if the planes are in a GPU's memory."""
    disturbed: bool
    """See `FrameReader.disturbed`."""
    pts: int = 0
    """Time in the output, in ticks."""
    duration: int = 0
    """Duration in the output, in ticks."""
    moved: bool = False
    """Whether it was moved to one tick after the frame before."""

    @property
    def time(self) -> Fraction:
        """Time of the frame, in seconds of the source's timestamps."""
        return self.timing.time

    def packed(self) -> bytes:
        unit = self.timing.time_base
        return _FORM.pack(
            self.timing.pts,
            self.timing.duration,
            unit.numerator,
            unit.denominator,
            self.pts,
            self.duration,
            self.strength,
            self.sample,
            self.disturbed | self.moved * _MOVED,
        )

    @classmethod
    def unpacked(cls, data: bytes) -> FrameRecord:
        """The inverse of `packed`. Raises struct.error for other data."""
        pts, duration, above, below, shown, lasts, strength, sample, flags = _FORM.unpack(data)
        return cls(
            timing=Timing(pts=pts, duration=duration, time_base=Fraction(above, below)),
            strength=strength,
            sample=sample,
            disturbed=bool(flags & 1),
            pts=shown,
            duration=lasts,
            moved=bool(flags & _MOVED),
        )


class FrameLog:
    """The records of all frames so far, in the file `path`. Raises OSError."""

    def __init__(self, path: Path) -> None:
        """Read what an earlier run wrote."""
        self.path = path
        self._earlier: list[bytes] = []
        self._ends = [0]
        for end, body in read_records(path):
            if len(body) != _FORM.size:
                break
            self._earlier.append(body)
            self._ends.append(end)
        self._file: RecordFile | None = None

    def __len__(self) -> int:
        """Number of frames that an earlier run wrote."""
        return len(self._earlier)

    def __getitem__(self, number: int) -> FrameRecord:
        """The record of the frame `number` of an earlier run."""
        return FrameRecord.unpacked(self._earlier[number])

    def shown(self) -> Iterator[tuple[int, int, bool]]:
        """`pts`, `duration` and `moved` of the frames of an earlier run."""
        for body in self._earlier:
            pts, duration = _SHOWN.unpack_from(body, _SHOWN_AT)
            yield pts, duration, bool(body[-1] & _MOVED)

    def strengths(self) -> Iterator[float]:
        """`strength` of the frames of an earlier run."""
        return (_STRENGTH.unpack_from(body, _STRENGTH_AT)[0] for body in self._earlier)

    def begin(self, kept: int) -> None:
        """Continue after the first `kept` records."""
        self.close()
        del self._earlier[kept:]
        keep_records(self.path, self._ends[kept])
        self._file = RecordFile(self.path)

    def append(self, record: FrameRecord) -> None:
        assert self._file is not None, "begun"
        self._file.append(record.packed())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
