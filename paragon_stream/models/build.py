"""Builds the torch module of a network's description, with newly initialised weights."""

from __future__ import annotations

from torch import nn

from paragon_stream.checkpoint import NetworkSpec
from paragon_stream.checkpoint.lines.discriminator import MUNetSpec
from paragon_stream.checkpoint.lines.dual import DualSpec
from paragon_stream.checkpoint.lines.feature import FeatureSpec
from paragon_stream.checkpoint.lines.further import CategorySpec, UltimateSpec
from paragon_stream.checkpoint.spec import ReleaseSpec
from paragon_stream.models.border import Border
from paragon_stream.models.checkpointing import set_checkpointing
from paragon_stream.models.dual import DualNet
from paragon_stream.models.feature import FeatureNet
from paragon_stream.models.further import FurtherNet
from paragon_stream.models.munet import MUNet
from paragon_stream.models.release import ReleaseNet


def build(spec: NetworkSpec, *, border: Border = "zero", use_checkpointing: bool = False) -> nn.Module:
    """The module of `spec`, in training mode, whose state dict has exactly `spec.tensor_shapes()`.

    `border`: see `models.border`. `use_checkpointing`: see `models.checkpointing`.
    """
    net = _bare(spec, border)
    set_checkpointing(net, use_checkpointing)
    return net


def _bare(spec: NetworkSpec, border: Border) -> nn.Module:
    match spec:
        case ReleaseSpec():
            return ReleaseNet(spec, border=border)
        case FeatureSpec():
            return FeatureNet(spec, border=border)
        case DualSpec():
            return DualNet(spec, border=border)
        case MUNetSpec():
            return MUNet(spec)
        case CategorySpec() | UltimateSpec():
            return FurtherNet(spec, border=border)
    raise TypeError(f"{spec} is of no known line")
