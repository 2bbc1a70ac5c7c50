"""The number of bytes of a file that are searched for streams."""

from __future__ import annotations

import re
from dataclasses import dataclass

from paragon_stream.errors import UsageError

_LONGEST = 100 * 3600 * 1_000_000
"""Microseconds of programme to search: no limit, the size is one."""

_ALL = 1 << 60
_SIZE = re.compile(r"(\d{1,18}(?:\.\d+)?)([KMGT]?)")
_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True, kw_only=True)
class Probing:
    """`size` bytes are searched for streams; 0 stands for FFmpeg's default, about 5 MB.

    `rewinds`: after the search the file is read again from the start, instead of from memory.
    """

    size: int = 0
    rewinds: bool = False

    @property
    def options(self) -> dict[str, str]:
        """FFmpeg's options of the demuxer."""
        if not self.size:
            return {}
        options = {
            "probesize": str(max(32, self.size)),
            "analyzeduration": str(_LONGEST),
            "scan_all_pmts": "1",
        }
        return {**options, "fflags": "+nobuffer"} if self.rewinds else options


HEADERS = Probing()
"""FFmpeg's default: enough where a header lists the streams."""


def parse_probe_size(value: str | int | None) -> int | None:
    """Bytes of "500M", "2G", "all" or a number; None for None. Raises UsageError."""
    if value is None:
        return None
    text = str(value).strip().upper()
    if text == "ALL":
        return _ALL
    match = _SIZE.fullmatch(text.removesuffix("B"))
    size = round(float(match[1]) * _FACTORS[match[2]]) if match else 0
    if size <= 0:
        raise UsageError(f"--probesize {value} is not a size: give bytes, such as 500M or 2G, or all")
    return size
