"""Writes bytes and names to the disk, so that they survive a power failure."""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


def sync(path: Path) -> None:
    """Write the bytes of a file to the disk; a missing file is ignored. Raises OSError."""
    try:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    except FileNotFoundError:
        return


def sync_folder(path: Path) -> None:
    """Write the names in a folder to the disk, if the system supports it."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        logger.debug("no fsync of %s: %s", path, error)
