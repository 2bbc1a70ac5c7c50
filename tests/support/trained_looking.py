"""Random weights that look trained: layer scales and kernels are not what initialisation leaves them.

Importing this module without torch skips the test that imports it.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from paragon_stream.checkpoint import NetworkSpec, Weights  # noqa: E402
from paragon_stream.models.build import build  # noqa: E402


def trained_looking(spec: NetworkSpec, seed: int = 3, scales: tuple[float, float] = (0.2, 0.6)) -> Weights:
    """Weights of `spec`, for every generation, as torch initialises them; layer scales, which begin near 0,
    are in the range `scales`, and kernels that training tracks are random."""
    torch.manual_seed(seed)
    net = build(spec)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith(".gamma"):
                value.uniform_(*scales)
            elif name.endswith("tracked_kernel"):
                value.normal_(0, 0.3)
            elif name.endswith("tracked_initialized"):
                value.fill_(True)
    tensors = {name: value.float().numpy() for name, value in net.state_dict().items()}
    return Weights(spec=spec, tensors=tensors, name=f"random {spec.variant}")
