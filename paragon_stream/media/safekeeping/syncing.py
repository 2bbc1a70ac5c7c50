"""Having bytes and names on the disk: what a power failure leaves."""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


def sync(path: Path) -> None:
    """Have the bytes of a file on the disk; a file that is gone is no matter. Raises OSError."""
    try:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    except FileNotFoundError:
        return


def sync_folder(path: Path) -> None:
    """Have the names in a folder on the disk, where the system can do that."""
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
