"""Pairs KEY=VALUE for FFmpeg: an encoder's options, a muxer's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def with_options(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The options of both, by name. Of an option in both, `second` counts; pairs are put together by key."""
    pairs = {
        name: with_pairs(first[name], second[name])
        for name in first.keys() & second.keys()
        if isinstance(first[name], Mapping) and isinstance(second[name], Mapping)
    }
    return {**first, **second, **pairs}


def with_pairs(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """The pairs of both. Of a key in both, `second` counts; lists of an encoder's parameters are joined, and
    libraries take the last value of a parameter."""
    lists = [key for key in first.keys() & second.keys() if is_parameter_list(key)]
    joined = {key: f"{first[key]}:{second[key]}" for key in lists}
    return {**first, **second, **joined}


def is_parameter_list(key: str) -> bool:
    """Whether an encoder's option is a list of its library's parameters, such as x265-params."""
    return key.endswith("-params") or key == "x264opts"
