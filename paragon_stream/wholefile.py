"""Files that are whole or not there: written under a passing name beside the final one, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from paragon_stream.errors import OutputError


@contextmanager
def whole_file(path: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A file to write to, which gets the name `path` when the block ends and vanishes if the block fails.

    What stood under the name is replaced in one step; with `overwrite` False it stays and is an error.
    Raises OutputError for that and for every OSError, those of the block included (a full disk).
    """
    passing = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            with passing.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if path.exists() and not overwrite:
                raise OutputError(f"{path} exists already: use --overwrite to replace it")
            passing.replace(path)
        finally:
            passing.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
