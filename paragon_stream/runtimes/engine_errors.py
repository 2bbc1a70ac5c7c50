"""Foreign exceptions as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from paragon_stream.errors import EngineError


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Whatever an engine's library raises (all sorts of RuntimeError) as an EngineError of one line."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise EngineError(f"{doing}: {reason[-1] if reason else type(error).__name__}") from error
