"""The linear colour paths of a frame job: the network's detail, the base path and the chroma filter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from paragon_stream.checkpoint import NetworkSpec
from paragon_stream.checkpoint.lines.feature import FeatureSpec
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob.color import ColorMap, network_luma
from paragon_stream.framejob.components import InputPlane
from paragon_stream.framejob.conv import Doubles


@dataclass(frozen=True, kw_only=True)
class ColorPaths:
    """The colour of the network's detail, and the linear paths beside the network."""

    learned: ColorMap
    """The map from the network's RGB to codes of the target."""
    base: tuple[InputPlane, ...]
    """The planes of the base path."""
    mix: Doubles
    """Gains from codes of `base` to codes of the target through the base path."""
    filtered: Doubles
    """Gains through the chroma filter, for weights that use one; else 0."""
    offsets: Doubles
    """Codes of the target for codes 0 of the source."""


def color_paths(
    spec: NetworkSpec,
    source: FrameFormat,
    target: FrameFormat,
    before: ColorMap,
    after: ColorMap,
    planes: tuple[InputPlane, ...],
) -> ColorPaths:
    """The paths from codes of `source` to codes of `target`, whose maps are `before` and `after`. `planes`
    are the planes of the base path."""
    if isinstance(spec, FeatureSpec):  # which have no base path
        none = np.zeros((len(after.code_of_black), 0))
        return ColorPaths(learned=after, base=(), mix=none, filtered=none, offsets=after.code_of_black)
    learned, mix = after, after.from_rgb @ before.to_rgb
    filtered = np.zeros_like(mix)
    if spec.filters_chroma:
        learned, mix, filtered = _luma_only(source, target, before, after)
    offsets = after.from_rgb @ before.rgb_of_centre + after.code_of_black
    return ColorPaths(learned=learned, base=planes, mix=mix, filtered=filtered, offsets=offsets)


def _luma_only(
    source: FrameFormat, target: FrameFormat, before: ColorMap, after: ColorMap
) -> tuple[ColorMap, Doubles, Doubles]:
    """The colour maps of weights with a chroma filter: luma comes from the network, chroma from the filter.

    With L the network's picture and F the filter's, in RGB, and w the luma weights, the result is F + (1, 1,
    1)ᵀ wᵀ (L - F). Returns `after` with wᵀ and (1, 1, 1)ᵀ included, for the network's detail, and the gains
    from codes of the source to codes of the target through the base path and through the filter.
    """
    luma = network_luma(source, target)
    gray = after.from_rgb.sum(axis=1)
    gray[np.abs(gray) < 1e-9 * np.abs(gray).max()] = 0  # rounding errors in the rows of chroma
    through = np.outer(gray, luma)
    base = through @ before.to_rgb
    return replace(after, from_rgb=through), base, after.from_rgb @ before.to_rgb - base
