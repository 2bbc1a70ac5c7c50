"""Reads a configuration file of traiNNer-redux: facts of the network that a checkpoint may lack.

scale: 2
network_g:
  type: paragonsr2_stream
  upsampler_alpha: 0.0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paragon_stream.checkpoint.spec import USUAL_WINDOW, Variant
from paragon_stream.errors import InputError, UsageError

TYPES = {
    "paragonsr2_realtime": (Variant.REALTIME, 0.3),
    "paragonsr2_stream": (Variant.STREAM, 0.0),
    "paragonsr2_photo": (Variant.PHOTO, 0.4),
    "paragonsr2_pro": (Variant.PRO, 0.4),
}
"""Upstream's name of a network → variant, and the alpha that upstream takes where the file says none."""

_NOT_YET = ("paragonsr2_ultimate",)

_WITHOUT_EFFECT = (
    "attention_mode",
    "detail_gain",
    "export_safe",
    "gradient_checkpointing",
    "use_content_aware",
)
"""Options of these types that upstream accepts and that do not change a trained network: initial values, how
training uses memory, what the tensors themselves show."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """`scale` is None where the file has none."""

    variant: Variant
    scale: int | None
    alpha: float
    window_size: int | None = None
    """Of photo and pro only."""

    @property
    def facts(self) -> dict[str, Any]:
        """Its values, by the names of the options that it stands for."""
        all_facts = {
            "variant": str(self.variant),
            "scale": self.scale,
            "alpha": self.alpha,
            "window_size": self.window_size,
        }
        return {name: value for name, value in all_facts.items() if value is not None}


def read_network_config(path: Path) -> NetworkConfig:
    """The network part of a traiNNer-redux file; its other sections are not looked at.

    Raises InputError if the file cannot be read, UsageError if it is no YAML, has no usable `network_g`, or
    that has options without effect.
    """
    content = read_yaml(path)
    try:
        return _network(content)
    except UsageError as error:
        raise UsageError(f"configuration {path}: {error}") from error


def _network(content: Any) -> NetworkConfig:
    network = content.get("network_g") if isinstance(content, dict) else None
    if not isinstance(network, dict):
        raise UsageError("it has no section network_g")
    kind = network.get("type")
    name = kind.lower() if isinstance(kind, str) else kind
    if name in _NOT_YET:
        raise UsageError(f"network_g has the type {kind}, which is not supported yet")
    if name not in TYPES:
        raise UsageError(f"network_g has the type {kind!r}; known: {', '.join(TYPES)}")
    known = ("type", "scale", "upsampler_alpha", "window_size", *_WITHOUT_EFFECT)
    for key in network:
        if key not in known:
            raise UsageError(f"network_g has the unknown option {key}; known: {', '.join(known)}")
    variant, usual_alpha = TYPES[name]
    scale = common_scale(content, network)
    alpha = network.get("upsampler_alpha", usual_alpha)
    if type(alpha) not in (int, float):
        raise UsageError(f"upsampler_alpha is {alpha!r}, which is not a number")
    attends = variant in (Variant.PHOTO, Variant.PRO)
    window = network.get("window_size", USUAL_WINDOW) if attends else None
    if window is not None and type(window) is not int:
        raise UsageError(f"window_size is {window!r}, which is not a whole number")
    return NetworkConfig(variant=variant, scale=scale, alpha=float(alpha), window_size=window)


def common_scale(*sections: Mapping[str, Any]) -> int | None:
    """The scale that `sections` of a file state; None if none does. Raises UsageError if they differ."""
    scales = [each["scale"] for each in sections if each.get("scale") is not None]
    for scale in scales:
        if type(scale) is not int or scale != scales[0]:
            raise UsageError(f"its scale is {' and '.join(map(repr, scales))}, not one whole number")
    return scales[0] if scales else None


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Raises InputError if it cannot be read, UsageError if it is no YAML."""
    import yaml  # 0.1 s, and few commands get a configuration

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"configuration {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"configuration {path} is not valid YAML: {error}") from error
