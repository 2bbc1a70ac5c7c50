"""The file of `--trace`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paragon_stream.errors import reason
from paragon_stream.pipeline.trace import Trace
from paragon_stream.render.upscalers import Upscalers

logger = logging.getLogger(__name__)


@contextmanager
def traced(path: str | Path | None, upscalers: Upscalers) -> Iterator[Trace | None]:
    """A trace that is written to `path` at the end, also of a render that fails; None without a path."""
    if path is None:
        yield None
        return
    trace = Trace()
    upscalers.trace(trace)
    try:
        yield trace
    finally:
        try:
            Path(path).write_text(trace.to_json(), encoding="utf-8")
        except OSError as error:
            logger.warning("the trace cannot be written to %s: %s", path, reason(error))
