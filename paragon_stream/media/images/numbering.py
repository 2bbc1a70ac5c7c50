"""Numbered images, named by a pattern such as `frame_%06d.png`: a video of one file per frame."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from paragon_stream.errors import UsageError
from paragon_stream.media.facts.containers import is_video_name

_PLACE = re.compile(r"%0?(\d*)d")


@dataclass(frozen=True, kw_only=True)
class Numbering:
    """Files in `folder` called `before`, a number of at least `digits` digits, `after`."""

    folder: Path
    before: str
    digits: int
    after: str

    @property
    def pattern(self) -> Path:
        return self.folder / f"{self.before}%0{self.digits}d{self.after}"

    def path(self, number: int) -> Path:
        return self.folder / f"{self.before}{number:0{self.digits}}{self.after}"

    def numbers(self) -> list[int]:
        """The numbers of the files that exist, in order."""
        name = re.compile(re.escape(self.before) + r"(\d+)" + re.escape(self.after))
        if not self.folder.is_dir():
            return []
        found = (name.fullmatch(path.name) for path in self.folder.iterdir())
        numbers = (int(match[1]) for match in found if match)
        return sorted(n for n in numbers if self.path(n).is_file())


def numbering(path: str | Path) -> Numbering | None:
    """The numbering that the name of `path` describes; None for a video's name, or an existing file's.

    Raises UsageError for more than one number in the name.
    """
    path = Path(path)
    numbers = list(_PLACE.finditer(path.name))
    if not numbers or path.exists() or is_video_name(path):
        return None
    if len(numbers) > 1:
        raise UsageError(f"{path} has {len(numbers)} numbers; a sequence has one")
    (number,) = numbers
    return Numbering(
        folder=path.parent,
        before=path.name[: number.start()],
        digits=int(number[1] or 1),
        after=path.name[number.end() :],
    )
