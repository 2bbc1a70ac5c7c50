"""A convolution of a frame job."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float32]
type Doubles = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Conv:
    """A convolution: `weight` (outputs, inputs / groups, kernel rows, kernel columns), `bias` (outputs).

    Rows and columns of zeros around the input: `pads` = (top, left, bottom, right).
    """

    weight: Floats
    bias: Floats
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    stride: tuple[int, int] = (1, 1)
    dilation: int = 1
    groups: int = 1

    @property
    def macs(self) -> int:
        """Multiplications per output position."""
        return self.weight.size


def double(tensor: Floats) -> Doubles:
    return tensor.astype(np.float64)


def folded(
    weight: Doubles,
    bias: Doubles,
    *,
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    stride: tuple[int, int] = (1, 1),
    dilation: int = 1,
    groups: int = 1,
) -> Conv:
    """The convolution in fp32, the highest precision of all runtimes."""
    return Conv(
        weight=np.ascontiguousarray(weight, np.float32),
        bias=np.ascontiguousarray(bias, np.float32),
        pads=pads,
        stride=stride,
        dilation=dilation,
        groups=groups,
    )


def groups_of(weight: NDArray[np.floating]) -> int:
    """The groups of a stored layer [outputs, inputs, rows, columns]: kernels of one input per output are
    depthwise, unless they are 1×1, which squeeze-and-excitation of few features has."""
    return len(weight) if weight.shape[1] == 1 and weight.shape[2:] != (1, 1) else 1
