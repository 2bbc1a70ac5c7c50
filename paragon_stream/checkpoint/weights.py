"""`Weights`: a checked state dict with its facts, loaded from a file or a shipped set, and saved."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from paragon_stream.checkpoint.detect import detect, identify
from paragon_stream.checkpoint.facts import Facts
from paragon_stream.checkpoint.inspection import alpha_doubts, cautions
from paragon_stream.checkpoint.reader import Tensors, read_checkpoint
from paragon_stream.checkpoint.shipped import (
    LOSABLE,
    default_name,
    find_shipped,
    list_shipped,
    lost_facts,
    scale_for,
    weights_folder,
)
from paragon_stream.checkpoint.spec import NetworkSpec, Variant, published
from paragon_stream.checkpoint.untrained import UNTRAINED, untrained
from paragon_stream.errors import CheckpointError, UsageError, reason
from paragon_stream.wholefile import whole_file

logger = logging.getLogger(__name__)

METADATA_KEYS = (
    "generation",
    "variant",
    "scale",
    "upsampler_alpha",
    "recipe",
    "data_licences",
    "name",
)
"""Names of the metadata in every saved file; the values are strings."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A state dict that has exactly the tensors of `spec`: float32 tensors by upstream's names.

    `name` is the shipped set's name or the file's stem, `sha256` the file's digest in hex.
    """

    spec: NetworkSpec
    tensors: Tensors = field(repr=False)
    name: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""
    path: Path | None = None

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, NDArray[np.floating]],
        *,
        metadata: Mapping[str, str] | None = None,
        name: str = "unnamed",
        **given: Any,
    ) -> Weights:
        """Check a state dict that is already in memory; `given` facts (see `Facts`) overrule its metadata.

        Raises CheckpointError.
        """
        plain: Tensors = {}
        for key, value in tensors.items():
            if not isinstance(value, np.ndarray | np.generic):
                raise CheckpointError(f"{key!r} is not a tensor: give only the state dict")
            plain[key] = np.asarray(value, dtype=np.float32)
            if not np.isfinite(plain[key]).all():
                raise CheckpointError(f"tensor {key} holds NaN or infinity")
        spec, whole = _detect_whole(plain, metadata or {}, **given)
        return cls(spec=spec, tensors=plain, name=name, metadata=whole)


def load_weights(
    weights: str | Path | None = None,
    *,
    variant: str | None = None,
    scale: int | None = None,
    alpha: float | None = None,
    window_size: int | None = None,
    generation: str | None = None,
    attention: str | None = None,
    use_norm: bool | None = None,
    factor: Fraction | None = None,
    rgb: bool = False,
) -> Weights:
    """Weights from a file, from the shipped set of that name, or (None) from the default shipped set.

    The default is `video`, and with `rgb`, for sources of RGB, `fidelity`.

    `variant` and `scale` choose among the shipped sets (default realtime ×2); a file must agree with them
    where they are given. Without a `scale`, `factor` (how much the picture shall be enlarged) chooses one of
    the set's: the smallest that is enough, else the largest. The other facts (see `Facts`) overrule the
    metadata. The set "untrained" is random numbers, of any variant: for measuring speed.

    Raises UsageError if nothing of that name is shipped or the file is of another variant or scale, and
    CheckpointError if the file cannot be read or is not exactly the state dict of a known network.
    """
    path = _as_path(weights)
    if path is None and variant is not None and variant not in list(Variant):
        raise UsageError(f"there is no variant {variant}; choose from {', '.join(Variant)}")
    if weights == UNTRAINED:
        return _untrained(variant or "realtime", scale or 2, alpha=alpha, window_size=window_size)
    if path is None:
        wanted_set, family = None if weights is None else str(weights), variant or "realtime"
        if scale is None and factor is not None:
            wanted_set = wanted_set or default_name(family, rgb=rgb)
        wanted_scale = scale or (2 if factor is None else scale_for(factor, wanted_set, variant=family))
        shipped = find_shipped(wanted_set, variant=family, scale=wanted_scale, rgb=rgb)
        if shipped is None:
            raise UsageError(_nothing_shipped(weights, family, wanted_scale))
        path, name = shipped.path, shipped.name
    else:
        name = path.stem
    facts: dict[str, Any] = {"generation": generation, "alpha": alpha, "window_size": window_size}
    facts |= {"attention": attention, "use_norm": use_norm}
    found = _load_file(path, scale, name=name, **facts)
    if variant not in (None, found.spec.variant) or scale not in (None, found.spec.scale):
        wanted = " ".join(filter(None, (variant or "", f"×{scale}" if scale else "")))
        raise UsageError(f"{path} holds {found.spec.variant} ×{found.spec.scale}, but {wanted} was requested")
    if found.metadata.get("precision") == "int8":
        logger.warning("weights %s: an int8 export, so most tensors are rounded to 8 bits", found.name)
    doubts = alpha_doubts(found.spec) if alpha is None else ()  # callers warn about options
    for caution in (*cautions(found.spec), *doubts):
        logger.warning("weights %s: %s", found.name, caution)
    logger.info("weights: %s, %s, sha256 %s", found.name, found.spec, found.sha256[:12])
    return found


def _untrained(variant: str, scale: int, *, alpha: float | None, window_size: int | None) -> Weights:
    logger.warning("untrained weights are random numbers: for measuring speed, not for pictures")
    tensors, metadata = untrained(published(variant, scale, alpha=alpha or 0.0))
    return Weights.from_tensors(tensors, metadata=metadata, window_size=window_size, name=UNTRAINED)


def _as_path(weights: str | Path | None) -> Path | None:
    """The path that `weights` means; None if it is the name of a set."""
    if weights is None:
        return None
    path = Path(weights)
    looks_like_path = isinstance(weights, Path) or path.suffix or len(path.parts) > 1
    return path if looks_like_path else None


def _load_file(path: Path, scale: int | None, *, name: str, **given: Any) -> Weights:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"weights {path}: {reason(error)}") from error
    try:
        tensors, metadata = read_checkpoint(data)
        found = identify(tensors, Facts.of(metadata, **given))
        if "scale" in found.unknown:
            given["scale"] = scale or _scale_of_name(path)
        spec, metadata = _detect_whole(tensors, metadata, **given)
    except CheckpointError as error:
        raise CheckpointError(f"weights {path}: {error}") from error
    stated = Facts.of(metadata)
    for fact, value in given.items():
        if value is not None and getattr(stated, fact) not in (None, value):
            logger.warning(
                "weights %s: %s %s replaces %s of its metadata", name, fact, value, getattr(stated, fact)
            )
    return Weights(
        spec=spec,
        tensors=tensors,
        name=name,
        metadata=metadata,
        sha256=hashlib.sha256(data).hexdigest(),
        path=path,
    )


def _detect_whole(
    tensors: Tensors, metadata: Mapping[str, str], **given: Any
) -> tuple[NetworkSpec, dict[str, str]]:
    """The network and its metadata, with the facts that a copy of a shipped set has lost."""
    spec, whole = detect(tensors, metadata, **given), dict(metadata)
    if not any(name in metadata for name in LOSABLE) and (lost := lost_facts(spec, tensors)):
        whole |= lost
        spec = detect(tensors, whole, **given)
    return spec, whole


def _scale_of_name(path: Path) -> int | None:
    """The scale that a file's name begins or ends with, as in 2xNet or net_x2; None if there is none."""
    match = re.search(r"(?:^|[_-])([2348])x|x([2348])(?:[_-]|$)", path.stem, re.IGNORECASE)
    if match is None:
        return None
    scale = int(match[1] or match[2])
    logger.warning("%s does not contain its scale: ×%d is taken from its name", path.name, scale)
    return scale


def _nothing_shipped(weights: str | Path | None, variant: str, scale: int) -> str:
    what = f"{variant} ×{scale}" + (f" called {weights!r}" if weights is not None else "")
    sets = ", ".join(f"{s.variant} ×{s.scale} {s.name}" for s in list_shipped())
    return (
        f"no weights are shipped for {what}; there are: {sets or f'none in {weights_folder()}'}; "
        "or give the path of a checkpoint"
    )


def save_weights(
    path: Path, tensors: Mapping[str, NDArray[np.floating]], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file; under its name only when complete.

    The tensors must be the state dict of a known network (CheckpointError) and `metadata` must hold every
    one of METADATA_KEYS (UsageError); OutputError if the file cannot be written.
    """
    absent = [key for key in METADATA_KEYS if key not in metadata]
    if absent:
        raise UsageError(f"the metadata of saved weights lacks {', '.join(absent)}")
    plain = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in tensors.items()}
    plain = {name: value.reshape(np.shape(tensors[name])) for name, value in plain.items()}
    if detect(plain, metadata).window and "window_size" not in metadata:
        raise UsageError("the metadata of saved weights lacks window_size")
    data = safetensors.numpy.save(plain, metadata=dict(metadata))
    with whole_file(path) as file:
        file.write(data)
