"""From tensor names and shapes to a `NetworkSpec`, strictly: nothing missing, nothing left over."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import (
    HEADS,
    MAGIC_BLUR,
    MAGIC_SHARPEN,
    STRENGTH_TENSOR,
    USUAL_WINDOW,
    Generation,
    NetworkSpec,
    Variant,
)
from paragon_stream.errors import CheckpointError

logger = logging.getLogger(__name__)

_SCALES = (2, 3, 4, 8)

_RELEASE_LINE = "ParagonSR2 of generations 9 to 11"

_MARKS: tuple[tuple[str, str], ...] = (
    # First match wins; patterns are searched in every tensor name.
    (r"^down_blocks\.", "a MUNet discriminator"),
    (r"^body\.0\.td", "ParagonSR2 Pro of the first version 11"),
    (r"\.gated_conv\.|\.router2\.", "ParagonSR2 Ultimate"),
    (r"^base\.(blur|sharp)\.", _RELEASE_LINE),
    (r"^base_upsampler\.", "ParagonSR2 of generations 6 to 8"),
    (r"^upsampler_net\.", "ParagonSR2 of generation 5"),
    (r"\.transformer\.project_in_g\.", "ParagonSR (version 1)"),
    (r"^hr_conv_in\.", "ParagonSR2 with an HR head (generations 1 to 4)"),
    (r"^magic_upsampler\.", "an early ParagonSR2"),
    (r"\.transformer\.project_in\.", "ParagonSR2 of generation 0"),
)


def detect(
    tensors: Tensors,
    metadata: Mapping[str, str],
    *,
    alpha: float | None = None,
    window_size: int | None = None,
) -> NetworkSpec:
    """The network that `tensors` are the state dict of.

    `alpha` overrules `metadata["upsampler_alpha"]`; one of them must be there, because no tensor tells it.
    So does `window_size` with `metadata["window_size"]`; where neither tells it of a network that has
    attention, it is 16; for Pro, of which there was one with 8, a warning says so.
    Raises CheckpointError naming the first missing, unexpected or misshapen tensor, a network of another
    kind by its name, or the fact that nothing tells.
    """
    _refuse_other_networks(tensors)
    features = _size(tensors, "conv_in.weight", 0)
    groups, blocks = _body_size(tensors)
    variant = _variant(tensors)
    spec = NetworkSpec(
        generation=_generation(metadata, variant, tensors),
        variant=variant,
        scale=_scale(_size(tensors, "up.0.weight", 0), features),
        features=features,
        groups=groups,
        blocks=blocks,
        alpha=0.0,
        conditioned=STRENGTH_TENSOR in tensors,
        product_limit=_product_limit(metadata),
        window=USUAL_WINDOW if _attends(tensors) else 0,
        tokens=_size(tensors, "body.0.blocks.0.token_ca.token_dict", 1) if variant is Variant.PRO else 0,
    )
    _check_tensors(tensors, spec)
    _check_base_taps(tensors)
    _check_claims(metadata, spec)
    return replace(spec, alpha=_alpha(metadata, alpha), window=_window(spec, metadata, window_size))


def _refuse_other_networks(names: Iterable[str]) -> None:
    names = list(names)
    for pattern, what in _MARKS:
        if not any(re.search(pattern, name) for name in names):
            continue
        if what != _RELEASE_LINE:
            raise CheckpointError(f"it is {what}, not supported by the frame job yet")
        return
    raise CheckpointError("its tensors are those of no known network")


def _size(tensors: Tensors, name: str, axis: int) -> int:
    if name not in tensors:
        raise CheckpointError(f"tensor {name} is missing")
    shape = tensors[name].shape
    if len(shape) <= axis:
        raise CheckpointError(f"tensor {name} has the shape {list(shape)}")
    return int(shape[axis])


def _body_size(tensors: Tensors) -> tuple[int, int]:
    found = [re.match(r"body\.(\d+)\.blocks\.(\d+)\.", name) for name in tensors]
    indices = [(int(match[1]), int(match[2])) for match in found if match]
    if not indices:
        raise CheckpointError("tensor body.0.blocks.0 is missing")
    return max(group for group, _ in indices) + 1, max(block for _, block in indices) + 1


def _scale(channels: int, features: int) -> int:
    scale = math.isqrt(channels // features) if features else 0
    if scale not in _SCALES or scale * scale * features != channels:
        raise CheckpointError(f"tensor up.0.weight has {channels} outputs, of which no scale can be made")
    return scale


def _variant(names: Iterable[str]) -> Variant:
    marks = {
        ".token_ca.token_dict": Variant.PRO,
        ".norm.scale": Variant.PHOTO,
        ".dw3.weight": Variant.STREAM,
    }
    found = {variant for name in names for mark, variant in marks.items() if name.endswith(mark)}
    return min(found, key=list(marks.values()).index, default=Variant.REALTIME)


def _generation(metadata: Mapping[str, str], variant: Variant, names: Iterable[str]) -> Generation:
    told = metadata.get("generation", "")
    layer_scales = any(name.endswith(".scale.gamma") for name in names)
    match variant:
        case Variant.PHOTO:
            possible, shown = tuple(reversed(Generation)), "Photo's"
        case Variant.PRO:
            possible, shown = (Generation.HEAD, Generation.V11), "Pro's"
        case _ if layer_scales:
            possible, shown = (Generation.HEAD, Generation.V11), "with scale.gamma"
        case _:
            possible, shown = (Generation.V10, Generation.V9), "without scale.gamma"
    if told and told not in list(Generation):
        raise CheckpointError(f"it says to be of generation {told}, not supported by the frame job yet")
    if told and told not in possible:
        raise CheckpointError(f"it says to be {told}, but its blocks are {shown}")
    return Generation(told) if told else possible[0]


def _attends(names: Iterable[str]) -> bool:
    return any(name.endswith("attn.qkv.weight") for name in names)


def _window(spec: NetworkSpec, metadata: Mapping[str, str], window_size: int | None) -> int:
    """The side of the attention windows; 0 if there is no attention."""
    if not spec.window:
        if window_size is not None:
            raise CheckpointError("it has no window attention, so no window_size")
        return 0
    if spec.features % HEADS:
        raise CheckpointError(f"its {spec.features} features cannot be shared by {HEADS} heads of attention")
    told = metadata.get("window_size")
    if window_size is None and told is None:
        level = logging.WARNING if spec.variant is Variant.PRO else logging.INFO
        logger.log(level, "nothing tells the size of its attention windows; %d is taken", spec.window)
        return spec.window
    try:
        size = int(told or 0) if window_size is None else window_size
    except ValueError:
        size = 0
    if not 2 <= size <= 128:
        given = told if window_size is None else window_size
        raise CheckpointError(f"its window_size is {given}; windows have 2 to 128 pixels a side")
    return size


def _check_tensors(tensors: Tensors, spec: NetworkSpec) -> None:
    expected = spec.tensor_shapes()
    for name, shape in expected.items():
        if name not in tensors:
            raise CheckpointError(f"tensor {name} is missing from this {spec}")
        if tensors[name].shape != shape:
            raise CheckpointError(
                f"tensor {name} has the shape {list(tensors[name].shape)} instead of {list(shape)}"
            )
    for name in tensors:
        if name not in expected:
            raise CheckpointError(f"tensor {name} does not belong to {spec}")


def _check_base_taps(tensors: Tensors) -> None:
    """The base path is built from the constants, so a file that holds other taps must not pass."""
    for part, taps in (("sharp", MAGIC_SHARPEN), ("blur", MAGIC_BLUR)):
        for name in (f"base.{part}.kernel", f"base.{part}.h.weight", f"base.{part}.v.weight"):
            rows = tensors[name].reshape(-1, len(taps))
            if not np.allclose(rows, np.array(taps), rtol=0, atol=1e-6):
                raise CheckpointError(f"tensor {name} does not hold the MagicKernel's taps")


def _check_claims(metadata: Mapping[str, str], spec: NetworkSpec) -> None:
    told = metadata.get("scale", "")
    if told and told != str(spec.scale):
        raise CheckpointError(f"it says to be ×{told}, but tensor up.0.weight makes it ×{spec.scale}")


def _product_limit(metadata: Mapping[str, str]) -> float:
    told = metadata.get("product_limit")
    if told is None:
        return math.inf
    try:
        limit = float(told)
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise CheckpointError(f"its product_limit is {told!r}, which is no limit")
    return limit


def _alpha(metadata: Mapping[str, str], alpha: float | None) -> float:
    told = metadata.get("upsampler_alpha")
    if alpha is None and told is None:
        raise CheckpointError(
            "nothing in it tells its alpha: give --alpha (0 in upstream's published recipes)"
        )
    try:
        value = float(told or 0) if alpha is None else float(alpha)
    except ValueError:
        raise CheckpointError(f"its alpha is {told!r}, which is no number") from None
    if not math.isfinite(value):
        raise CheckpointError(f"its alpha is {value}")
    return value
