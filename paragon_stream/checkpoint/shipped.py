"""The weights that come with the package: files `engines/<variant>_x<scale>_<set>.safetensors`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from paragon_stream.checkpoint.spec import Variant

_PACKAGE = Path(__file__).resolve().parent.parent
_NAME = re.compile(r"(?P<variant>[a-z]+)_x(?P<scale>\d+)_(?P<name>[a-z0-9-]+)\.safetensors")
_DEFAULT_ORDER = ("video", "fidelity")


@dataclass(frozen=True, kw_only=True, order=True)
class ShippedSet:
    """One set of weights, called `name` for its variant and scale."""

    variant: Variant
    scale: int
    name: str
    path: Path


def engines_folder() -> Path:
    """Where the shipped weights lie: inside the installed package, or at the top of a checkout."""
    installed = _PACKAGE / "_data" / "engines"
    return installed if installed.is_dir() else _PACKAGE.parent / "engines"


def list_shipped(folder: Path | None = None) -> list[ShippedSet]:
    """Every shipped set, sorted by variant, scale and name."""
    found = []
    for path in (folder or engines_folder()).glob("*.safetensors"):
        match = _NAME.fullmatch(path.name)
        if match and match["variant"] in list(Variant):
            found.append(
                ShippedSet(
                    variant=Variant(match["variant"]),
                    scale=int(match["scale"]),
                    name=match["name"],
                    path=path,
                )
            )
    return sorted(found)


def find_shipped(
    name: str | None, *, variant: str, scale: int, folder: Path | None = None
) -> ShippedSet | None:
    """The set called `name`, or without a name the default one: `video`, else `fidelity`."""
    sets = {s.name: s for s in list_shipped(folder) if (s.variant, s.scale) == (variant, scale)}
    wanted = _DEFAULT_ORDER if name is None else (name,)
    return next((sets[each] for each in wanted if each in sets), None)
