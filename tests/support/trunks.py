"""Small trained-looking networks for perceptual losses, in the spellings of three libraries."""

from __future__ import annotations

import torch
from torch import Tensor

WIDTHS, DEPTHS = (6, 10), (1, 2)


def authors_convnext(seed: int = 0) -> dict[str, Tensor]:
    """A ConvNeXt of two stages by the names of its authors, with a classifier."""
    generator = torch.Generator().manual_seed(seed)

    def made(*shape: int) -> Tensor:
        fan = max(1, torch.Size(shape[1:]).numel())
        return torch.randn(shape, generator=generator) / fan**0.5

    state = {
        "downsample_layers.0.0.weight": made(WIDTHS[0], 3, 4, 4),
        "downsample_layers.0.1.weight": 1 + 0.1 * made(WIDTHS[0]),
        "downsample_layers.1.0.weight": 1 + 0.1 * made(WIDTHS[0]),
        "downsample_layers.1.1.weight": made(WIDTHS[1], WIDTHS[0], 2, 2),
    }
    for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True)):
        for block in range(depth):
            name = f"stages.{stage}.{block}"
            state[f"{name}.gamma"] = 0.5 * made(width)
            state[f"{name}.dwconv.weight"] = made(width, 1, 7, 7)
            state[f"{name}.norm.weight"] = 1 + 0.1 * made(width)
            state[f"{name}.pwconv1.weight"] = made(4 * width, width)
            state[f"{name}.pwconv2.weight"] = made(width, 4 * width)
    for name in [name for name in state if name.endswith(".weight")]:
        state[f"{name.removesuffix('weight')}bias"] = 0.1 * made(len(state[name]))
    state["head.weight"], state["norm.bias"] = made(5, WIDTHS[1]), made(WIDTHS[1])
    return state


def as_torchvision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    parts = {"dwconv": "block.0", "norm": "block.2", "pwconv1": "block.3", "pwconv2": "block.5"}
    found = {"classifier.2.weight": torch.ones(5, WIDTHS[1])}
    for name, value in state.items():
        kind, *rest = name.split(".")
        if kind == "downsample_layers":
            found[f"features.{2 * int(rest[0])}.{rest[1]}.{rest[2]}"] = value
        elif kind == "stages" and rest[2] == "gamma":
            found[f"features.{2 * int(rest[0]) + 1}.{rest[1]}.layer_scale"] = value.view(-1, 1, 1)
        elif kind == "stages":
            found[f"features.{2 * int(rest[0]) + 1}.{rest[1]}.{parts[rest[2]]}.{rest[3]}"] = value
    return found


def as_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    parts = {"dwconv": "conv_dw", "norm": "norm", "pwconv1": "mlp.fc1", "pwconv2": "mlp.fc2"}
    found = {"head.fc.weight": torch.ones(5, WIDTHS[1])}
    for name, value in state.items():
        kind, *rest = name.split(".")
        if kind == "downsample_layers" and rest[0] == "0":
            found[f"stem.{rest[1]}.{rest[2]}"] = value
        elif kind == "downsample_layers":
            found[f"stages.{rest[0]}.downsample.{rest[1]}.{rest[2]}"] = value
        elif kind == "stages" and rest[2] == "gamma":
            found[f"stages.{rest[0]}.blocks.{rest[1]}.gamma"] = value
        elif kind == "stages":
            found[f"stages.{rest[0]}.blocks.{rest[1]}.{parts[rest[2]]}.{rest[3]}"] = value
    return found


def vgg(seed: int = 0) -> dict[str, Tensor]:
    """Two convolutions, a pooling, one more, as torchvision numbers them."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for number, (before, after) in {0: (3, 8), 2: (8, 8), 5: (8, 12)}.items():
        state[f"features.{number}.weight"] = torch.randn(after, before, 3, 3, generator=generator) / 5
        state[f"features.{number}.bias"] = 0.1 * torch.randn(after, generator=generator)
    return state | {"classifier.0.weight": torch.ones(4, 12)}
