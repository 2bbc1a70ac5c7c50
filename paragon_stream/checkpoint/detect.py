"""Recognises a network of the family by its tensor names and shapes. No tensor may be missing or left
over."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from paragon_stream.checkpoint.facts import Facts
from paragon_stream.checkpoint.lines.discriminator import recognise_munet
from paragon_stream.checkpoint.lines.dual import recognise_dual
from paragon_stream.checkpoint.lines.feature_networks import recognise_feature
from paragon_stream.checkpoint.lines.further import recognise_further
from paragon_stream.checkpoint.lines.release import check_base_taps, recognise_release
from paragon_stream.checkpoint.published import registered_alpha
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import NetworkSpec
from paragon_stream.errors import CheckpointError

logger = logging.getLogger(__name__)

type Recogniser = Callable[[Tensors, Facts], tuple[NetworkSpec, tuple[str, ...]]]

_MARKS: tuple[tuple[str, Recogniser], ...] = (
    # First match wins; patterns are searched in every tensor name.
    (r"^down_blocks\.", recognise_munet),
    (r"^body\.0\.td$|\.gated_conv\.", recognise_further),
    (r"^base\.(blur|sharp)\.", recognise_release),
    (r"^base_upsampler\.|^upsampler_net\.", recognise_dual),
    (r"\.transformer\.project_in(_g)?\.", recognise_feature),
)

_OPTIONS = {
    "scale": "it does not state its scale: give --scale (2, 3, 4 or 8)",
    "window_size": "it does not state its attention windows' size: give --window-size (usually {window})",
    "alpha": "it does not state its alpha: give --alpha (0 in upstream's published recipes{alpha})",
}
"""The option that states it if it is unknown."""


@dataclass(frozen=True, kw_only=True)
class Identified:
    """The network of a state dict. `unknown` lists facts that the tensors do not show, by the names of
    `Facts`; `spec` has upstream's defaults for them, and 0 for an unknown scale."""

    spec: NetworkSpec
    unknown: tuple[str, ...] = ()


def identify(tensors: Tensors, facts: Facts) -> Identified:
    """The network whose state dict is `tensors`, even if some facts about it are unknown.

    Raises CheckpointError naming the first missing, unexpected or misshapen tensor, or a fact that disagrees
    with the tensors.
    """
    spec, unknown = _recogniser(tensors)(tensors, facts)
    _check_tensors(tensors, spec)
    check_base_taps(tensors)
    _check_claims(facts, spec)
    return Identified(spec=spec, unknown=unknown)


def detect(tensors: Tensors, metadata: Mapping[str, str], **given: Any) -> NetworkSpec:
    """The network whose state dict is `tensors`, with all facts.

    `given` facts (see `Facts`) overrule the metadata. Raises CheckpointError as `identify` does, and for a
    fact that has to be given: the message names its option.
    """
    found = identify(tensors, Facts.of(metadata, **given))
    for fact in found.unknown:
        if fact in _OPTIONS:
            usual = registered_alpha(found.spec)
            default = "" if usual is None else f"; {usual:g} if the training configuration states none"
            raise CheckpointError(_OPTIONS[fact].format(alpha=default, window=found.spec.window))
    return found.spec


def _recogniser(names: Iterable[str]) -> Recogniser:
    names = list(names)
    for pattern, recognise in _MARKS:
        if any(re.search(pattern, name) for name in names):
            return recognise
    raise CheckpointError("its tensors match no known network")


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


def _check_claims(facts: Facts, spec: NetworkSpec) -> None:
    if facts.scale is not None and facts.scale != spec.scale:
        raise CheckpointError(f"it is declared as ×{facts.scale}, but its tensors are those of ×{spec.scale}")
    if facts.window_size is not None and not spec.window:
        raise CheckpointError("it has no window attention: leave window_size out")
