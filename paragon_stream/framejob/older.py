"""Folding of the older lines, and of the first version 11's Pro and Ultimate, for frame jobs.

    feature-space: y = conv_out(tail(conv_fuse(body(x₀)) + x₀)), which has no base path
    dual-path (v5 to v8): y = base + gain · conv_out(shuffle(conv_fuse(b) + b)), b = body(x₀)
    further: y = base + gain · conv_out(shuffle(up(norm(conv_mid(body(x₀))))))

Depthwise kernels are evaluated as in `models.mixers`, and layer scales are folded into the layers before
them. The linear layers after the body become one convolution: that of `collapse_tail` if a PixelShuffle
enlarges, else one of 5×5 at the large size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paragon_stream.checkpoint.lines.discriminator import MUNetSpec
from paragon_stream.checkpoint.lines.dual import DualSpec
from paragon_stream.checkpoint.lines.feature import FeatureSpec, Tail
from paragon_stream.checkpoint.lines.further import CategorySpec, UltimateSpec
from paragon_stream.checkpoint.reader import Tensors
from paragon_stream.checkpoint.spec import MAGIC_BLUR, MAGIC_SHARPEN, NetworkSpec
from paragon_stream.errors import UsageError
from paragon_stream.framejob.color import ColorMap
from paragon_stream.framejob.conv import Conv, Doubles, double, folded


@dataclass(frozen=True, kw_only=True)
class OlderNetwork:
    """The tensors of an older network, and its layers that touch colours.

    `sharpen` and `lift` are the MagicKernel (or the repetition) on feature maps: the low-pass at the source's
    size, and the filter that gives s² phases of every map. `head` are the convolutions at the large size,
    without residual blocks, in order. All are None or empty if a PixelShuffle tail collapses instead. If v6
    to v8 enlarge in stages, `head` is only their last layer. `analyse` is the first layer of v5's content
    analysis, on centred codes.
    """

    tensors: Tensors
    sharpen: Conv | None = None
    lift: Conv | None = None
    head: tuple[Conv, ...] = ()
    analyse: Conv | None = None


def check_has_job(spec: NetworkSpec) -> None:
    """Raise UsageError for discriminators."""
    if isinstance(spec, MUNetSpec):
        raise UsageError(f"{spec} is a discriminator, which is for training only")


def fold_older(tensors: Tensors, spec: NetworkSpec, source: ColorMap, target: ColorMap) -> OlderNetwork:
    """`tensors` with both formats' colours folded into the layers at the ends."""
    if isinstance(spec, CategorySpec | UltimateSpec):
        return OlderNetwork(tensors=tensors)
    if isinstance(spec, DualSpec):
        name = "content_processor.content_analyzer.0"
        analyse = on_codes(tensors, name, source) if f"{name}.weight" in tensors else None
        head: tuple[Conv, ...] = ()
        if len(spec.packs) > 1:
            gain = target.from_rgb * _detail_gain(tensors)
            weight = np.einsum("or,rcyx->ocyx", gain, double(tensors["conv_out.weight"]))
            head = (_square(weight, gain @ double(tensors["conv_out.bias"])),)
        return OlderNetwork(tensors=tensors, analyse=analyse, head=head)
    assert isinstance(spec, FeatureSpec)
    if spec.tail is Tail.SHUFFLE:
        return OlderNetwork(tensors=tensors)
    f, s = spec.features, spec.scale
    sharpen = None
    if spec.magic and spec.alpha:
        taps = np.outer(MAGIC_SHARPEN, MAGIC_SHARPEN) * spec.alpha
        taps[3, 3] += 1 - spec.alpha
        sharpen = _each(np.tile(taps, (f, 1, 1, 1)), f)
    blur = np.array(MAGIC_BLUR) if spec.magic else np.array([0.0, 0, 1, 0, 0])
    phases = np.zeros((s, 3))
    for phase in range(s):
        for tap in range(5):
            phases[phase, (phase + tap - 2) // s + 1] += blur[tap]
    kernels = np.einsum("ay,bx->abyx", phases, phases).reshape(1, s * s, 1, 3, 3)
    lift = _each(np.tile(kernels, (f, 1, 1, 1, 1)).reshape(f * s * s, 1, 3, 3), f)
    first = double(tensors[f"{spec.upsampler}.weight"]), double(tensors[f"{spec.upsampler}.bias"])
    last = np.einsum("or,rcyx->ocyx", target.from_rgb, double(tensors["conv_out.weight"]))
    last_bias = target.from_rgb @ double(tensors["conv_out.bias"])
    if spec.hr_blocks:
        head = (_square(*first), _square(last, last_bias))
    else:
        head = (_square(*_composed(first, (last, last_bias))),)
    return OlderNetwork(tensors=tensors, sharpen=sharpen, lift=lift, head=head)


def _detail_gain(tensors: Tensors) -> float:
    return float(tensors.get("global_detail_gain", np.float32(1)))


def _each(weight: Doubles, features: int) -> Conv:
    """Feature maps one by one, without a bias."""
    return _square(weight, np.zeros(len(weight)), groups=features)


def _square(weight: Doubles, bias: Doubles, *, groups: int = 1) -> Conv:
    return folded(weight, bias, pads=(weight.shape[2] // 2,) * 4, groups=groups)


def _composed(first: tuple[Doubles, Doubles], last: tuple[Doubles, Doubles]) -> tuple[Doubles, Doubles]:
    """Two 3×3 convolutions as one of 5×5, without the second one's zero padding."""
    weight = np.zeros((len(last[0]), first[0].shape[1], 5, 5))
    for y, x in np.ndindex(3, 3):
        weight[:, :, y : y + 3, x : x + 3] += np.einsum("om,miyx->oiyx", last[0][:, :, y, x], first[0])
    return weight, last[1] + np.einsum("omyx,m->o", last[0], first[1])


def on_codes(tensors: Tensors, name: str, colors: ColorMap) -> Conv:
    """A layer on RGB as one on centred codes."""
    weight = double(tensors[f"{name}.weight"])
    codes = np.einsum("foyx,oc->fcyx", weight, colors.to_rgb)
    bias = tensors[f"{name}.bias"] + np.einsum("foyx,o->f", weight, colors.rgb_of_centre)
    return _square(codes, bias)


def fold_fuse(tensors: Tensors, spec: NetworkSpec) -> Conv:
    """conv_fuse; in the dual-path line with the skip around it, in Ultimate (conv_mid) with its norm."""
    if isinstance(spec, CategorySpec | UltimateSpec):
        weight, bias = double(tensors["conv_mid.weight"]), double(tensors["conv_mid.bias"])
        if isinstance(spec, UltimateSpec):
            gain, shift = (double(tensors[f"final_norm.{name}"]).reshape(-1) for name in ("weight", "bias"))
            weight, bias = weight * gain[:, None, None, None], bias * gain + shift
        return _square(weight, bias)
    weight = double(tensors["conv_fuse.weight"])
    if isinstance(spec, DualSpec):
        weight[:, :, 1, 1] += np.eye(len(weight))
    return _square(weight, double(tensors["conv_fuse.bias"]))


def tail_layers(tensors: Tensors, spec: NetworkSpec) -> Tensors:
    """The layers of a PixelShuffle tail by the release line's names; zeros for networks without one."""
    if isinstance(spec, CategorySpec | UltimateSpec):
        return tensors
    f, s = spec.features, spec.scale
    name, gain = "", 1.0
    if isinstance(spec, DualSpec):
        name = spec.packs[0] if len(spec.packs) == 1 else ""
        gain = _detail_gain(tensors)
    elif isinstance(spec, FeatureSpec) and spec.tail is Tail.SHUFFLE:
        name = spec.upsampler
    zero = np.zeros((f * s * s, f, 3, 3), np.float32)
    return {
        "up.0.weight": tensors[f"{name}.weight"] if name else zero,
        "up.0.bias": tensors[f"{name}.bias"] if name else zero[:, 0, 0, 0],
        "conv_out.weight": tensors["conv_out.weight"],
        "conv_out.bias": tensors["conv_out.bias"],
        "detail_gain": np.array(gain, np.float32),
    }
