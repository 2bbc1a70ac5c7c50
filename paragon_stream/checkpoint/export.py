"""Writes weights as new files: conditioned ones at one fixed strength, and any generation with all its
facts."""

from __future__ import annotations

import math
from pathlib import Path

from paragon_stream.checkpoint.fusing import fuse
from paragon_stream.checkpoint.lines.dual import DualSpec
from paragon_stream.checkpoint.lines.feature import FeatureSpec
from paragon_stream.checkpoint.spec import STRENGTH_TENSOR, NetworkSpec, ReleaseSpec
from paragon_stream.checkpoint.weights import Weights, save_weights
from paragon_stream.errors import UsageError
from paragon_stream.wholefile import check_writable


def at_strength(weights: Weights, strength: float) -> Weights:
    """The plain network that `weights` are at `strength` (0…1): slope times strength goes into the bias.

    Raises UsageError for weights that are not conditioned.
    """
    if not weights.spec.conditioned:
        raise UsageError(
            f"the weights {weights.name} are not conditioned on strength: leave the strength out"
        )
    if not 0 <= strength <= 1:
        raise UsageError(f"a strength of {strength} is outside 0…1")
    tensors = dict(weights.tensors)
    slope = tensors.pop(STRENGTH_TENSOR)
    tensors["conv_in.bias"] = tensors["conv_in.bias"] + strength * slope
    spec, name = weights.spec, f"{weights.name} at strength {strength:g}"
    metadata = {**_UNSAID, **weights.metadata, **facts_of(spec), "name": name}
    return Weights.from_tensors(tensors, metadata=metadata, name=name)


_UNSAID = {"recipe": "unknown", "data_licences": "unknown"}


def facts_of(spec: NetworkSpec) -> dict[str, str]:
    """The facts about a network as metadata, including those that its tensors show."""
    facts = {
        "generation": str(spec.generation),
        "variant": str(spec.variant),
        "scale": str(spec.scale),
        "upsampler_alpha": f"{spec.alpha:g}",
    }
    if spec.window:
        facts["window_size"] = str(spec.window)
    if isinstance(spec, DualSpec) and spec.attends:
        facts["attention"] = spec.attention
    if isinstance(spec, FeatureSpec):
        facts["use_norm"] = str(spec.use_norm).lower()
    if isinstance(spec, ReleaseSpec):
        if math.isfinite(spec.product_limit):
            facts["product_limit"] = f"{spec.product_limit:g}"
        if spec.filters_chroma:
            facts["filters_chroma"] = "true"
    return facts


def convert_weights(weights: Weights, path: Path, *, fuses: bool = False, overwrite: bool = False) -> Weights:
    """Write `weights`, of any generation, as a safetensors file with metadata; see also `fuse`.

    Returns what was written. Raises OutputError if `path` exists (without `overwrite`) or cannot be written.
    """
    check_writable(path, overwrite=overwrite)
    written = fuse(weights) if fuses else weights
    save_weights(path, written.tensors, metadata_of(written))
    return written


def metadata_of(weights: Weights) -> dict[str, str]:
    """The metadata of a file of these weights."""
    return {**_UNSAID, "name": weights.name, **weights.metadata, **facts_of(weights.spec)}


def export_weights(weights: Weights, strength: float, path: Path, *, overwrite: bool = False) -> None:
    """Write `at_strength` as a safetensors file with metadata.

    Raises UsageError as above, and OutputError if `path` exists (without `overwrite`) or cannot be written.
    """
    plain = at_strength(weights, strength)
    check_writable(path, overwrite=overwrite)
    save_weights(path, plain.tensors, plain.metadata)
