"""The facts of a checkpoint that its tensors do not show: from the caller, or else from its metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paragon_stream.errors import CheckpointError

ATTENTIONS = ("local", "efficient")
"""The two kinds of attention of generation 5, which have the same tensors."""


MOST_SCALE = 8
"""The largest scale of the family; tensors of networks with a MagicKernel would fit any."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A fact is None if it is not known. Tensors overrule the facts that they show."""

    generation: str | None = None
    variant: str | None = None
    scale: int | None = None
    alpha: float | None = None
    window_size: int | None = None
    attention: str | None = None
    """For generation 5: one of ATTENTIONS."""
    use_norm: bool | None = None
    """For v1, v3 and v4: whether there are norms without parameters, in the HR head (v4: after blocks)."""
    product_limit: float = math.inf
    filters_chroma: bool | None = None

    @classmethod
    def of(cls, metadata: Mapping[str, str], **given: Any) -> Facts:
        """`given` facts that are not None overrule the metadata. Raises CheckpointError for invalid
        metadata."""
        read = cls(
            generation=metadata.get("generation") or None,
            variant=metadata.get("variant") or None,
            scale=_whole(metadata, "scale"),
            alpha=_alpha(metadata),
            window_size=_whole(metadata, "window_size"),
            attention=metadata.get("attention") or None,
            use_norm=_truth(metadata, "use_norm"),
            product_limit=_product_limit(metadata),
            filters_chroma=_truth(metadata, "filters_chroma"),
        )
        facts = {name: getattr(read, name) for name in cls.__dataclass_fields__}
        facts |= {name: value for name, value in given.items() if value is not None}
        found = cls(**facts)
        if found.attention is not None and found.attention not in ATTENTIONS:
            raise CheckpointError(f"its attention is {found.attention!r}; known: {', '.join(ATTENTIONS)}")
        if found.alpha is not None and not math.isfinite(found.alpha):
            raise CheckpointError(f"its alpha is {found.alpha}")
        if found.scale is not None and not 1 <= found.scale <= MOST_SCALE:
            raise CheckpointError(f"its scale is {found.scale}; networks of the family have 2, 3, 4 or 8")
        if found.window_size is not None and not 2 <= found.window_size <= 128:
            raise CheckpointError(
                f"its window_size is {found.window_size}; windows have 2 to 128 pixels a side"
            )
        return found


def _whole(metadata: Mapping[str, str], name: str) -> int | None:
    stated = metadata.get(name)
    if not stated:
        return None
    try:
        return int(stated)
    except ValueError:
        after = "; windows have 2 to 128 pixels a side" if name == "window_size" else ""
        raise CheckpointError(f"its {name} is {stated}{after or ', which is not a whole number'}") from None


def _alpha(metadata: Mapping[str, str]) -> float | None:
    stated = metadata.get("upsampler_alpha")
    try:
        return None if stated is None else float(stated)
    except ValueError:
        raise CheckpointError(f"its alpha is {stated!r}, which is not a number") from None


def _truth(metadata: Mapping[str, str], name: str) -> bool | None:
    stated = metadata.get(name, "").lower()
    if stated not in ("", "true", "false"):
        raise CheckpointError(f"its {name} is {stated!r}, neither true nor false")
    return stated == "true" if stated else None


def _product_limit(metadata: Mapping[str, str]) -> float:
    stated = metadata.get("product_limit")
    if stated is None:
        return math.inf
    try:
        limit = float(stated)
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise CheckpointError(f"its product_limit is {stated!r}, which is not a number above 0")
    return limit
