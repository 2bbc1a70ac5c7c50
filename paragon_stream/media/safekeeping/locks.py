"""Locks on files, which end with the process that has them."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import BinaryIO

from paragon_stream.errors import reason

logger = logging.getLogger(__name__)


def lock(handle: BinaryIO) -> bool:
    """Take an exclusive lock that ends with the process; False if another process has it.

    On file systems without locks the run continues without one, with a note in the log.
    """
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        logger.warning("no lock on %s (%s): do not start a second run on it", handle.name, reason(error))
    return True


def still_there(handle: BinaryIO, path: Path) -> bool:
    """Whether the locked file is still at `path`: its owner may have just removed it."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except OSError:
        return False
