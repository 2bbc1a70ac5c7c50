"""The facts of a checkpoint for display, also if some of them are unknown."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paragon_stream.checkpoint.detect import identify
from paragon_stream.checkpoint.facts import Facts
from paragon_stream.checkpoint.lines.dual import DualSpec
from paragon_stream.checkpoint.lines.feature import REPARAMETERISED, Dynamic, FeatureSpec
from paragon_stream.checkpoint.reader import read_checkpoint
from paragon_stream.checkpoint.spec import Generation, NetworkSpec, ReleaseSpec, Variant
from paragon_stream.errors import CheckpointError, reason

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".onnx")
"""File name extensions of weights."""

_ONCE_A_PICTURE = re.compile(
    r"\.(kernel_generator|cheap_dynamic|channel_mod|channel_attn)\.|\.gate\.\d|content_analyzer\.7"
)
_NO_LAYER = re.compile(
    r"_u$|_v$|\.conv1x1\.|\.dw_conv3x3\.|\.fused_conv\.|_kernel$|_index|bias_table|token_dict|\.td$"
)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """`unknown` has the names of unknown facts, `warnings` sentences about silent mistakes of upstream's
    programs with such a file."""

    spec: NetworkSpec
    unknown: tuple[str, ...]
    warnings: tuple[str, ...]
    metadata: dict[str, str]

    @property
    def facts(self) -> dict[str, Any]:
        """All facts by name, for JSON. Unknown facts are None."""
        spec = self.spec
        return {
            "generation": str(spec.generation),
            "variant": str(spec.variant),
            "scale": None if "scale" in self.unknown else spec.scale,
            "alpha": None if "alpha" in self.unknown else spec.alpha,
            "window_size": None if "window_size" in self.unknown else spec.window or None,
            "features": spec.features,
            "blocks": spec.depth,
            "parameters": spec.parameters,
            "macs_per_pixel": None if "scale" in self.unknown else macs_per_pixel(spec),
            "receptive_radius": None if spec.sees_whole_frame else spec.reach,
            "sees_whole_frame": spec.sees_whole_frame,
            "fused": isinstance(spec, FeatureSpec) and spec.fused,
            "conditioned": spec.conditioned,
            "unknown": list(self.unknown),
            "warnings": list(self.warnings),
            "metadata": self.metadata,
        }


def inspect(path: Path, **given: Any) -> Inspection:
    """Examine the checkpoint at `path`; `given` facts overrule its metadata. Raises CheckpointError."""
    try:
        tensors, metadata = read_checkpoint(path.read_bytes())
        found = identify(tensors, Facts.of(metadata, **given))
    except OSError as error:
        raise CheckpointError(f"weights {path}: {reason(error)}") from error
    except CheckpointError as error:
        raise CheckpointError(f"weights {path}: {error}") from error
    return Inspection(
        spec=found.spec,
        unknown=found.unknown,
        warnings=(*cautions(found.spec, found.unknown), *alpha_doubts(found.spec)),
        metadata=metadata,
    )


def alpha_doubts(spec: NetworkSpec) -> tuple[str, ...]:
    """A warning for an alpha that upstream's generations treat in different ways."""
    if 0 <= spec.alpha <= 1:
        return ()
    return (
        f"alpha {spec.alpha:g} is outside of 0 to 1: the base path overshoots at edges; older generations of "
        "upstream hold it to that range, v5 refuses it",
    )


def cautions(spec: NetworkSpec, unknown: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Sentences about files that compute something else than their author may think (defects D3, D4, D9, D12,
    D13 and D21 of the architecture reference)."""
    found = []
    if isinstance(spec, FeatureSpec):
        if spec.generation in REPARAMETERISED:
            found.append(
                f"training of {spec.generation} never touches the depthwise kernels that evaluation uses: "
                "results are those of random kernels, upstream's too"
            )
        if spec.dynamic is Dynamic.CHEAP:
            found.append(
                "the channel modulation of cheap networks works in training only: evaluation leaves it out, "
                "upstream's too"
            )
    elif isinstance(spec, ReleaseSpec):
        bare = spec.variant in (Variant.REALTIME, Variant.STREAM) and not spec.has_layer_scale
        if bare:
            found.append(
                f"weights of {spec.generation} have no layer scales: they are 1 here; upstream's newest "
                "programs take 0.00001 without a word, which switches the network off"
            )
        if "window_size" in unknown or (spec.variant is Variant.PRO and spec.window == 8):
            found.append("windows of 8 are those of the first Pro; upstream's newest takes 16 for every file")
    elif isinstance(spec, DualSpec):
        if spec.attends and spec.generation is Generation.V5:
            found.append(
                "attention of generation 5 leaves out the last rows and columns of some sizes, upstream's too"
            )
        if spec.generation is not Generation.V5:
            found.append(
                f"upstream's newest programs rename tensors of {spec.generation} and drop what does not fit "
                "without a word; here the network is computed as it was trained"
            )
    if "alpha" in unknown:
        found.append(
            "nothing says its alpha, and upstream takes its own default without a word: a wrong one changes "
            "the picture"
        )
    return tuple(found)


def macs_per_pixel(spec: NetworkSpec) -> int:
    """Multiplications per source pixel of convolutions, matrices and window attention, kernels fused."""
    total = 0
    for name, shape in spec.tensor_shapes().items():
        if len(shape) < 2 or _NO_LAYER.search(name) or _ONCE_A_PICTURE.search(name):
            continue
        if not name.endswith(("weight", "original")) or ("norm" in name and len(shape) == 3):
            continue
        if (".sharp" in f".{name}" or ".sharpen." in name) and not spec.alpha:
            continue
        total += math.prod(shape) * (spec.scale**2 if _is_large(name, spec) else 1)
    if spec.window:
        attending = sum(name.endswith("qkv.weight") for name in spec.tensor_shapes())
        channels = spec.hidden if isinstance(spec, DualSpec) else spec.features
        total += attending * 2 * spec.window**2 * channels
    return total


def _is_large(name: str, spec: NetworkSpec) -> bool:
    """Whether a layer runs at the large size."""
    if name.startswith(("conv_out.", "hr_")) or ".blur." in f".{name}" or ".resample_conv." in name:
        return not name.startswith("up_blocks.")
    feature = isinstance(spec, FeatureSpec) and spec.tail.value in ("nearest", "magic")
    return feature and name.startswith("upsampler")
