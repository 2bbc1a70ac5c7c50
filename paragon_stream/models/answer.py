"""Results of torch modules as numpy arrays, for code that does not use torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from paragon_stream.checkpoint import Weights
from paragon_stream.models.build import build
from paragon_stream.models.further import CategoryAttention

type Answer = Callable[..., NDArray[np.float32]]


def answers(weights: Weights) -> Answer:
    """A function of pictures [1, 3, rows, columns] in 0…1; for networks with a video mode also of the
    features of the frame before, and their weight. Categories are sorted as in graphs."""
    net = build(weights.spec)
    net.load_state_dict({name: torch.tensor(value) for name, value in weights.tensors.items()})
    net.eval()
    for module in net.modules():
        if isinstance(module, CategoryAttention):
            module.stable = True

    def answer(
        picture: NDArray[np.float32], before: NDArray[np.float32] | None = None, weight: float = 0.0
    ) -> NDArray[np.float32]:
        given = {} if before is None else {"prev_feat": torch.tensor(before), "alpha": weight}
        with torch.no_grad():
            result: NDArray[np.float32] = net(torch.tensor(picture), **given).numpy()
        return result

    return answer
