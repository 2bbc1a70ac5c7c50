"""Whether Stream weights need a limit of their products that their file does not state.

Stream multiplies features six times in succession. Networks that were trained with a limit of the products
(metadata `product_limit`) may compute values of thousands without it; one small picture shows that.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np

from paragon_stream.checkpoint import Weights, at_strength
from paragon_stream.checkpoint.spec import ReleaseSpec, Variant

logger = logging.getLogger(__name__)

_SIDE = 16
_MOST = 8.0
"""Mean magnitude of a result, of pictures in 0…1. Working networks are below 1, the others above 1000."""

_judged: dict[str, float] = {}
"""The magnitudes of this process's weights, by digest: a render loads its weights more than once."""


def warn_of_missing_limit(weights: Weights) -> None:
    """Log a warning if `weights` are Stream without a limit and compute noise. Half a second, and only for
    such weights."""
    spec = weights.spec
    if not isinstance(spec, ReleaseSpec) or spec.variant is not Variant.STREAM:
        return
    if math.isfinite(spec.product_limit):
        return
    if weights.sha256 not in _judged:
        _judged[weights.sha256] = _magnitude(weights)
    found = _judged[weights.sha256]
    if not found < _MOST:
        logger.warning(
            "weights %s: the picture will be noise: a test picture gave values of %.2g instead of 0 to 1. "
            "Stream's products need the limit of the training, which torch files and other programs lose: "
            "use the safetensors file of the training, whose metadata contain product_limit",
            weights.name,
            found,
        )


def _magnitude(weights: Weights) -> float:
    """The mean magnitude of the result for a small picture; ONNX's own interpreter is always installed."""
    from onnx.reference import ReferenceEvaluator  # 0.2 s

    from paragon_stream.framejob.onnx.network import INPUT, emit_network

    plain = at_strength(weights, 0.0) if weights.spec.conditioned else weights
    model = emit_network(plain, size=(_SIDE, _SIDE))
    drawn = np.random.default_rng(3).normal(0.5, 0.2, (1, 3, _SIDE, _SIDE))
    with np.errstate(all="ignore"):
        results: Any = ReferenceEvaluator(model).run(None, {INPUT: np.clip(drawn, 0, 1).astype(np.float32)})
        return float(np.abs(results[0]).mean())
