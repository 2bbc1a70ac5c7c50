"""A fingerprint of a file's content, made without reading all of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from paragon_stream.errors import InputError, reason
from paragon_stream.media.source.opened import opened_bytes

_END = 1 << 20
"""Bytes at either end that are read: headers and indexes are there."""
_SAMPLES, _SAMPLE = 32, 1 << 16
"""Places between them, and the bytes that are read at each."""


def fingerprint(path: Path) -> str:
    """Size and digest of the file: its ends and samples between them, or all of it below 4 MiB.

    Files of the same size that agree in all these bytes have the same fingerprint. Raises InputError.
    """
    try:
        with opened_bytes(path) as (file, size):
            digest = hashlib.sha256()
            if size <= 2 * _END + _SAMPLES * _SAMPLE:
                pieces = [(0, size)]
            else:
                between = (size - 2 * _END - _SAMPLE) / (_SAMPLES - 1)
                pieces = [(0, _END), (size - _END, _END)]
                pieces += [(_END + round(n * between), _SAMPLE) for n in range(_SAMPLES)]
            for position, length in pieces:
                file.seek(position)
                digest.update(file.read(length))
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from error
    return f"{size} bytes, {digest.hexdigest()}"
