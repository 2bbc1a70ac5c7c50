"""Loads a checkpoint as a torch module with upstream's results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paragon_stream.checkpoint import Weights, load_weights
from paragon_stream.checkpoint.published import attends_not
from paragon_stream.checkpoint.spec import STRENGTH_TENSOR
from paragon_stream.errors import CheckpointError, UsageError
from paragon_stream.models.border import Border
from paragon_stream.models.build import build
from paragon_stream.models.shifted_attention import choose_attention


def load(
    source: str | Path | Mapping[str, Tensor | NDArray[np.floating]],
    *,
    generation: str | None = None,
    variant: str | None = None,
    scale: int | None = None,
    alpha: float | None = None,
    window_size: int | None = None,
    attention: str | None = None,
    use_norm: bool | None = None,
    border: Border = "zero",
    strength: float = 0.0,
    use_checkpointing: bool = False,
    attention_mode: str | None = "sdpa",
) -> Any:
    """The network of a checkpoint as a torch module in eval mode, with its `NetworkSpec` as `.spec`.

    `source` is a file, the name of a shipped set, or a state dict (torch tensors or numpy arrays).
    `generation` (a name of `Generation`), `variant` and `scale` are checked against the checkpoint, or select
    the shipped set. They, `alpha`, `window_size`, `attention` ("local" or "efficient", generation 5) and
    `use_norm` (v1, v3, v4) are needed if neither tensors nor metadata show them and upstream's default is
    wrong. The module takes N×3×H×W RGB in [0, 1], any float dtype, and reproduces upstream exactly, including
    its zero padding; `border="replicate"` repeats the picture's edge instead, as frame jobs do. Weights
    conditioned on the strength of compression become the plain network at `strength` (0…1).
    `use_checkpointing` saves memory in training. With `attention_mode` "flex", attention with a relative bias
    (v7, v8) is FlexAttention; exports and training on CPUs compute the same plainly; "none" is for weights
    without attention. A discriminator returns N×1×H×W logits.

    The module's `state_dict` lacks the facts that are in the file's metadata: `alpha`, the chroma filter, and
    the limit of Stream's products, without which shipped Stream sets compute noise in other programs. Loading
    the tensors of a shipped set restores the last two; `paragon-stream convert` keeps all of them.

    Raises CheckpointError for tensors that are missing, unexpected or misshapen, or facts that disagree, and
    UsageError for options that make no sense.
    """
    if not 0 <= strength <= 1:
        raise UsageError(f"strength {strength} is outside 0…1")
    facts: dict[str, Any] = {"generation": generation, "alpha": alpha, "window_size": window_size}
    facts |= {"attention": attention, "use_norm": use_norm}
    if isinstance(source, Mapping):
        weights = Weights.from_tensors(_arrays(source), scale=scale, **facts)
    else:
        weights = load_weights(source, variant=variant, scale=scale, **facts)
    if variant is not None and variant != weights.spec.variant:
        raise CheckpointError(f"the variant is {weights.spec.variant}, not {variant}")
    return as_module(
        weights,
        border=border,
        strength=strength,
        use_checkpointing=use_checkpointing,
        attention_mode=attention_mode,
    )


def as_module(
    weights: Weights,
    *,
    border: Border = "zero",
    strength: float = 0.0,
    use_checkpointing: bool = False,
    attention_mode: str | None = "sdpa",
) -> Any:
    """The module of weights that were read; see `load`, whose options these are."""
    if attends_not(attention_mode) and weights.spec.has_attention:
        raise UsageError(
            f"{weights.name} was trained with attention, and its pictures are wrong without it: leave "
            'attention_mode="none" out, or train a network without attention'
        )
    net = build(weights.spec, border=border, use_checkpointing=use_checkpointing)
    state = {key: torch.tensor(value) for key, value in weights.tensors.items()}
    slope = state.pop(STRENGTH_TENSOR, None)
    if slope is not None:
        state["conv_in.bias"] += strength * slope
    elif strength:
        raise CheckpointError("these weights are not conditioned on strength")
    net.load_state_dict(state)
    choose_attention(net, attention_mode)
    return net.eval()


def _arrays(state: Mapping[str, Tensor | NDArray[np.floating]]) -> dict[str, NDArray[np.floating]]:
    return {
        key: value.detach().cpu().float().numpy() if isinstance(value, Tensor) else value
        for key, value in state.items()
    }
