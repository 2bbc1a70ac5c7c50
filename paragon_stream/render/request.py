"""`RenderRequest`: all options of one render, in values that can be stored as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from paragon_stream.errors import UsageError
from paragon_stream.json_text import json_text
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.option import check_types, described, part
from paragon_stream.options.output import OutputOptions
from paragon_stream.options.source import SourceOptions


@dataclass(frozen=True, kw_only=True)
class RenderRequest(OutputOptions, SourceOptions, UpscalerOptions):
    """The request for one render: the arguments of `upscale` without the callbacks. Raises TypeError for
    values of a wrong type."""

    source: str | Path = field(
        kw_only=False, metadata=described("A video file, or a numbered name: frame_%06d.png.")
    )
    destination: str | Path = field(
        kw_only=False, metadata=described('A file, a numbered name, or "-": y4m on standard output.')
    )

    def __post_init__(self) -> None:
        check_types(self)

    @property
    def network(self) -> UpscalerOptions:
        """Only the options of the network and the engine."""
        return part(self, UpscalerOptions)

    def to_json(self) -> str:
        """The request as indented JSON, without default values."""
        return json_text(self.to_plain(), indent=1)

    def to_plain(self) -> dict[str, Any]:
        """Name → value, in JSON types, without default values."""
        return {
            each.name: _plain(getattr(self, each.name))
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }

    @classmethod
    def from_json(cls, text: str) -> RenderRequest:
        """The inverse of `to_json`. Raises UsageError for other texts."""
        try:
            found = json.loads(text)
        except ValueError as error:
            raise UsageError(f"this is not a render request: {error}") from None
        if not isinstance(found, dict):
            raise UsageError("a render request is a JSON object")
        known = {each.name for each in fields(cls)}
        if unknown := sorted(found.keys() - known):
            raise UsageError(f"a render request has no option {', '.join(unknown)}")
        if absent := sorted({"source", "destination"} - found.keys()):
            raise UsageError(f"this render request lacks {' and '.join(absent)}")
        try:
            return cls(**found)
        except TypeError as error:
            raise UsageError(f"this is not a render request: {error}") from None


def _plain(value: Any) -> Any:
    """`value` in JSON types; the parsers of options accept these, too."""
    if isinstance(value, Path | Fraction):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)  # NumPy's, for which JSON has no form
    if isinstance(value, Real) and not isinstance(value, bool | float):
        return float(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
