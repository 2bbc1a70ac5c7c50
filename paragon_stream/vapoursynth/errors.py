"""Errors of this project as errors of VapourSynth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import vapoursynth as vs

from paragon_stream.errors import ParagonError


@contextmanager
def errors_as_vs() -> Iterator[None]:
    """Raise a ParagonError in the block as vs.Error, with the filter's name."""
    try:
        yield
    except ParagonError as error:
        raise vs.Error(f"paragon.upscale: {error}") from None
