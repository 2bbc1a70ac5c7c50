"""What a configuration file of traiNNer-redux says about the network: facts that a checkpoint may lack.

scale: 2
network_g:
  type: paragonsr2_stream
  upsampler_alpha: 0.0
"""

from __future__ import annotations

import logging
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

logger = logging.getLogger(__name__)

NOT_YET = ("paragonsr2_ultimate",)

WITHOUT_EFFECT = (
    "attention_mode",
    "detail_gain",
    "export_safe",
    "gradient_checkpointing",
    "use_content_aware",
)
"""Options of these types that upstream takes and that change nothing about a trained network: starting
values, how training spends memory, what the tensors say."""


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
    if name in NOT_YET:
        raise UsageError(f"network_g is of the type {kind}, not supported yet")
    if name not in TYPES:
        raise UsageError(f"network_g has the type {kind!r}; known: {', '.join(TYPES)}")
    known = ("type", "scale", "upsampler_alpha", "window_size", *WITHOUT_EFFECT)
    for key in network:
        if key not in known:
            raise UsageError(f"network_g has the unknown option {key}; known: {', '.join(known)}")
    variant, usual_alpha = TYPES[name]
    scales = [part["scale"] for part in (content, network) if part.get("scale") is not None]
    for scale in scales:
        if type(scale) is not int or scale != scales[0]:
            raise UsageError(f"its scale is {' and '.join(map(repr, scales))}, not one whole number")
    alpha = network.get("upsampler_alpha", usual_alpha)
    if type(alpha) not in (int, float):
        raise UsageError(f"upsampler_alpha is {alpha!r}, which is no number")
    attends = variant in (Variant.PHOTO, Variant.PRO)
    window = network.get("window_size", USUAL_WINDOW) if attends else None
    if window is not None and type(window) is not int:
        raise UsageError(f"window_size is {window!r}, which is no whole number")
    return NetworkConfig(
        variant=variant, scale=scales[0] if scales else None, alpha=float(alpha), window_size=window
    )


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Raises InputError if it cannot be read, UsageError if it is no YAML."""
    import yaml  # 0.1 s, and few commands get a configuration

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"configuration {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"configuration {path} is no valid YAML: {error}") from error


_HEAD_SIZES = ("nano", "tiny", "anime", "s", "m", "l", "xl")
_STATIC_OPTIONS = ("detail_gain", "fast_body_mode", "use_content_aware", "use_attention")
_PREFIXES = (
    ("paragonsr2_static_", "p2v4", 0.5),
    ("paragonsr_v2_", "p2v0", 0.0),
    ("paragonsr2_", "p2r3", 0.5),
    ("paragonsr_", "paragonsr-ps", 0.0),
)
"""Beginnings of upstream's names → generation, and the alpha that it takes by itself."""


def network_of(section: Any, scale: Any) -> dict[str, Any]:
    """The table [network] of a recipe for a section `network_g`, whatever its generation.

    The sizes of the static family (v5) and of the family with an HR head (r3) have the same names: the
    options decide between them. Raises UsageError.
    """
    if not isinstance(section, dict) or not isinstance(section.get("type"), str):
        raise UsageError("network_g has no type")
    given = dict(section)
    name = given.pop("type").lower()
    scales = {each for each in (scale, given.pop("scale", None)) if each is not None}
    if len(scales) != 1 or type(next(iter(scales))) is not int:
        raise UsageError("its scale is not one whole number")
    alpha = given.pop("upsampler_alpha", None)
    for key, wanted in (("attention_mode", "sdpa"), ("export_safe", False)):
        if given.get(key, wanted) not in (wanted, "flex"):
            raise UsageError(f"network_g.{key} = {given[key]!r} is for exports; leave it out for training")
        given.pop(key, None)
    if name in TYPES:
        variant, usual = TYPES[name]
        generation, size = "p2head", str(variant)
        if variant is not Variant.PRO and given.pop("detail_gain", None) is not None:
            logger.warning("network_g.detail_gain is without effect: what the network adds begins small")
    else:
        found = next((each for each in _PREFIXES if name.startswith(each[0])), None)
        if found is None:
            raise UsageError(f"network_g has the type {name!r}; known: {', '.join(TYPES)} and older families")
        prefix, generation, usual = found
        size = name.removeprefix(prefix)
        if generation == "p2r3" and (size not in _HEAD_SIZES or any(key in given for key in _STATIC_OPTIONS)):
            generation = "p2v5"
    table: dict[str, Any] = {
        "generation": generation,
        "variant": size,
        "scale": next(iter(scales)),
        "alpha": float(usual if alpha is None else alpha),
    }
    if given:
        table["options"] = given
    return table
