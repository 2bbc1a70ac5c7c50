"""The values of options, for completion by the shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import click
from click.shell_completion import CompletionItem

type Values = Callable[[], Iterable[tuple[str, str]]]
"""Lists the values of an option, each with its description."""


def completer(
    name: str, owner: type | None = None
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]] | None:
    """The function that completes values of the option `name` of `owner`; None if there is none."""
    own = None if owner is None else _OWN_VALUES.get((owner.__name__, name))
    values = own or _VALUES.get(name)
    if values is None:
        return None

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        found = [
            CompletionItem(value, help=help)
            for value, help in values()
            if value.lower().startswith(begun.lower())
        ]
        if not found and name in _FILES:
            return [CompletionItem(begun, type="file")]
        return found

    return complete


def _weights() -> Iterable[tuple[str, str]]:
    from paragon_stream.checkpoint import list_shipped

    sets: dict[str, list[str]] = {}
    for each in list_shipped():
        sets.setdefault(each.name, []).append(f"{each.variant} ×{each.scale}")
    return [(name, ", ".join(uses)) for name, uses in sets.items()]


def _variants() -> Iterable[tuple[str, str]]:
    from paragon_stream.checkpoint import list_shipped

    scales: dict[str, set[int]] = {}
    for each in list_shipped():
        scales.setdefault(str(each.variant), set()).add(each.scale)
    return [(name, "shipped: " + ", ".join(f"×{s}" for s in sorted(found))) for name, found in scales.items()]


def _engines() -> Iterable[tuple[str, str]]:
    from paragon_stream.runtimes.registry import ENGINES

    return [(name, "the fastest that this machine has" if name == "auto" else "") for name in ENGINES]


def _codecs() -> Iterable[tuple[str, str]]:
    from paragon_stream.media.encode.encoders import ENCODERS

    return [(encoder.name, encoder.codec) for encoder in ENCODERS]


def _presets() -> Iterable[tuple[str, str]]:
    from paragon_stream.media.encode.encoders import ENCODERS

    uses: dict[str, list[str]] = {}
    for encoder in ENCODERS:
        for preset in encoder.presets:
            uses.setdefault(preset, []).append(encoder.name)
    return [(preset, ", ".join(names)) for preset, names in uses.items()]


def _pixel_formats() -> Iterable[tuple[str, str]]:
    from paragon_stream.frame import PIXEL_FORMATS

    return [(name, "") for name in PIXEL_FORMATS]


def _containers() -> Iterable[tuple[str, str]]:
    from paragon_stream.media.facts.containers import CONTAINERS

    return [(suffix.lstrip("."), each.name) for each in CONTAINERS for suffix in each.suffixes]


def _profiles() -> Iterable[tuple[str, str]]:
    from paragon_stream.errors import UsageError
    from paragon_stream.profiles import list_profiles

    try:
        found = list_profiles()
    except UsageError:  # reported when it is used
        return []
    return [(each.name, " ".join(f"{key}={value}" for key, value in each.options.items())) for each in found]


def _fixed(*values: str | tuple[str, str]) -> Values:
    pairs: Sequence[tuple[str, str]] = [each if isinstance(each, tuple) else (each, "") for each in values]
    return lambda: pairs


_FILES = ("weights", "config")
_STRENGTHS = ("0", "clean"), ("1", "hard compression")
_VALUES: dict[str, Values] = {
    "weights": _weights,
    "variant": _variants,
    "engine": _engines,
    "codec": _codecs,
    "preset": _presets,
    "pix_fmt": _pixel_formats,
    "container": _containers,
    "suffix": _containers,
    "profile": _profiles,
    "precision": _fixed("auto", "fp32", "bf16", "fp16", "int8"),
    "fit": _fixed(
        ("inside", "as large as fits"), ("crop", "cut off"), ("pad", "add bars"), ("stretch", "out of shape")
    ),
    "to": _fixed("720p", "1080p", "1440p", "2160p", "2"),
    "strength": _fixed(("auto", "read off the stream"), *_STRENGTHS),
    "deinterlace": _fixed(("auto", "by flags"), "off", "bwdif", ("bwdif-2x", "double rate"), "yadif"),
    "hwaccel": _fixed("auto", "none", "cuda"),
    "generation": _fixed("p2r3", "p2v2"),
    "device": _fixed("cpu", "cuda:0", "cuda:all", "gpu:0"),
    "audio_codec": _fixed("aac", "libopus", "flac", "alac", "ac3", "eac3", "pcm_s16le"),
}
_OWN_VALUES: dict[tuple[str, str], Values] = {
    ("OnnxOptions", "precision"): _fixed("fp32", "fp16", "int8"),
    ("OnnxOptions", "strength"): _fixed(*_STRENGTHS),
}
"""Values of options whose name means something else in other commands, by the class that defines them."""
