"""Conditioned weights at one fixed strength: an ordinary checkpoint, for tools that know no strength."""

from __future__ import annotations

from pathlib import Path

from paragon_stream.checkpoint.spec import STRENGTH_TENSOR
from paragon_stream.checkpoint.weights import Weights, save_weights
from paragon_stream.errors import OutputError, UsageError


def at_strength(weights: Weights, strength: float) -> Weights:
    """The plain network that `weights` are at `strength` (0…1): slope times strength goes into the bias.

    Raises UsageError for weights that are not conditioned.
    """
    if not weights.spec.conditioned:
        raise UsageError(f"the weights {weights.name} are not conditioned on strength, but plain already")
    if not 0 <= strength <= 1:
        raise UsageError(f"a strength of {strength} is outside 0…1")
    tensors = dict(weights.tensors)
    slope = tensors.pop(STRENGTH_TENSOR)
    tensors["conv_in.bias"] = tensors["conv_in.bias"] + strength * slope
    spec, name = weights.spec, f"{weights.name} at strength {strength:g}"
    unsaid = {"recipe": "unknown", "data_licences": "unknown"}
    facts = {
        "generation": str(spec.generation),
        "variant": str(spec.variant),
        "scale": str(spec.scale),
        "upsampler_alpha": f"{spec.alpha:g}",
        "name": name,
    }
    if spec.window:
        facts["window_size"] = str(spec.window)
    return Weights.from_tensors(tensors, metadata={**unsaid, **weights.metadata, **facts}, name=name)


def export_weights(weights: Weights, strength: float, path: Path, *, overwrite: bool = False) -> None:
    """Write `at_strength` as a safetensors file with metadata.

    Raises UsageError as above, and OutputError if `path` exists (without `overwrite`) or cannot be written.
    """
    plain = at_strength(weights, strength)
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; --overwrite replaces it")
    save_weights(path, plain.tensors, plain.metadata)
