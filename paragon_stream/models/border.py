"""Border handling: zero padding in every layer, as in upstream, or a replicated edge.

Zeros darken the picture's outer pixels. With "replicate" the picture is extended by the receptive radius, the
network runs and the margin is cropped: the function that frame jobs compute.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.checkpoint import NetworkSpec
from paragon_stream.models.primitives import Statistic, Windowed

Border = Literal["zero", "replicate"]


def extended(x: Tensor, margin: int, whole: int) -> Tensor:
    """N×C×H×W with `margin` replicated pixels on every side, and as many more below and to the right as make
    multiples of `whole`, if `margin` is one."""
    down, across = (-side % whole for side in x.shape[2:])
    return functional.pad(x, [margin, margin + across, margin, margin + down], mode="replicate")


def put_border(net: nn.Module, spec: NetworkSpec, border: Border, x: Tensor) -> tuple[Tensor, int]:
    """`x` with the margin of `border`, and its width. Sets the picture's position in those modules of `net`
    that use more than a neighbourhood."""
    margin, whole = 0, spec.window or 1
    size = (x.shape[2], x.shape[3])
    if border == "replicate":
        even = math.lcm(2, whole)  # as in frame jobs: generation 5's attention depends on the map's size
        margin = math.ceil(spec.margin / even) * even
        x = extended(x, margin, whole)
    for module in net.modules():
        if isinstance(module, Windowed):
            module.wraps = margin == 0
        elif isinstance(module, Statistic):
            module.border, module.size = margin, size if margin else None
    return x, margin


def take_border(y: Tensor, scale: int, margin: int, size: tuple[int, int]) -> Tensor:
    """The picture of rows and columns `size`, enlarged, without the margin."""
    if not margin:
        return y
    top = margin * scale
    return y[..., top : top + size[0] * scale, top : top + size[1] * scale]
