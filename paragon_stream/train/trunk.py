"""Trained networks whose features a perceptual loss compares: ConvNeXt and VGG, from files of the user's.

No weights come with this project. It takes state dicts of torchvision (`features.0.0.weight` …), of timm
(`stem.0.weight`, `stages.0.blocks.0.conv_dw.weight` …) and of ConvNeXt's authors
(`downsample_layers.0.0.weight` …); widths and depths are those of the tensors. Classifiers are left out; any
other tensor that does not fit is an error.

Liu et al., A ConvNet for the 2020s, 2022; Simonyan, Zisserman, Very Deep Convolutional Networks, 2015 (the
ones without batch normalisation).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.checkpoint.reader import read_checkpoint
from paragon_stream.errors import CheckpointError, reason

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Mean and standard deviation, in RGB, of the pictures that these networks were trained on (ImageNet)."""

EPSILON = 1e-6

_CLASSIFIER = re.compile(r"^(classifier|head|norm|norm_pre|pre_logits)\.")
_TO_AUTHORS = (
    # timm
    (r"^stem\.(\d)\.", r"downsample_layers.0.\1."),
    (r"^stages\.(\d+)\.downsample\.(\d)\.", r"downsample_layers.\1.\2."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.conv_dw\.", r"stages.\1.\2.dwconv."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc(\d)\.", r"stages.\1.\2.pwconv\3."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.", r"stages.\1.\2."),
)
_TORCHVISION_PARTS = {"0": "dwconv", "2": "norm", "3": "pwconv1", "5": "pwconv2"}


class Trunk(nn.Module):
    """N×3×H×W in 0…1 to feature maps, the finest first. Frozen."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        return list(self.maps((pictures - self.mean) / self.deviation))

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        raise NotImplementedError


def load_trunk(path: Path) -> Trunk:
    """The network in a file. Raises CheckpointError, which names the file and what does not fit."""
    try:
        tensors, _ = read_checkpoint(path.read_bytes())
        state = {name: torch.tensor(value) for name, value in tensors.items()}
        trunk: Trunk = VggTrunk(state) if _is_vgg(state) else ConvNextTrunk(_authors_names(state))
    except OSError as error:
        raise CheckpointError(f"trunk {path} cannot be read: {reason(error)}") from error
    except CheckpointError as error:
        raise CheckpointError(f"trunk {path}: {error}") from error
    return trunk.eval().requires_grad_(False)


class ConvNextTrunk(Trunk):
    """The maps behind each stage."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        left = dict(state)
        count = len({name.split(".")[1] for name in left if name.startswith("downsample_layers.")})
        if not count:
            raise CheckpointError("it is neither a ConvNeXt nor a VGG network without batch normalisation")
        self.downs, self.stages = nn.ModuleList(), nn.ModuleList()
        for stage in range(count):
            conv_first = stage == 0
            conv = _conv(left, f"downsample_layers.{stage}.{0 if conv_first else 1}", stride=True)
            side = conv.out_channels if conv_first else conv.in_channels
            norm = _LayerNorm(left, f"downsample_layers.{stage}.{1 if conv_first else 0}", side)
            self.downs.append(nn.Sequential(conv, norm) if conv_first else nn.Sequential(norm, conv))
            blocks = {int(name.split(".")[2]) for name in left if name.startswith(f"stages.{stage}.")}
            stage_blocks = [
                _Block(left, f"stages.{stage}.{number}", conv.out_channels) for number in sorted(blocks)
            ]
            self.stages.append(nn.Sequential(*stage_blocks))
        _check_left(left)

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        for down, stage in zip(self.downs, self.stages, strict=True):
            x = stage(down(x))
            yield x


class _Block(nn.Module):
    """x + gamma · pwconv2(GELU(pwconv1(norm(dwconv x))))."""

    def __init__(self, left: dict[str, Tensor], name: str, features: int) -> None:
        super().__init__()
        self.depthwise = _conv(left, f"{name}.dwconv", groups=features)
        self.norm = _LayerNorm(left, f"{name}.norm", features)
        self.wide, self.narrow = (_linear(left, f"{name}.pwconv{number}") for number in (1, 2))
        gamma = left.pop(f"{name}.gamma", torch.ones(features)).reshape(-1)
        if len(gamma) != features:
            raise CheckpointError(f"tensor {name}.gamma has {len(gamma)} values, not {features}")
        self.register_buffer("gamma", gamma)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.norm(self.depthwise(x)).permute(0, 2, 3, 1)
        change = self.gamma * self.narrow(functional.gelu(self.wide(seen)))
        return x + change.permute(0, 3, 1, 2)


class _LayerNorm(nn.Module):
    """Over the features of each pixel."""

    weight: Tensor
    bias: Tensor

    def __init__(self, left: dict[str, Tensor], name: str, features: int) -> None:
        super().__init__()
        for part in ("weight", "bias"):
            self.register_buffer(part, _take(left, f"{name}.{part}", (features,)))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.permute(0, 2, 3, 1)
        normal = functional.layer_norm(wide, wide.shape[-1:], self.weight, self.bias, EPSILON)
        return normal.permute(0, 3, 1, 2)


class VggTrunk(Trunk):
    """The maps before each pooling, behind the ReLU, and the last. Where layers are missing in the numbering
    of the file, there is a pooling: convolution and ReLU are two."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        left = {name: value for name, value in state.items() if name.startswith("features.")}
        numbers = sorted({_number(name) for name in left})
        groups: list[list[nn.Module]] = [[]]
        before = numbers[0]
        for number in numbers:
            if number - before == 3:
                groups.append([])
            elif number - before not in (0, 2):
                raise CheckpointError(f"features.{number} does not follow features.{before} in a VGG network")
            convolution = _conv(left, f"features.{number}")
            if convolution.kernel_size != (3, 3):  # AlexNet numbers its layers like a VGG
                raise CheckpointError(
                    f"features.{number} has {convolution.kernel_size} taps: in a VGG network it has (3, 3)"
                )
            groups[-1] += [convolution, nn.ReLU()]
            before = number
        _check_left(left)
        self.groups = nn.ModuleList(nn.Sequential(*each) for each in groups)

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        for number, group in enumerate(self.groups):
            x = group(functional.max_pool2d(x, 2) if number else x)
            yield x


def _is_vgg(state: Mapping[str, Tensor]) -> bool:
    first = state.get("features.0.weight")
    return first is not None and first.dim() == 4


def _authors_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A ConvNeXt's state dict by the names that its authors gave the layers, without the classifier."""
    found = {}
    for name, value in state.items():
        if _CLASSIFIER.match(name):
            continue
        renamed = _from_torchvision(name) if name.startswith("features.") else name
        for pattern, put in _TO_AUTHORS:
            renamed = re.sub(pattern, put, renamed)
        found[renamed] = value
    return found


def _number(name: str) -> int:
    """The number of the layer whose tensor is called features.N…. Raises CheckpointError."""
    layer = name.split(".")[1]
    if not layer.isdecimal():
        raise CheckpointError(f"tensor {name} belongs to neither a ConvNeXt nor a VGG network")
    return int(layer)


def _from_torchvision(name: str) -> str:
    rest = name.split(".", 2)[-1]
    stage, is_stage = divmod(_number(name), 2)
    if not is_stage:
        return f"downsample_layers.{stage}.{rest}"
    number, *parts = rest.split(".")
    if parts == ["layer_scale"]:
        return f"stages.{stage}.{number}.gamma"
    kind = _TORCHVISION_PARTS.get(parts[1]) if len(parts) == 3 and parts[0] == "block" else None
    return f"stages.{stage}.{number}.{kind}.{parts[2]}" if kind else name


def _take(left: dict[str, Tensor], name: str, shape: tuple[int | None, ...]) -> Tensor:
    """The tensor of that name; None in `shape` is any size."""
    if name not in left:
        raise CheckpointError(f"tensor {name} is missing")
    value = left.pop(name)
    if len(shape) != value.dim() or any(w not in (None, h) for w, h in zip(shape, value.shape, strict=True)):
        wanted = "×".join("N" if side is None else str(side) for side in shape)
        raise CheckpointError(f"tensor {name} has the shape {'×'.join(map(str, value.shape))}, not {wanted}")
    return value


def _conv(left: dict[str, Tensor], name: str, *, groups: int = 1, stride: bool = False) -> nn.Conv2d:
    """A convolution that keeps the size; with `stride` one whose steps are as large as its kernel."""
    weight = _take(left, f"{name}.weight", (None, 1 if groups > 1 else None, None, None))
    side = weight.shape[2]
    conv = nn.Conv2d(
        weight.shape[1] * groups,
        len(weight),
        side,
        stride=side if stride else 1,
        padding=0 if stride else side // 2,
        groups=groups,
    )
    return _filled(conv, weight, left, name)


def _linear(left: dict[str, Tensor], name: str) -> nn.Linear:
    weight = _take(left, f"{name}.weight", (None, None))
    return _filled(nn.Linear(weight.shape[1], len(weight)), weight, left, name)


def _filled[M: (nn.Conv2d, nn.Linear)](layer: M, weight: Tensor, left: dict[str, Tensor], name: str) -> M:
    bias = _take(left, f"{name}.bias", (len(weight),))
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


def _check_left(left: Mapping[str, Tensor]) -> None:
    if left:
        raise CheckpointError(f"tensor {min(left)} belongs to no ConvNeXt or VGG network")
