"""Shards: degraded versions of one picture each, made once, so that training never waits for an encoder.

A shard is one `.npz` per source picture, named after it, and a pure function of (picture, degradation,
seed): built in any order, by any number of threads, and again after an interruption, it comes out the
same.

    hr                       H×W×3 uint8
    rgb                      n×h×w×3 uint8: degraded stills of the whole picture
    y, u, v                  m×…    uint8: frames of clips, each seeing a window of the picture
    top, left                m      first HR row and column of each frame's window
    matrix, full, strength   m      meaning of the codes; strength of the compression
    soften                   m      how soft the truth is (`degradations.softened`)
"""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import InputError, OutputError, reason
from paragon_stream.frame import ColorRange, Matrix
from paragon_stream.train.data.degradations import ClipDegradation, Frame, StillDegradation
from paragon_stream.train.data.images import Source
from paragon_stream.wholefile import whole_file

logger = logging.getLogger(__name__)

REVISION = 4
"""Version of the degradations: cached shards of an earlier version are not used."""


@dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """The contents of every shard of a set. `window` is the side of clips' HR windows (less for small
    pictures)."""

    scale: int
    stills: int = 1
    clips: int = 0
    window: int = 384
    still: StillDegradation = field(default_factory=StillDegradation)
    clip: ClipDegradation = field(default_factory=ClipDegradation)
    seed: int = 0

    @property
    def digest(self) -> str:
        """Name of the folder of shards: each plan has its own."""
        facts = {"revision": REVISION, **asdict(self)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One shard in memory; arrays as in the module's docstring. `name` is the picture's, for messages."""

    hr: NDArray[np.uint8]
    rgb: NDArray[np.uint8]
    frames: tuple[Frame, ...]
    name: str = ""

    @property
    def least_side(self) -> int | None:
        """The shortest side of its degraded pictures and frames (LR pixels); None without any."""
        sides = [*self.rgb.shape[1:3]] if len(self.rgb) else []
        sides += [side for frame in self.frames[:1] for side in frame.planes[0].shape]
        return min(sides, default=None)


def build_shard(source: Source, plan: ShardPlan, target: Path) -> None:
    """Make one shard, unless it exists. Raises InputError, OutputError."""
    if target.exists():
        return
    picture = source.read()
    key = hashlib.sha256(f"{plan.digest}/{source.name}".encode()).digest()
    rng = np.random.default_rng(list(key))
    s = plan.scale
    stills = [plan.still.apply(picture, s, rng) for _ in range(plan.stills)]
    window = min(plan.window, *picture.shape[:2]) // (2 * s) * 2 * s
    frames = [f for _ in range(plan.clips) for f in plan.clip.apply(picture, s, window, rng)]
    arrays: dict[str, NDArray[np.generic]] = {"hr": picture}
    if stills:
        arrays["rgb"] = np.stack(stills)
    if frames:
        for index, name in enumerate("yuv"):
            arrays[name] = np.stack([f.planes[index] for f in frames])
        arrays["top"] = np.array([f.top for f in frames])
        arrays["left"] = np.array([f.left for f in frames])
        arrays["matrix"] = np.array([int(f.matrix) for f in frames])
        arrays["full"] = np.array([f.range is ColorRange.FULL for f in frames])
        arrays["strength"] = np.array([f.strength for f in frames], np.float32)
        arrays["soften"] = np.array([f.soften for f in frames])
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {reason(error)}") from error
    with whole_file(target) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_shard(path: Path) -> Shard:
    """Raises InputError."""
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        cause = f"shard {path} cannot be read: {reason(error)}"
        raise InputError(f"{cause}; delete it to have it made again") from error
    hr = arrays["hr"]
    frames = tuple(
        Frame(
            planes=(arrays["y"][i], arrays["u"][i], arrays["v"][i]),
            matrix=Matrix(int(arrays["matrix"][i])),
            range=ColorRange.FULL if arrays["full"][i] else ColorRange.LIMITED,
            top=int(arrays["top"][i]),
            left=int(arrays["left"][i]),
            strength=float(arrays["strength"][i]),
            soften=float(arrays["soften"][i]),
        )
        for i in range(len(arrays.get("y", ())))
    )
    return Shard(hr=hr, rgb=arrays.get("rgb", np.zeros((0, 1, 1, 3), np.uint8)), frames=frames)


def shards(
    sources: list[Source],
    plan: ShardPlan,
    cache: Path,
    *,
    threads: int = 1,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Iterator[Shard]:
    """The shards of all sources, from `cache` where they exist, else made.

    Unusable pictures are logged and left out; InputError if none is usable.
    """
    folder = cache / plan.digest
    # Threads are sufficient: hashes, codecs and array arithmetic release the GIL.
    with ThreadPoolExecutor(threads) as pool:
        digests = pool.map(_digest, sources)
        # Names alone are not enough: the pictures of many sets are called 0001.png, 0002.png …
        found = zip(sources, digests, strict=True)
        targets = {folder / f"{digest[:16]}.npz": source for source, digest in found if digest}
        jobs = [(source, plan, target) for target, source in targets.items() if not target.exists()]
        for done, _ in enumerate(pool.map(_try_to_build, jobs)):
            progress("making shards", done + 1, len(jobs))
    usable = [target for target in targets if target.exists()]
    if not usable:
        raise InputError(f"none of the {len(sources)} pictures is usable")
    for target in usable:
        yield replace(read_shard(target), name=targets[target].name)


def _digest(source: Source) -> str:
    """`Source.digest`; "" for a file that cannot be read, which is logged."""
    try:
        return source.digest()
    except InputError as error:
        logger.warning("left out: %s", error)
        return ""


def _try_to_build(job: tuple[Source, ShardPlan, Path]) -> None:
    try:
        build_shard(*job)
    except InputError as error:
        logger.warning("left out: %s", error)
