"""The networks that upstream registers, of every generation, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from paragon_stream.checkpoint.lines.discriminator import MUNETS, munet
from paragon_stream.checkpoint.lines.dual import DUAL_LINE, published_dual
from paragon_stream.checkpoint.lines.feature import FEATURE_LINE
from paragon_stream.checkpoint.lines.feature_networks import published_feature
from paragon_stream.checkpoint.lines.further import category_pro, ultimate
from paragon_stream.checkpoint.spec import RELEASE_LINE, Generation, NetworkSpec, Variant, published
from paragon_stream.errors import UsageError


def as_generation(name: str) -> Generation:
    """The generation of this name; "p2v3" is the repaired one. Raises UsageError."""
    try:
        return Generation("p2v3fix" if name == "p2v3" else name)
    except ValueError:
        raise UsageError(f"there is no generation {name}; known: {', '.join(Generation)}") from None


def published_network(
    generation: str, variant: str, scale: int, *, alpha: float | None = None, **options: Any
) -> NetworkSpec:
    """What upstream registers as `variant` in this generation.

    `options` are those that the generation's `published_…` function takes, among them `hr_blocks`,
    `fast_body_mode`, `use_content_aware`, `use_attention`, `window_size`. `alpha` is upstream's default
    unless given. A discriminator's variant is its `nf64_1248`.

    Raises UsageError for names and options that the generation does not have.
    """
    kind = as_generation(generation)
    if alpha is not None:
        options["alpha"] = alpha
    try:
        return _make(kind, variant, scale, options)
    except TypeError as error:
        raise UsageError(f"{kind} {variant}: {error}") from error


def _make(kind: Generation, variant: str, scale: int, options: dict[str, Any]) -> NetworkSpec:
    if kind in FEATURE_LINE:
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
    return replace(spec, window=window) if window else spec


assert set(RELEASE_LINE) | set(FEATURE_LINE) | set(DUAL_LINE) | set(MUNETS) == set(Generation)
