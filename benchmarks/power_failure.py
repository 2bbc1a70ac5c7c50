"""A power failure, simulated: of every file only what was synced is left, and perhaps zeros behind it."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path


def keep_synced(folder: Path) -> None:
    """From now on this process copies every file to `folder` when it syncs it."""
    fsync = os.fsync

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            copy = folder / str(os.fstat(descriptor).st_ino)  # whatever its name will be
            shutil.copy(path, copy.with_suffix(".new"))
            copy.with_suffix(".new").replace(copy)

    os.fsync = synced


def lose_unsynced(folder: Path, synced: Path, chance: random.Random) -> None:
    """Leave of the files in `folder` what was synced; behind it nothing, or bytes that were never written."""
    for path in [each for each in folder.rglob("*") if each.is_file() and synced not in each.parents]:
        if path.name in ("log", "lock"):
            continue
        copy, size = synced / str(path.stat().st_ino), path.stat().st_size
        kept = copy.read_bytes() if copy.exists() else b""
        lost = max(0, size - len(kept))
        path.write_bytes(kept + (bytes(lost) if chance.random() < 0.5 else b""))
