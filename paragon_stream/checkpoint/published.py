"""The networks that upstream registers, of every generation, by name."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from paragon_stream.checkpoint.facts import ATTENTIONS
from paragon_stream.checkpoint.lines.discriminator import MUNETS, munet
from paragon_stream.checkpoint.lines.dual import DUAL_LINE, published_dual
from paragon_stream.checkpoint.lines.feature import FEATURE_LINE, Dynamic
from paragon_stream.checkpoint.lines.feature_networks import published_feature
from paragon_stream.checkpoint.lines.further import CategorySpec, UltimateSpec, category_pro, ultimate
from paragon_stream.checkpoint.spec import (
    RELEASE_LINE,
    Generation,
    NetworkSpec,
    ReleaseSpec,
    Variant,
    published,
)
from paragon_stream.errors import UsageError

ATTENTION_MODES = ("sdpa", "flex", "none")
"""Implementations of attention: torch's scaled_dot_product_attention, FlexAttention, or no attention."""

_OPTION_TYPES: dict[str, tuple[type, ...]] = {
    "hr_blocks": (int, type(None)),
    **dict.fromkeys(("fast_body_mode", "use_content_aware", "use_attention", "use_norm"), (bool, type(None))),
}

_OPTION_WORDS: dict[str, tuple[str, ...]] = {"dynamic": tuple(Dynamic), "attention": ATTENTIONS}
"""Options whose value is one of a few words."""

_RELEASE_ALPHA = {Variant.REALTIME: 0.3, Variant.STREAM: 0.0, Variant.PHOTO: 0.4, Variant.PRO: 0.4}


def as_generation(name: str) -> Generation:
    """The generation of this name; "p2v3" is the repaired one. Raises UsageError."""
    try:
        return Generation("p2v3fix" if name == "p2v3" else name)
    except ValueError:
        raise UsageError(f"there is no generation {name}; known: {', '.join(Generation)}") from None


def published_network(
    generation: str,
    variant: str,
    scale: int,
    *,
    alpha: float | None = None,
    attention_mode: str | None = "sdpa",
    export_safe: bool = False,
    **options: Any,
) -> NetworkSpec:
    """The network that upstream registers as `variant` in this generation.

    `options` are those of the generation's `published_…` function, among them `hr_blocks`, `fast_body_mode`,
    `use_content_aware`, `use_attention`, `window_size`. `alpha` is by default upstream's. The variant of a
    discriminator is its size, such as `nf64_1248`. With the `attention_mode` "none" (or None), or with
    `export_safe`, the network has no attention, and its state dict has none of attention's tensors.

    Raises UsageError for names and options that the generation does not have.
    """
    kind = as_generation(generation)
    if alpha is not None:
        options["alpha"] = alpha
    window = options.get("window_size")
    if window is not None and (type(window) is not int or window < 1):
        raise UsageError(f"window_size is a whole number above 0, not {window!r}")
    without = attends_not(attention_mode) or export_safe
    if without and kind in DUAL_LINE and options.setdefault("use_attention", False):
        raise UsageError("use_attention = true contradicts attention_mode = none: leave one of them out")
    for name, value in options.items():
        if type(value) not in _OPTION_TYPES.get(name, (type(value),)):
            raise UsageError(f"{name} is {value!r}, which is not {_described(name)}")
        words = _OPTION_WORDS.get(name)
        if words is not None and value is not None and value not in words:
            raise UsageError(f"{name} is {value!r}; known: {', '.join(words)}")
    try:
        spec = _make(kind, variant, scale, options)
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        problem = f"has no option {unknown[1]}" if unknown else f"cannot be made: {error}"
        raise UsageError(f"{kind} {variant} {problem}") from error
    return _without_attention(spec) if without else spec


def _described(name: str) -> str:
    return "a whole number" if _OPTION_TYPES[name][0] is int else "true or false"


def registered_alpha(spec: NetworkSpec) -> float | None:
    """The alpha that upstream's program takes for this network if a training configuration states none; None
    for sizes that it does not register."""
    if isinstance(spec, ReleaseSpec):
        return _RELEASE_ALPHA[spec.variant]
    try:
        return published_network(spec.generation, spec.variant, max(2, spec.scale)).alpha
    except UsageError:
        return None


def attends_not(mode: str | None) -> bool:
    """Whether the `attention_mode` is that of networks without attention. Raises UsageError for others than
    ATTENTION_MODES and None."""
    if mode is not None and mode not in ATTENTION_MODES:
        raise UsageError(f"attention_mode is {', '.join(ATTENTION_MODES[:-1])} or none, not {mode!r}")
    return mode in (None, "none")


def _without_attention(spec: NetworkSpec) -> NetworkSpec:
    if isinstance(spec, CategorySpec | UltimateSpec):
        raise UsageError(
            f"{spec} has no form without attention: leave attention_mode = none and export_safe out"
        )
    return replace(spec, window=0) if isinstance(spec, ReleaseSpec) else spec


def _make(kind: Generation, variant: str, scale: int, options: dict[str, Any]) -> NetworkSpec:
    if kind in FEATURE_LINE:
        if options.get("dynamic") is not None:
            options["dynamic"] = Dynamic(options["dynamic"])
        return published_feature(kind, variant, scale, **options)
    if kind in DUAL_LINE:
        return published_dual(kind, variant, scale, **options)
    if kind in MUNETS:
        features, _, widths = variant.removeprefix("nf").partition("_")
        if not (features.isdigit() and widths.isdigit()):
            raise UsageError(f"a discriminator is called nf64_1248, not {variant}")
        return munet(int(features), [int(each) for each in widths], kind)
    if (kind, variant) == (Generation.V11_ATD, "pro"):
        return category_pro(scale, **options)
    if (kind, variant) == (Generation.DEV, "ultimate"):
        return ultimate(scale, **options)
    if variant not in list(Variant):
        raise UsageError(f"{kind} has no {variant}; it has {', '.join(Variant)}")
    window = options.pop("window_size", None)
    spec = published(variant, scale, generation=kind, **options)
    if window is not None and not spec.window:
        raise UsageError(f"{variant} has no attention: leave window_size out")
    return replace(spec, window=window or spec.window)


assert set(RELEASE_LINE) | set(FEATURE_LINE) | set(DUAL_LINE) | set(MUNETS) == set(Generation)
