"""Initialisation of a training: data-dependent unit variance.

With framework defaults these networks stay at the best *linear* filter for thousands of steps: Realtime's
activations are so small that GELU is linear there, and in Stream the product of two small features is almost
0. So one real batch is processed layer by layer, and each layer's weights are divided by the deviation of its
output: every non-linearity has an effect, and every branch enters its residual with deviation 1 × LayerScale.
Filters of `conv_in` have zero mean, so that products are of edges, not of brightness. Photo's also have
biases: in flat parts of the picture all features would otherwise be 0, and its norms would amplify rounding
errors. See docs/training.md for figures.

`start_from` uses a trained checkpoint instead, to continue training on other data, or, without its tail, for
another scale. That is even better: features for one scale are useful for another.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from paragon_stream.checkpoint import Weights
from paragon_stream.checkpoint.spec import STRENGTH_TENSOR, NetworkSpec
from paragon_stream.errors import UsageError
from paragon_stream.models.attention import PhotoBlock
from paragon_stream.models.blocks import NanoBlock, StreamBlock, WideningBlock
from paragon_stream.models.primitives import LayerScale
from paragon_stream.train.network import TrainableNet

TAIL_KEYS = ("up.0.weight", "up.0.bias", "conv_out.weight", "conv_out.bias")
LAYER_SCALE = {"realtime": 1.0, "stream": 0.3, "photo": 0.3}
PHOTO_BIAS = 0.5
DEPTHWISE_DEVIATION = 0.2
TAIL_DEVIATION = 0.02


@torch.no_grad()
def unit_variance_start(net: TrainableNet, batch: Tensor, generator: torch.Generator) -> None:
    """Initialise `net` in place from `batch` (N×3×H×W real LR patches in [0, 1]) and seeded noise."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            module.bias.zero_()
    gaussian = torch.randn(net.conv_in.weight.shape, generator=generator)
    net.conv_in.weight.copy_(gaussian - gaussian.mean((2, 3), keepdim=True))
    if net.slope is not None:
        net.slope.zero_()
    x = _normalise(net.conv_in, batch - 0.5)
    if net.variant == "photo":
        assert net.conv_in.bias is not None
        net.conv_in.bias.normal_(std=PHOTO_BIAS, generator=generator)
        x = x + net.conv_in.bias.view(-1, 1, 1)
    for block in net.blocks:
        if isinstance(block.scale, LayerScale):
            block.scale.gamma.fill_(LAYER_SCALE[net.variant])
        match block:
            case NanoBlock():
                x = x + block.scale(_start_widened(block, x, generator))
            case StreamBlock():
                x = _start_stream(block, x, generator)
            case PhotoBlock():
                x = _start_photo(block, x, generator)
    nn.init.normal_(net.conv_mid.weight, generator=generator)
    _start_tail(net, _normalise(net.conv_mid, x), generator)


@torch.no_grad()
def start_from(net: TrainableNet, weights: Weights, batch: Tensor, generator: torch.Generator) -> None:
    """Load all of `weights` into `net`; from another scale all but the tail, which starts from noise.

    `batch` as above.

    Raises UsageError if they are of another variant, depth or width, conditioned where `net` is not, or one
    of the two has attention and the other has none.
    """
    if weights.spec.variant != net.variant or not weights.spec.has_layer_scale:
        raise UsageError(
            f"a {net.variant} network cannot start from {weights.name}, which is {weights.spec.variant} "
            f"({weights.spec.generation})"
        )
    theirs, ours = ((each.features, each.groups, each.blocks) for each in (weights.spec, net.spec))
    if theirs != ours:
        raise UsageError(f"{net.spec} cannot start from {weights.name}, which is {weights.spec}")
    check_attention(net.spec, weights)
    state = {key: torch.tensor(value) for key, value in weights.tensors.items()}
    for key, parameter in net.named_parameters():
        if key.startswith(("conv_in.", "body.", "conv_mid.")):
            parameter.copy_(state[key])
    assert net.conv_in.bias is not None
    net.conv_in.bias += 0.5 * net.conv_in.weight.sum((1, 2, 3))  # the input is centred here
    if STRENGTH_TENSOR in state:
        if net.slope is None:
            raise UsageError(f"{weights.name} is conditioned on strength; set conditioned = true")
        net.slope.copy_(state[STRENGTH_TENSOR])
    x = net.conv_mid(net.body(net.head(batch)))
    if x.std() == 0:
        raise UsageError(f"{weights.name} has no trained layers to start from")
    if weights.spec.scale == net.scale:
        net.tail.load_layers({key: state[key] * _gain(key, state) for key in TAIL_KEYS})
    else:
        _start_tail(net, x, generator)


def check_attention(spec: NetworkSpec, weights: Weights) -> None:
    """Raises UsageError if only one of the two has attention, whose layers would be lost or left as noise."""
    if spec.has_attention and not weights.spec.has_attention:
        raise UsageError(
            f"{weights.name} has no attention: "
            "set attention_mode = none, or leave init (pretrain_network_g) out"
        )
    if weights.spec.has_attention and not spec.has_attention:
        raise UsageError(
            f"{weights.name} has attention, whose layers would be lost: "
            "leave attention_mode = none out, or init (pretrain_network_g)"
        )


def _gain(key: str, state: Mapping[str, Tensor]) -> Tensor:
    """The last layer including `detail_gain`, which is 1 in this form."""
    return state["detail_gain"] if key.startswith("conv_out.") else torch.tensor(1.0)


def _start_tail(net: TrainableNet, x: Tensor, generator: torch.Generator) -> None:
    """A small random tail for the features `x` after `conv_mid`."""
    nn.init.normal_(net.tail.weight, generator=generator)
    net.tail.bias.zero_()
    net.tail.weight.mul_(TAIL_DEVIATION / net.tail(x).std())


def _start_widened(block: WideningBlock, x: Tensor, generator: torch.Generator) -> Tensor:
    """Initialise Realtime's three layers; returns their result for `x`."""
    nn.init.orthogonal_(block.conv1.weight, generator=generator)
    nn.init.orthogonal_(block.conv2.weight, generator=generator)
    _depthwise(block.dw, generator)
    z = _normalise(block.dw, _normalise(block.conv1, x))
    return _normalise(block.conv2, nn.functional.gelu(z))


def _start_photo(block: PhotoBlock, x: Tensor, generator: torch.Generator) -> Tensor:
    """Attention starts with queries and keys of deviation 1, between uniform weights and a single one."""
    x = x + block.scale(_start_widened(block, block.norm(x), generator))
    if block.attn is not None:
        for part in block.attn.qkv.weight.chunk(3, 0):
            nn.init.orthogonal_(part, generator=generator)
        nn.init.orthogonal_(block.attn.proj.weight, generator=generator)
        block.attn.qkv.bias.zero_()
        block.attn.proj.bias.zero_()
        seen = block.attn_norm(x)
        block.attn.proj.weight.div_(block.attn(seen).std() + 1e-8)
        x = x + block.scale(block.attn(seen))
    return x


def _start_stream(block: StreamBlock, x: Tensor, generator: torch.Generator) -> Tensor:
    for layer in (block.dw1, block.dw3, block.gate):
        _depthwise(layer, generator)
    nn.init.orthogonal_(block.fuse.weight, generator=generator)
    for part in block.proj.weight.chunk(4, 0):
        nn.init.orthogonal_(part, generator=generator)
    nn.init.orthogonal_(block.out.weight, generator=generator)
    u = _normalise(block.fuse, torch.cat([block.dw1(x), block.dw3(x)], 1))
    _normalise(block.gate, _normalise(block.proj, u))
    branch: Tensor = block.scale(_normalise(block.out, block.product(x)))
    return x + branch


def _depthwise(layer: nn.Conv2d, generator: torch.Generator) -> None:
    """Identity plus noise."""
    nn.init.normal_(layer.weight, std=DEPTHWISE_DEVIATION, generator=generator)
    layer.weight[..., layer.weight.shape[-2] // 2, layer.weight.shape[-1] // 2] += 1


def _normalise(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Scale `layer` so that its output for `x` has deviation 1; return that output."""
    layer.weight.div_(layer(x).std() + 1e-8)
    out: Tensor = layer(x)
    return out
