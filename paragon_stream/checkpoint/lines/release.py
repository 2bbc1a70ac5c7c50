"""Recognises the release line: the networks of `ReleaseSpec`."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np

from paragon_stream.checkpoint.facts import Facts
from paragon_stream.checkpoint.lines.measure import body_size, declared_generation, shuffled_scale, size
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import (
    HEADS,
    MAGIC_BLUR,
    MAGIC_SHARPEN,
    RELEASE_LINE,
    STRENGTH_TENSOR,
    USUAL_WINDOW,
    Generation,
    ReleaseSpec,
    Variant,
)
from paragon_stream.errors import CheckpointError

logger = logging.getLogger(__name__)


def recognise_release(tensors: Tensors, facts: Facts) -> tuple[ReleaseSpec, tuple[str, ...]]:
    """The network, and the names of unknown facts about it (see `Facts`).

    An unknown window of attention is assumed to be 16. For Pro, of which there was one with 8, there is a
    warning.
    """
    features = size(tensors, "conv_in.weight", 0)
    groups, blocks = body_size(tensors)
    variant = _variant(tensors)
    attends = any(name.endswith("attn.qkv.weight") for name in tensors)
    spec = ReleaseSpec(
        generation=_generation(facts, variant, tensors),
        variant=variant,
        scale=shuffled_scale(tensors, "up.0", features),
        features=features,
        groups=groups,
        blocks=blocks,
        alpha=facts.alpha or 0.0,
        conditioned=STRENGTH_TENSOR in tensors,
        product_limit=facts.product_limit,
        filters_chroma=bool(facts.filters_chroma),
        window=_window(variant, features, facts) if attends else 0,
        tokens=size(tensors, "body.0.blocks.0.token_ca.token_dict", 1) if variant is Variant.PRO else 0,
    )
    return spec, ("alpha",) if facts.alpha is None else ()


def _variant(names: Iterable[str]) -> Variant:
    marks = {
        ".token_ca.token_dict": Variant.PRO,
        ".norm.scale": Variant.PHOTO,
        ".dw3.weight": Variant.STREAM,
    }
    found = {variant for name in names for mark, variant in marks.items() if name.endswith(mark)}
    return min(found, key=list(marks.values()).index, default=Variant.REALTIME)


def _generation(facts: Facts, variant: Variant, names: Iterable[str]) -> Generation:
    newest = (Generation.HEAD, Generation.V11, Generation.DEV)
    possible: tuple[Generation, ...]
    match variant:
        case Variant.PHOTO:
            possible, shown = (*newest, Generation.V11_ATD, Generation.V10, Generation.V9), "Photo's"
        case Variant.PRO:
            possible, shown = newest, "Pro's"
        case _ if any(name.endswith(".scale.gamma") for name in names):
            possible, shown = (*newest, Generation.V11_ATD), "with scale.gamma"
        case _:
            possible, shown = (Generation.V10, Generation.V9), "without scale.gamma"
    declared = facts.generation
    if declared in RELEASE_LINE and declared not in possible:
        raise CheckpointError(f"it is declared as {declared}, but its blocks are {shown}")
    return declared_generation(facts, possible)


def _window(variant: Variant, features: int, facts: Facts) -> int:
    """The side of the attention windows of a network that attends."""
    if features % HEADS:
        raise CheckpointError(f"its {features} features cannot be shared by {HEADS} heads of attention")
    if facts.window_size is not None:
        return facts.window_size
    level = logging.WARNING if variant is Variant.PRO else logging.INFO
    logger.log(level, "nothing says the size of its attention windows; %d is taken", USUAL_WINDOW)
    return USUAL_WINDOW


def check_base_taps(tensors: Tensors) -> None:
    """Raise CheckpointError if a stored tap differs from the constants, from which the base path is built."""
    for name, values in tensors.items():
        for part, taps in (
            ("sharp", MAGIC_SHARPEN),
            ("sharpen", MAGIC_SHARPEN),
            ("blur", MAGIC_BLUR),
            ("resample_conv", MAGIC_BLUR),
        ):
            if f".{part}." not in f".{name}" or name.startswith("up_blocks."):
                continue
            rows = values.reshape(-1, len(taps)) if values.size % len(taps) == 0 else values[None]
            if rows.shape[1:] != (len(taps),) or not np.allclose(rows, np.array(taps), rtol=0, atol=1e-6):
                raise CheckpointError(f"tensor {name} does not hold the MagicKernel's taps")
