"""From a checkpoint to a torch module that computes what upstream's does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paragon_stream.checkpoint import Weights, load_weights
from paragon_stream.checkpoint.spec import STRENGTH_TENSOR
from paragon_stream.errors import CheckpointError, UsageError
from paragon_stream.models.release import Border, ReleaseNet


def load(
    source: str | Path | Mapping[str, Tensor | NDArray[np.floating]],
    *,
    generation: str | None = None,
    variant: str | None = None,
    scale: int | None = None,
    alpha: float | None = None,
    window_size: int | None = None,
    border: Border = "zero",
    strength: float = 0.0,
) -> ReleaseNet:
    """The network of a checkpoint as a module in eval mode, with its `NetworkSpec` as `.spec`.

    `source` is a file, the name of a shipped set, or a state dict (torch tensors or numpy arrays).
    `generation`, `variant` and `scale` are facts to hold the checkpoint to (or to choose the shipped set
    by); `alpha` is needed where its metadata does not tell, `window_size` for Photo and Pro where it does not
    and the published 16 is wrong. The module takes N×3×H×W RGB in [0, 1], any float dtype, and reproduces
    upstream exactly, zero padding included; `border="replicate"` repeats the picture's edge instead, as frame
    jobs do. Weights conditioned on the strength of compression become the plain network at `strength` (0…1).

    Raises CheckpointError for tensors that are missing, unexpected or misshapen, or facts that disagree, and
    UsageError for options that make no sense.
    """
    if not 0 <= strength <= 1:
        raise UsageError(f"strength {strength} is outside 0…1")
    if isinstance(source, Mapping):
        weights = _from_state(source, generation=generation, alpha=alpha, window_size=window_size)
    else:
        weights = load_weights(source, variant=variant, scale=scale, alpha=alpha, window_size=window_size)
    spec = weights.spec
    for what, wanted, found in (
        ("generation", generation, spec.generation),
        ("variant", variant, spec.variant),
        ("scale", scale, spec.scale),
    ):
        if wanted is not None and wanted != found:
            raise CheckpointError(f"the {what} is {found}, not {wanted}")
    net = ReleaseNet(spec, border=border)
    state = {key: torch.tensor(value) for key, value in weights.tensors.items()}
    slope = state.pop(STRENGTH_TENSOR, None)
    if slope is not None:
        state["conv_in.bias"] += strength * slope
    elif strength:
        raise CheckpointError("these weights are not conditioned on strength")
    net.load_state_dict(state)
    return net.eval()


def _from_state(
    state: Mapping[str, Tensor | NDArray[np.floating]],
    *,
    generation: str | None,
    alpha: float | None,
    window_size: int | None,
) -> Weights:
    tensors = {
        key: value.detach().cpu().float().numpy() if isinstance(value, Tensor) else value
        for key, value in state.items()
    }
    metadata = {"generation": generation} if generation else {}
    return Weights.from_tensors(tensors, alpha=alpha, window_size=window_size, metadata=metadata)
