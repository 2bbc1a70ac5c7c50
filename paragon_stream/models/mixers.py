"""The mixers of the feature-space line: how its blocks combine channels, and their depthwise kernels.

In training a depthwise kernel may be a sum of branches or come from a generator; in evaluation it is one
kernel, and `fused` is the mixer with that kernel as a plain convolution.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from paragon_stream.checkpoint.lines.feature import Dynamic
from paragon_stream.models.primitives import ChannelModulation, Mean, depthwise

SLOPE = 0.1
"""Negative slope of leaky ReLUs, in every generation."""


def plain_depthwise(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A 3×3 depthwise convolution with these values."""
    h = len(weight)
    layer = nn.Conv2d(h, h, 3, padding=1, groups=h, bias=bias is not None)
    layer.to(weight.device, weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if layer.bias is not None and bias is not None:
            layer.bias.copy_(bias)
    return layer


class Reparameterised(nn.Module):
    """A depthwise 3×3 convolution as the sum of a 3×3, a 1×1 and another 3×3."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv3x3 = depthwise(features, 3)
        self.conv1x1 = depthwise(features, 1)
        self.dw_conv3x3 = depthwise(features, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return self.conv3x3(x) + self.conv1x1(x) + self.dw_conv3x3(x)
        weight, bias = self.kernel()
        return functional.conv2d(x, weight, bias, padding=1, groups=len(weight))

    def kernel(self) -> tuple[Tensor, Tensor]:
        """The kernel and bias of the sum of the branches."""
        branches = (self.conv3x3, self.conv1x1, self.dw_conv3x3)
        weight = self.conv3x3.weight + functional.pad(self.conv1x1.weight, [1] * 4) + self.dw_conv3x3.weight
        return weight, sum_biases(branches)


def sum_biases(branches: tuple[nn.Conv2d, ...]) -> Tensor:
    return torch.stack([branch.bias for branch in branches if branch.bias is not None]).sum(0)


class EarlyReparameterised(nn.Module):
    """The same in the two oldest generations: 3×3, 1×1 and, in the first, a batch norm of the input.

    Their files also have the fused kernel, `fused_conv`, and a flag whether it is up to date, `_is_fused`.
    Both are kept but not used: the branches determine the kernel.
    """

    def __init__(self, features: int, *, identity: bool) -> None:
        super().__init__()
        self.register_buffer("_is_fused", torch.tensor(False))
        self.conv3x3 = depthwise(features, 3)
        self.conv1x1 = depthwise(features, 1)
        self.identity = nn.BatchNorm2d(features) if identity else None
        self.fused_conv = depthwise(features, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            y = self.conv3x3(x) + self.conv1x1(x)
            return y if self.identity is None else y + self.identity(x)
        weight, bias = self.kernel()
        return functional.conv2d(x, weight, bias, padding=1, groups=len(weight))

    def kernel(self) -> tuple[Tensor, Tensor]:
        weight = self.conv3x3.weight + functional.pad(self.conv1x1.weight, [1] * 4)
        bias = sum_biases((self.conv3x3, self.conv1x1))
        norm = self.identity
        if norm is None or norm.running_var is None or norm.running_mean is None:
            return weight, bias
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        centre = functional.pad(gain.view(-1, 1, 1, 1), [1] * 4)
        return weight + centre, bias + norm.bias - norm.running_mean * gain


class GatedMixer(nn.Module):
    """ParagonSR's: one half, mixed and through Mish, times the other."""

    def __init__(self, features: int, hidden: int, spatial_mixer: nn.Module) -> None:
        super().__init__()
        self.project_in_g = nn.Conv2d(features, hidden, 1)
        self.project_in_i = nn.Conv2d(features, hidden, 1)
        self.spatial_mixer = spatial_mixer
        self.project_out = nn.Conv2d(hidden, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = functional.mish(self.spatial_mixer(self.project_in_g(x)))
        return self.project_out(gate * self.project_in_i(x))

    def fuse(self) -> None:
        """Fuse the branches of the spatial mixer to one plain convolution."""
        if isinstance(self.spatial_mixer, Reparameterised | EarlyReparameterised):
            self.spatial_mixer = plain_depthwise(*self.spatial_mixer.kernel())


class KernelGenerator(nn.Module):
    """A depthwise 3×3 kernel per picture, from the means of its features: N×C×3×3."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.predictor = nn.Sequential(
            Mean(), nn.Conv2d(features, features, 1), nn.ReLU(), nn.Conv2d(features, 9 * features, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        n, c = x.shape[:2]
        return self.predictor(x).view(n, c, 3, 3)


def convolve_each(x: Tensor, kernels: Tensor) -> Tensor:
    """Every picture of N×C×H×W with its own depthwise kernels N×C×3×3."""
    n, c, height, width = x.shape
    weight = kernels.reshape(n * c, 1, 3, 3)
    y = functional.conv2d(x.reshape(1, n * c, height, width), weight, padding=1, groups=n * c)
    return y.view(n, c, height, width)


class GeneratedMixer(nn.Module):
    """Generations v0 and r1: in training the kernel is generated; in evaluation it is `dynamic_conv`, which
    training never touches (defect D3 of the architecture reference)."""

    def __init__(
        self, features: int, hidden: int, dynamic_conv: nn.Module, *, mish: bool, generates: bool = True
    ) -> None:
        super().__init__()
        self.project_in = nn.Conv2d(features, hidden, 1)
        self.kernel_generator = KernelGenerator(hidden) if generates else None
        self.dynamic_conv = dynamic_conv
        self.activation: nn.Module = nn.Mish() if mish else nn.LeakyReLU(SLOPE)
        self.project_out = nn.Conv2d(hidden, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        z = self.project_in(x)
        if self.training and self.kernel_generator is not None:
            z = convolve_each(z, self.kernel_generator(z))
        else:
            z = self.dynamic_conv(z)
        return self.project_out(self.activation(z))

    def fuse(self) -> None:
        """Fuse `dynamic_conv` to one plain convolution; the generator stays, as in upstream."""
        if isinstance(self.dynamic_conv, Reparameterised):
            self.dynamic_conv = plain_depthwise(*self.dynamic_conv.kernel())


class TrackedMixer(nn.Module):
    """Generations r2, r3 and v1 to v3: a running average of the generated kernels serves in evaluation.

    Training in the mode "full" generates the kernel and every `update_every` steps moves `tracked_kernel`
    towards the batch's mean by `momentum`; in the mode "cheap" a channel modulation replaces the kernel and
    nothing is tracked (defect D4); in the mode "off" there is neither. Evaluation uses the tracked kernel, or
    the identity if none was tracked, in every mode; with `dynamic_inference` it does the same as training.
    """

    momentum = 0.05
    tracked_kernel: Tensor
    identity_kernel: Tensor
    tracked_initialized: Tensor

    def __init__(self, features: int, hidden: int, mode: Dynamic, *, update_every: int = 1) -> None:
        super().__init__()
        identity = functional.pad(torch.ones(hidden, 1, 1, 1), [1] * 4)
        self.register_buffer("identity_kernel", identity)
        self.register_buffer("tracked_kernel", torch.zeros(hidden, 1, 3, 3))
        self.register_buffer("tracked_initialized", torch.tensor(False))
        self.update_every = update_every
        self.steps = 0
        self.tracks = True
        self.dynamic_inference = False
        self.project_in = nn.Conv2d(features, hidden, 1)
        if mode is Dynamic.FULL:
            self.kernel_generator: KernelGenerator | None = KernelGenerator(hidden)
        else:
            self.kernel_generator = None
        self.cheap_dynamic = ChannelModulation(hidden) if mode is Dynamic.CHEAP else None
        self.project_out = nn.Conv2d(hidden, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        z = self.project_in(x)
        if self.cheap_dynamic is not None and (self.training or self.dynamic_inference):
            z = self.cheap_dynamic(z)
        elif self.kernel_generator is not None and (self.training or self.dynamic_inference):
            kernels = self.kernel_generator(z)
            if self.training and self.tracks:
                self._track(kernels.detach().mean(0).unsqueeze(1))
            z = convolve_each(z, kernels)
        elif not self.training:
            z = functional.conv2d(z, self.kernel(), padding=1, groups=z.shape[1])
        return self.project_out(functional.leaky_relu(z, SLOPE))

    def kernel(self) -> Tensor:
        """The kernel of evaluation."""
        return self.tracked_kernel if bool(self.tracked_initialized) else self.identity_kernel

    @torch.no_grad()
    def _track(self, kernel: Tensor) -> None:
        self.steps += 1
        if self.steps % self.update_every:
            return
        if self.tracked_initialized and self.momentum > 0:
            self.tracked_kernel.lerp_(kernel.to(self.tracked_kernel), self.momentum)
        else:
            self.tracked_kernel.copy_(kernel)
            self.tracked_initialized.fill_(True)

    def fuse(self) -> None:
        """Evaluate permanently with the tracked kernel: the generator is dropped, as in upstream's
        releases."""
        self.kernel_generator = None
        self.dynamic_inference = False


class StaticMixer(nn.Module):
    """Generations v4 and v5: depthwise and 1×1 convolutions; attention and channel modulation if it has
    them."""

    def __init__(
        self, features: int, hidden: int, *, modulated: bool, attention: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.project_in = nn.Conv2d(features, hidden, 1)
        self.dw_mixer = nn.Sequential(depthwise(hidden, 3), nn.LeakyReLU(SLOPE), nn.Conv2d(hidden, hidden, 1))
        self.channel_mod = ChannelModulation(hidden) if modulated else None
        self.attention = attention
        self.project_out = nn.Conv2d(hidden, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dw_mixer(self.project_in(x))
        if self.attention is not None:
            x = self.attention(x)
        if self.channel_mod is not None:
            x = self.channel_mod(x)
        return self.project_out(x)

    def fuse(self) -> Self:
        """Does nothing: there are no branches to fuse."""
        return self
