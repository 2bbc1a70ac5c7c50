"""The section `network_g` of a traiNNer-redux file as the table [network] of a recipe."""

from __future__ import annotations

import logging
from typing import Any

from paragon_stream.checkpoint.config import TYPES, common_scale
from paragon_stream.checkpoint.published import attends_not, registered_alpha
from paragon_stream.checkpoint.spec import Variant, published
from paragon_stream.errors import UsageError

_HEAD_SIZES = ("nano", "tiny", "anime", "s", "m", "l", "xl")
_STATIC_OPTIONS = ("detail_gain", "fast_body_mode", "use_content_aware", "use_attention")
_PREFIXES = (
    ("paragonsr2_static_", "p2v4", 0.5),
    ("paragonsr_v2_", "p2v0", 0.0),
    ("paragonsr2_", "p2r3", 0.5),
    ("paragonsr_", "paragonsr-ps", 0.0),
)
"""Prefix of upstream's name → generation, and upstream's default alpha."""


logger = logging.getLogger(__name__)


def network_table(section: Any, scale: Any) -> dict[str, Any]:
    """The table [network] for the section `network_g` of a file whose top level states `scale`, for every
    generation.

    The static family (v5) and the family with an HR head (r3) use the same names for their sizes: the options
    decide between them. Raises UsageError.
    """
    if not isinstance(section, dict) or not isinstance(section.get("type"), str):
        raise UsageError("network_g has no type")
    given = dict(section)
    name = given.pop("type").lower()
    scale = common_scale({"scale": scale}, {"scale": given.pop("scale", None)})
    if scale is None:
        raise UsageError("it has no scale")
    alpha = given.pop("upsampler_alpha", None)
    if alpha is not None and type(alpha) not in (int, float):
        raise UsageError(f"upsampler_alpha is {alpha!r}, which is not a number")
    mode = given.pop("attention_mode", "sdpa")
    export_safe = given.pop("export_safe", False)
    if attends_not(mode) or export_safe:
        mode = "none"
    if name in TYPES:
        variant = TYPES[name]
        generation, size = "p2head", str(variant)
        usual = registered_alpha(published(variant, scale)) or 0.0
        if variant is not Variant.PRO and given.pop("detail_gain", None) is not None:
            logger.warning("network_g.detail_gain has no effect: the network's correction starts small")
        for key in ("gradient_checkpointing", "use_content_aware"):
            if given.pop(key, None) is not None:
                logger.warning("network_g.%s has no effect on a %s, in upstream's programs either", key, name)
    else:
        found = next((each for each in _PREFIXES if name.startswith(each[0])), None)
        if found is None:
            raise UsageError(f"network_g has the type {name!r}; known: {', '.join(TYPES)} and older families")
        prefix, generation, usual = found
        size = name.removeprefix(prefix)
        is_static = size not in _HEAD_SIZES or any(key in given for key in _STATIC_OPTIONS)
        if size == "ultimate":
            generation, usual = "p2dev", 0.4
        elif generation == "p2r3" and is_static:
            generation = "p2v5"
    table: dict[str, Any] = {
        "generation": generation,
        "variant": size,
        "scale": scale,
        "alpha": float(usual if alpha is None else alpha),
    }
    if mode != "sdpa":
        given["attention_mode"] = mode
    if given:
        table["options"] = given
    return table
