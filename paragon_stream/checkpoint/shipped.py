"""The weights that come with the package: files `engines/<variant>_x<scale>_<set>.safetensors`."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from paragon_stream.checkpoint.reader import Tensors, read_checkpoint
from paragon_stream.checkpoint.spec import NetworkSpec, ReleaseSpec, Variant
from paragon_stream.datafiles import data_folder

logger = logging.getLogger(__name__)

_NAME = re.compile(r"(?P<variant>[a-z]+)_x(?P<scale>\d+)_(?P<name>[a-z0-9-]+)\.safetensors")
_CHARACTERISTIC = "conv_mid.weight"
_ROUNDING = 2.0**-8  # bf16
LOSABLE = ("product_limit", "filters_chroma")
"""Facts of shipped sets that neither tensors nor options show."""

_DEFAULT_ORDER = ("video", "fidelity")
_RGB_ORDER = ("fidelity", "video")
"""For RGB, which stores pictures without loss: drawings are 0.9 dB better with `fidelity` (Realtime)."""


@dataclass(frozen=True, kw_only=True, order=True)
class ShippedSet:
    """One set of weights, called `name` for its variant and scale."""

    variant: Variant
    scale: int
    name: str
    path: Path
    is_default: bool = False
    """Whether it is what `weights=None` takes where chroma is subsampled."""


def weights_folder() -> Path:
    """The folder of the shipped weights: in the installed package, or at the top of a checkout."""
    return data_folder("engines")


def list_shipped(folder: Path | None = None) -> list[ShippedSet]:
    """Every shipped set, sorted by variant, scale and name."""
    found = []
    for path in (folder or weights_folder()).glob("*.safetensors"):
        match = _NAME.fullmatch(path.name)
        if match and match["variant"] in list(Variant):
            found.append((Variant(match["variant"]), int(match["scale"]), match["name"], path))
    names = {(variant, scale, name) for variant, scale, name, _ in found}

    def is_default(variant: Variant, scale: int, name: str) -> bool:
        present = [each for each in _DEFAULT_ORDER if (variant, scale, each) in names]
        return present[:1] == [name]

    return sorted(
        ShippedSet(
            variant=variant, scale=scale, name=name, path=path, is_default=is_default(variant, scale, name)
        )
        for variant, scale, name, path in found
    )


def find_shipped(
    name: str | None, *, variant: str, scale: int, rgb: bool = False, folder: Path | None = None
) -> ShippedSet | None:
    """The set called `name`. Without a name the default one: `video`, else `fidelity`; in the other order
    with `rgb`, for sources of RGB."""
    wanted = (name,) if name is not None else _RGB_ORDER if rgb else _DEFAULT_ORDER
    found = {s.name: s for s in list_shipped(folder) if (s.variant, s.scale) == (variant, scale)}
    return next((found[each] for each in wanted if each in found), None)


def lost_facts(spec: NetworkSpec, tensors: Tensors) -> dict[str, str]:
    """Metadata of the shipped set whose tensors these are, for files that hold nothing but tensors.

    torch's state dicts and other programs' files drop the limit of Stream's products, without which a
    picture is noise, and the chroma filter. A set is recognised by one weight: conditioned sets that were
    written for one strength differ in another. Files in fp16 and bf16 are recognised. Empty for all others.
    """
    if not isinstance(spec, ReleaseSpec):
        return {}
    body = tensors[_CHARACTERISTIC]
    for shipped in list_shipped():
        if (shipped.variant, shipped.scale) != (spec.variant, spec.scale):
            continue
        held, metadata = read_checkpoint(shipped.path.read_bytes())
        own = held[_CHARACTERISTIC]
        if own.shape == body.shape and np.abs(own - body).max() <= _ROUNDING * np.abs(own).max():
            logger.info("the tensors are those of the shipped set %s; its metadata apply", shipped.path.stem)
            return {name: metadata[name] for name in LOSABLE if name in metadata}
    return {}


def default_name(variant: str, *, rgb: bool = False, folder: Path | None = None) -> str | None:
    """The name of the set that enlarges by any factor, at one of its scales and by resampling; None if
    nothing is shipped."""
    names = {each.name for each in list_shipped(folder) if each.variant == variant}
    return next((each for each in (_RGB_ORDER if rgb else _DEFAULT_ORDER) if each in names), None)


def scale_for(factor: Fraction, name: str | None, *, variant: str, folder: Path | None = None) -> int:
    """The smallest shipped scale that is at least `factor`, or else the largest; 2 if nothing is shipped."""
    found = [s.scale for s in list_shipped(folder) if s.variant == variant and name in (None, s.name)]
    return min((scale for scale in found if scale >= factor), default=max(found, default=2))
