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

from paragon_stream.checkpoint.lines.feature import FEATURE_LINE
from paragon_stream.checkpoint.published import attends_not, published_network, registered_alpha
from paragon_stream.checkpoint.spec import Generation, Variant
from paragon_stream.errors import InputError, UsageError, reason

TYPES = {f"paragonsr2_{variant}": variant for variant in Variant}
"""Upstream's name of a network of the release line → variant."""

_FAMILIES: dict[str, tuple[Generation, ...]] = {
    "paragonsr2_static_": (Generation.V4,),
    "paragonsr_v2_": (Generation.V0,),
    "paragonsr2_": tuple(
        each for each in Generation if each.startswith("p2") and each not in (Generation.V0, Generation.V4)
    ),
    "paragonsr_": tuple(each for each in FEATURE_LINE if each.startswith("paragonsr")),
}
"""Prefix of upstream's names, the longest first → the generations that register networks under such
names. The tensors show which of them a checkpoint is."""

_FACTS = ("type", "scale", "upsampler_alpha", "window_size", "use_norm", "attention_mode", "export_safe")

_WITHOUT_EFFECT = (
    *("detail_gain", "fast_body_mode", "gradient_checkpointing", "hr_blocks", "use_attention"),
    *("use_checkpointing", "use_content_aware"),
)
"""Options that upstream accepts and that do not change a trained network: initial values, how training uses
memory, what the tensors themselves show."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Facts are None where the file does not state them, and where upstream's default depends on the
    generation."""

    variant: str
    scale: int | None
    alpha: float | None
    window_size: int | None = None
    """For networks with attention only."""
    use_norm: bool | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """Its values, by the names of the options that it stands for."""
        all_facts = {
            "variant": self.variant,
            "scale": self.scale,
            "alpha": self.alpha,
            "window_size": self.window_size,
            "use_norm": self.use_norm,
        }
        return {name: value for name, value in all_facts.items() if value is not None}


def read_network_config(path: Path) -> NetworkConfig:
    """The network part of a traiNNer-redux file, of any generation; its other sections are ignored.

    Raises InputError if the file cannot be read, UsageError if it is no YAML, has no usable `network_g`, or
    that has unknown options.
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
    variant, alphas, attends = _registered(network.get("type"))
    known = (*_FACTS, *_WITHOUT_EFFECT)
    for key in network:
        if key not in known:
            raise UsageError(f"network_g has the unknown option {key}; known: {', '.join(known)}")
    alpha = network.get("upsampler_alpha")
    if alpha is None and len(alphas) == 1:
        (alpha,) = alphas
    if alpha is not None and type(alpha) not in (int, float):
        raise UsageError(f"upsampler_alpha is {alpha!r}, which is not a number")
    window, norm = network.get("window_size"), network.get("use_norm")
    if window is not None and type(window) is not int:
        raise UsageError(f"window_size is {window!r}, which is not a whole number")
    if norm is not None and type(norm) is not bool:
        raise UsageError(f"use_norm is {norm!r}, neither true nor false")
    if attends_not(network.get("attention_mode", "sdpa")) or network.get("export_safe"):
        attends = False
    return NetworkConfig(
        variant=variant,
        scale=common_scale(content, network),
        alpha=None if alpha is None else float(alpha),
        window_size=window if attends else None,
        use_norm=norm,
    )


def _registered(kind: Any) -> tuple[str, set[float | None], bool]:
    """The variant of upstream's name `kind`; the default alphas of the generations that have it; whether it
    has attention in any of them."""
    name = kind.lower() if isinstance(kind, str) else ""
    prefix = next((each for each in _FAMILIES if name.startswith(each)), "")
    variant, alphas, attends = name.removeprefix(prefix), set[float | None](), False
    for generation in _FAMILIES.get(prefix, ()):
        try:
            spec = published_network(generation, variant, 2)
        except UsageError:
            continue
        attends = attends or spec.window > 0
        alphas.add(registered_alpha(spec))
    if not alphas:
        families = ", ".join(f"{each}nano" for each in _FAMILIES if each != "paragonsr_v2_")
        raise UsageError(f"network_g has the type {kind!r}; known: {', '.join(TYPES)}, {families} and so on")
    return variant, alphas, attends


def common_scale(*sections: Mapping[str, Any]) -> int | None:
    """The scale that `sections` of a file state; None if none does. Raises UsageError if they differ."""
    scales = [each["scale"] for each in sections if each.get("scale") is not None]
    for scale in scales:
        if type(scale) is not int or scale < 1 or scale != scales[0]:
            raise UsageError(f"its scale is {' and '.join(map(repr, scales))}, not one whole number above 0")
    return scales[0] if scales else None


def read_yaml(path: Path) -> Any:
    """The content of a YAML file. Raises InputError if it cannot be read, UsageError if it is not YAML."""
    import yaml  # 0.1 s, and few commands get a configuration

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"configuration {path} cannot be read: {reason(error)}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist
        raise UsageError(f"configuration {path} is not valid YAML: {error}") from error
