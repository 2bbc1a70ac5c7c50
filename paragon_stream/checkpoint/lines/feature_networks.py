"""The registered networks of the feature-space line, and how they are recognised."""

from __future__ import annotations

from dataclasses import replace

from paragon_stream.checkpoint.facts import Facts
from paragon_stream.checkpoint.lines.feature import (
    CHOOSES_ALPHA,
    CHOOSES_NORM,
    GATED,
    REPARAMETERISED,
    TRACKED,
    UNSAID_SCALE,
    Dynamic,
    FeatureSpec,
)
from paragon_stream.checkpoint.lines.measure import (
    body_size,
    count,
    declared_generation,
    has,
    shuffled_scale,
    size,
)
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import Generation
from paragon_stream.errors import UsageError

type Size = tuple[int, int, int, float, int, int]
"""Features, groups, blocks, expansion, band, residual blocks in the HR head."""

_PARAGON: dict[str, Size] = {
    "anime": (28, 2, 3, 1.5, 11, 0),
    "nano": (24, 3, 2, 1.5, 11, 0),
    "tiny": (32, 3, 2, 2, 11, 0),
    "xs": (48, 4, 4, 2, 11, 0),
    "s": (64, 6, 6, 2, 11, 0),
    "m": (96, 8, 8, 2, 11, 0),
    "l": (128, 10, 10, 2, 11, 0),
    "xl": (160, 12, 12, 2, 11, 0),
}
_PARAGON_OLD = {name: _PARAGON[name] for name in ("xs", "s", "m", "l", "xl")} | {
    "tiny": (32, 3, 3, 2.0, 11, 0)
}
_LARGE: dict[str, Size] = {
    "m": (96, 8, 8, 2, 11, 0),
    "l": (128, 10, 10, 2, 11, 0),
    "xl": (160, 12, 12, 2, 11, 0),
}
_V0: dict[str, Size] = {
    "anime": (28, 2, 2, 1.5, 15, 0),
    "tiny": (28, 3, 2, 2, 11, 0),
    "s": (64, 6, 6, 2, 11, 0),
} | _LARGE
_R1: dict[str, Size] = {
    "anime": (28, 2, 3, 1.5, 15, 0),
    "tiny": (32, 3, 2, 2, 11, 0),
    "s": (56, 5, 5, 2, 11, 0),
} | _LARGE
_R2: dict[str, Size] = {"nano": (24, 2, 2, 1.5, 9, 0)} | _R1
_HR_BLOCKS = {"nano": 1, "tiny": 2, "anime": 2, "s": 2, "m": 2, "l": 3, "xl": 3}
_R3: dict[str, Size] = {name: (*row[:5], _HR_BLOCKS[name]) for name, row in _R2.items()}
_V2: dict[str, Size] = {
    "nano": (24, 2, 2, 1.5, 9, 1),
    "xs": (32, 2, 3, 1.5, 11, 1),
    "s": (48, 3, 4, 2, 11, 2),
    "m": (64, 4, 6, 2, 13, 2),
    "l": (96, 6, 8, 2, 15, 3),
    "xl": (128, 8, 10, 2, 15, 3),
}
_V4: dict[str, Size] = {
    "micro": (16, 1, 1, 1.2, 7, 1),
    "nano": (24, 1, 1, 1.5, 9, 1),
    "xs": (32, 1, 1, 1.5, 11, 1),
    "s": (48, 1, 2, 2, 11, 2),
} | {name: _V2[name] for name in ("m", "l", "xl")}

SIZES: dict[Generation, dict[str, Size]] = {
    Generation.R0_V1: {name: _PARAGON[name] for name in ("s", "m", "l")},
    **dict.fromkeys((Generation.R1_V1, Generation.R2_V1, Generation.R3_V1, Generation.R4_V1), _PARAGON_OLD),
    **dict.fromkeys((Generation.PS, Generation.NC, Generation.MK), _PARAGON),
    Generation.V0: _V0,
    Generation.R1: _R1,
    Generation.R2: _R2,
    Generation.R3: _R3,
    **dict.fromkeys((Generation.V1, Generation.V2, Generation.V3), _V2),
    Generation.V4: _V4,
}
"""Upstream's registered sizes, by generation and name. The small sizes of v4 are those with
`fast_body_mode`."""

_FAST = {Generation.V1: ("nano", "xs", "s"), Generation.V3: ("nano",)}
_CHEAP = ("nano", "xs", "s")


def usual_alpha(generation: Generation) -> float:
    """Upstream's default of alpha."""
    if generation in (Generation.MK, Generation.R1, Generation.R2):
        return 1.0
    return 0.5 if generation in CHOOSES_ALPHA else 0.0


def usual_norm(generation: Generation, features: int, dynamic: Dynamic) -> bool:
    """Whether upstream's registered networks have parameterless norms."""
    match generation:
        case Generation.V1:
            return True
        case Generation.V3:  # the small ones, which are cheap, switch it off
            return dynamic is not Dynamic.CHEAP
        case Generation.V4:
            return features > 16
    return False


def published_feature(
    generation: Generation,
    variant: str,
    scale: int,
    *,
    alpha: float | None = None,
    hr_blocks: int | None = None,
    fast_body_mode: bool | None = None,
    dynamic: Dynamic | None = None,
    use_norm: bool | None = None,
) -> FeatureSpec:
    """The network that upstream registers under this name, with the options that it takes."""
    sizes = SIZES[generation]
    if variant not in sizes:
        raise UsageError(f"{generation} has no {variant}; it has {', '.join(sizes)}")
    features, groups, blocks, expansion, band, hr = sizes[variant]
    if hr_blocks is not None and not hr:
        raise UsageError(f"{generation} has no HR head: leave hr_blocks out")
    fast = variant in _FAST.get(generation, ()) if fast_body_mode is None else fast_body_mode
    if fast and generation is not Generation.V4:  # whose table has the halves
        groups, blocks = max(1, groups // 2), max(1, blocks // 2)
    kernels = Dynamic.OFF
    if generation in (*REPARAMETERISED, *TRACKED):
        cheap = generation in (Generation.V1, Generation.V3) and variant in _CHEAP
        kernels = dynamic or (Dynamic.CHEAP if cheap else Dynamic.FULL)
    return FeatureSpec(
        generation=generation,
        variant=variant,
        scale=scale,
        features=features,
        groups=groups,
        blocks=blocks,
        alpha=usual_alpha(generation) if alpha is None else alpha,
        hidden=int(features * expansion),
        band=band,
        dynamic=kernels,
        hr_blocks=hr if hr_blocks is None else hr_blocks,
        use_norm=usual_norm(generation, features, kernels) if use_norm is None else use_norm,
        modulated=generation is Generation.V4,
        fused=generation in TRACKED and kernels is Dynamic.OFF,
    )


def recognise_feature(tensors: Tensors, facts: Facts) -> tuple[FeatureSpec, tuple[str, ...]]:
    """The network, and the names of unknown facts about it (see `Facts`)."""
    generation = declared_generation(facts, _possible(tensors))
    groups, blocks = body_size(tensors)
    features = size(tensors, "conv_in.weight", 0)
    first = "body.0.blocks.0.transformer"
    project = f"{first}.project_in{'_g' if generation in GATED else ''}.weight"
    mode = Dynamic.OFF
    if has(tensors, ".kernel_generator."):
        mode = Dynamic.FULL
    elif has(tensors, ".cheap_dynamic."):
        mode = Dynamic.CHEAP
    unknown = []
    slot = f"{first}.spatial_mixer" if generation in GATED else f"{first}.dynamic_conv"
    fused = f"{slot}.weight" in tensors or (generation in TRACKED and mode is Dynamic.OFF)
    if generation not in UNSAID_SCALE:
        scale = shuffled_scale(tensors, "upsampler.0", features)
    else:
        scale = facts.scale or 0
        if not scale:
            unknown.append("scale")
    alpha = facts.alpha
    if generation in CHOOSES_ALPHA and alpha is None:
        unknown.append("alpha")
    norm = False
    if generation in CHOOSES_NORM:
        norm = usual_norm(generation, features, mode) if facts.use_norm is None else facts.use_norm
    spec = FeatureSpec(
        generation=generation,
        variant="",
        scale=scale,
        features=features,
        groups=groups,
        blocks=blocks,
        alpha=usual_alpha(generation) if alpha is None else alpha,
        hidden=size(tensors, project, 0),
        band=size(tensors, "body.0.blocks.0.context.dwconv_w.weight", 3),
        dynamic=mode,
        hr_blocks=count(tensors, r"hr_head\.\d+\.conv1\.weight"),
        use_norm=norm,
        modulated=has(tensors, ".channel_mod."),
        fused=fused,
    )
    named = _named(spec)
    if facts.generation is None and named.variant not in SIZES[generation]:
        # Two generations may have the same tensors and function, but not the same sizes: r3 and v2.
        others = [_named(replace(spec, generation=each)) for each in _possible(tensors)[1:]]
        named = next((each for each in others if each.variant in SIZES[each.generation]), named)
    return named, tuple(unknown)


def _named(spec: FeatureSpec) -> FeatureSpec:
    """`spec` with upstream's name of this size as its variant; its dimensions if upstream has no name."""
    for name in SIZES[spec.generation]:
        for fast in (None, True, False):
            if spec.generation is Generation.V4 and fast is not None:
                continue
            other = published_feature(spec.generation, name, max(2, spec.scale), fast_body_mode=fast)
            if _size(other) == _size(spec):
                return replace(spec, variant=name)
    return replace(spec, variant=f"{spec.features}x{spec.groups}x{spec.blocks}")


def _size(spec: FeatureSpec) -> tuple[int, ...]:
    return spec.features, spec.groups, spec.blocks, spec.hidden, spec.band


def _possible(tensors: Tensors) -> tuple[Generation, ...]:
    """The generations that have these tensors, the newest first."""
    if has(tensors, ".transformer.project_in_g."):
        if has(tensors, "._is_fused"):
            old = has(tensors, ".identity.running_mean")
            return (Generation.R0_V1,) if old else (Generation.R1_V1,)
        if not has(tensors, ".ls1.gamma"):
            pair = (Generation.R3_V1, Generation.R2_V1)
            fused = "body.0.blocks.0.transformer.spatial_mixer.weight" in tensors
            return (*pair, Generation.R1_V1, Generation.R0_V1) if fused else pair
        if has(tensors, "magic_upsampler."):
            return (Generation.MK,)
        return (Generation.NC,) if "upsampler.1.weight" in tensors else (Generation.PS, Generation.R4_V1)
    if "hr_conv_in.weight" in tensors:
        if has(tensors, ".dw_mixer."):
            return (Generation.V4,)
        gamma = tensors.get("body.0.blocks.0.ls1.gamma")
        if gamma is not None and gamma.ndim == 1:
            return Generation.V2, Generation.R3
        return Generation.V1, Generation.V3
    if "upsampler.weight" in tensors:
        return (Generation.R2,) if has(tensors, ".tracked_kernel") else (Generation.R1,)
    return (Generation.V0,)
