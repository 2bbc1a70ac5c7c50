"""Profiles: named groups of options, in files called `profiles.toml`.

    [anime-1080p]
    to = "2160p"
    codec = "libx265"
    crf = 18

Keys are the arguments of `upscale` and `upscale_all`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from paragon_stream.errors import UsageError, reason, suggestion
from paragon_stream.options.folder import FolderOptions
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.option import Kind, Option, options_of
from paragon_stream.options.output import OutputOptions
from paragon_stream.options.source import SourceOptions

FILE = "profiles.toml"
_KINDS = (UpscalerOptions, SourceOptions, OutputOptions, FolderOptions)
_FILES = ("weights", "add")
"""Options that may name files. Files in the folder of the profiles are found from every folder."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """`options` are arguments of `upscale`, in the form in which it takes them."""

    name: str
    path: Path
    options: Mapping[str, Any]


def profile_files(folder: Path | None = None) -> tuple[Path, ...]:
    """The files of profiles: in `folder` (by default the current one), then in the user's configuration, if
    the user has a home folder."""
    here = (folder or Path()) / FILE
    try:
        user = Path(platformdirs.user_config_path("paragon-stream", appauthor=False))
    except RuntimeError:
        return (here,)
    return (here, user / FILE) if user.is_absolute() else (here,)


def list_profiles(files: tuple[Path, ...] | None = None) -> list[Profile]:
    """All profiles, by name. If two files have a profile with the same name, the first file counts. Raises
    UsageError, which names file, line and key."""
    found: dict[str, Profile] = {}
    for path in profile_files() if files is None else files:
        for profile in _read(path):
            found.setdefault(profile.name, profile)
    return sorted(found.values(), key=lambda profile: profile.name)


def load_profile(name: str, files: tuple[Path, ...] | None = None) -> Profile:
    """The profile called `name`. Raises UsageError if there is none, and for a file with a mistake."""
    places = profile_files() if files is None else files
    known = {profile.name: profile for profile in list_profiles(places)}
    if name not in known:
        listed = f"there are {', '.join(known)}" if known else f"none is in {' or '.join(map(str, places))}"
        raise UsageError(f"there is no profile {name}{suggestion(name, known)}; {listed}")
    return known[name]


def _read(path: Path) -> list[Profile]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {reason(error)}") from error
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from None
    options = {name: each for kind in _KINDS for name, each in options_of(kind).items()}
    profiles = []
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"{path}, line {_line(text, '', name)}: {name} is outside of a [profile] table")
        values = {}
        for key, value in table.items():
            where = f"{path}, line {_line(text, name, key)}, [{name}]"
            option = options.get(key)
            if option is None:
                raise UsageError(f"{where}: there is no option {key}{suggestion(key, options)}")
            values[key] = _found(_checked(option, value, where), key, path.parent)
        profiles.append(Profile(name=name, path=path, options=values))
    return profiles


def _checked(option: Option, value: Any, where: str) -> Any:
    """`value` in the form that `option` has in Python. Raises UsageError."""
    kind, is_text = option.kind, isinstance(value, str)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_whole = is_number and isinstance(value, int)
    if kind is Kind.PAIRS and isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(each, str | int | float):
                raise UsageError(f"{where}: {key} takes a text or a number, not {each!r}")
        return {key: _text(each) for key, each in value.items()}
    if kind in (Kind.LIST, Kind.TRACKS) and isinstance(value, list):
        allowed = (str, int) if kind is Kind.TRACKS else str
        for each in value:
            if not isinstance(each, allowed) or isinstance(each, bool):
                raise UsageError(f"{where}: {option.name} takes {kind.value}, not one with {each!r}")
        return value
    if kind is Kind.LIST and is_text:
        return [value]
    fits = {
        Kind.SWITCH: isinstance(value, bool),
        Kind.WHOLE: is_whole,
        Kind.NUMBER: is_number,
        Kind.QUANTITY: is_number or is_text,
        Kind.TEXT: is_text,
        Kind.TRACKS: is_whole or is_text,
    }
    if fits.get(kind, False):
        return value
    raise UsageError(f"{where}: {option.name} takes {kind.value}, not {value!r}")


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _found(value: Any, key: str, folder: Path) -> Any:
    """`value`; files in the folder of the profiles get their full paths."""
    if key not in _FILES:
        return value
    if isinstance(value, list):
        return [_found(each, key, folder) for each in value]
    beside = folder / str(value)
    return str(beside) if beside.is_file() else value


def _line(text: str, table: str, key: str) -> int:
    """The line on which `key` of [`table`] stands; 1 if it cannot be found."""
    current, name = "", r"[\"']?" + re.escape(key) + r"[\"']?"
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*[\"']?([^\]\"']+?)[\"']?\s*\]", line):
            current = header[1]
        inside = current == table and re.match(rf"\s*{name}\s*[.=]", line)
        if inside or current == f"{table}.{key}" or re.match(rf"\s*{re.escape(table)}\.{name}\s*[.=]", line):
            return number
    return 1
