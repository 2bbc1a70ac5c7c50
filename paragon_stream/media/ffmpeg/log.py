"""What FFmpeg says while it does something: often the only place where it tells why it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from av import logging as av_logging

_MOST = 3


@dataclass
class Overheard:
    """The lines of one `overhearing` block; complete when it is over."""

    log: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """One sentence each, none twice, the first few; dumps of whole configurations are left out."""
        said = [
            re.sub(r" \(repeated \d+ more times\)$", "", message).strip().rstrip(".")
            for _, _, message in self.log
        ]
        return list(dict.fromkeys(line for line in said if line and "\n" not in line))[:_MOST]


@contextmanager
def overhearing(level: int = av_logging.WARNING) -> Iterator[Overheard]:
    """Collect what FFmpeg says on this thread, from `level` up."""
    before, skip_repeated = av_logging.get_level(), av_logging.get_skip_repeated()
    av_logging.set_level(level)
    av_logging.set_skip_repeated(False)  # or a second refusal for the same reason would have none
    heard = Overheard()
    try:
        with av_logging.Capture() as log:
            heard.log = log
            yield heard
    finally:
        av_logging.set_level(before)
        av_logging.set_skip_repeated(skip_repeated)
