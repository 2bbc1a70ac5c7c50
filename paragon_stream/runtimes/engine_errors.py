"""Maps exceptions of engine libraries to EngineError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from paragon_stream.errors import EngineError


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Raise any exception of the block as an EngineError with one line. Engine libraries raise many types."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise EngineError(f"{doing}: {reason[-1] if reason else type(error).__name__}") from error
