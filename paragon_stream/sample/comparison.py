"""One version of a comparison, from `--compare "variant=stream,crf=20"`, and its command line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from paragon_stream.errors import UsageError, suggestion
from paragon_stream.options.option import Kind, options_of
from paragon_stream.options.pairs import with_pairs
from paragon_stream.render.request import RenderRequest

_ABOUT_THE_PIECE = ("start", "duration", "end", "overwrite", "resume")


def parse_comparison(text: str) -> dict[str, Any]:
    """The options in "name=value,name=value". Raises UsageError for unknown names and wrong values."""
    known = options_of(RenderRequest)
    flags = {option.flag.lstrip("-").replace("-", "_"): name for name, option in known.items() if option.flag}
    chosen: dict[str, Any] = {}
    for pair in filter(None, text.split(",")):
        name, equals, value = pair.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        name = flags.get(name, name)
        if name not in known or name in _ABOUT_THE_PIECE:
            raise UsageError(f"--compare {text!r}: there is no option {name}{suggestion(name, known)}")
        if not equals:
            raise UsageError(f"--compare {text!r}: {name} needs a value, as in {name}=…")
        if known[name].kind is Kind.PAIRS:
            key, equals, setting = value.strip().partition("=")
            if not (key and equals):
                raise UsageError(
                    f"--compare {text!r}: {name} needs a key and a value, as in {name}=KEY=VALUE"
                )
            chosen[name] = with_pairs(chosen.get(name, {}), {key: setting})
            continue
        if known[name].kind is Kind.LIST:
            chosen[name] = [*chosen.get(name, []), value.strip()]
            continue
        try:
            chosen[name] = known[name].parse(value.strip())
        except ValueError:
            raise UsageError(f"--compare {text!r}: {name} cannot be {value}") from None
    return chosen


def labels(versions: Sequence[Mapping[str, Any]]) -> list[str]:
    """A short name for each version, from the options that are not the same in all of them."""
    absent = object()
    names = list(dict.fromkeys(name for options in versions for name in options))
    if len(versions) > 1:
        first = versions[0]
        names = [n for n in names if any(each.get(n, absent) != first.get(n, absent) for each in versions)]
    return [
        ", ".join(f"{name} {_text(options[name])}" for name in names if name in options)
        or ", ".join(f"default {name}" for name in names)
        or "defaults"
        for options in versions
    ]


def command_line(source: str, destination: str, options: Mapping[str, Any]) -> str:
    """The shell command that renders the whole film with these options."""
    # A name that begins with "-" would be taken for an option.
    words = ["paragon-stream", *(f"./{name}" if name[:1] == "-" else name for name in (source, destination))]
    known = options_of(RenderRequest)
    for name in (each.name for each in fields(RenderRequest)):
        if name not in known or options.get(name) is None:
            continue
        option, value = known[name], options[name]
        flag = option.flag or f"--{name.replace('_', '-')}"
        if isinstance(value, Mapping):
            for key, setting in value.items():
                words += [flag, f"{key}={setting}"]
        elif isinstance(value, bool):
            other = [flag] if value else [option.none[0]]
            words += other if value != option.default else []
        elif option.kind is Kind.TRACKS and isinstance(value, list | tuple):
            words += [flag, ",".join(map(str, value))] if value else [option.none[0]]
        elif isinstance(value, list | tuple):
            for each in value:
                words += [flag, str(each)]
        else:
            words += [flag, _text(value)]
    return shlex.join(words)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
