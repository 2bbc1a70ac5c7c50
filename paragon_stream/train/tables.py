"""Dataclasses from the tables of a TOML file: each field is a key. Unknown keys are errors."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from paragon_stream.errors import UsageError


def from_table[T](kind: type[T], table: Mapping[str, Any], where: str = "") -> T:
    """The dataclass `kind` with the values of `table`, which is called `where` in messages.

    Fields are scalars, tuples, mappings, or dataclasses, which are tables themselves. Raises UsageError for
    unknown keys, missing keys and values of another type.
    """
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    label = f"[{where}] " if where else ""
    for key in table:
        if key not in known:
            raise UsageError(f"{label}unknown key {key}; known: {', '.join(known)}")
    values = {}
    for name, field_ in known.items():
        if name in table:
            values[name] = _convert(table[name], hints[name], f"{where}.{name}" if where else name)
        elif field_.default is dataclasses.MISSING and field_.default_factory is dataclasses.MISSING:
            raise UsageError(f"{label}{name} is missing")
    return kind(**values)


def _convert(value: Any, hint: Any, where: str) -> Any:
    """`value`, checked and converted to the annotated type: scalars, tuples, mappings to float,
    dataclasses."""
    wrong = UsageError(f"{where} = {value!r} is not of the right type")
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise wrong
        return from_table(hint, value, where)
    origin = typing.get_origin(hint)
    if origin is tuple:
        inner = typing.get_args(hint)
        if not isinstance(value, list) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
            raise wrong
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_convert(v, k, where) for v, k in zip(value, kinds, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise wrong
        kind = typing.get_args(hint)[1]
        if kind is Any:
            return dict(value)
        return {key: _convert(v, float, f"{where}.{key}") for key, v in value.items()}
    if isinstance(hint, types.UnionType):
        raise TypeError(f"recipes have no union fields, but {where} is one")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise wrong
    return value
