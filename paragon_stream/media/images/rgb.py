"""A picture's pixels as RGB, for measurements and training."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import InputError


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """[rows, columns, 3] of the first picture in `path`. Raises InputError."""
    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            pixels = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    except (av.FFmpegError, OSError, StopIteration, IndexError, ValueError) as error:
        raise InputError(f"{path} is not a readable picture: {error}") from error
    return pixels
