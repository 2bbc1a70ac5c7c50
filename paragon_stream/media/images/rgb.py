"""A picture's pixels as RGB, for calibrating INT8."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from paragon_stream.errors import InputError, reason
from paragon_stream.media.ffmpeg.errors import AV_ERRORS


def read_calibration_picture(path: Path) -> NDArray[np.uint8]:
    """[rows, columns, 3] of the first picture in `path`. Raises InputError."""
    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            pixels = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    except StopIteration:
        raise InputError(f"{path} contains no picture") from None
    except (*AV_ERRORS, IndexError) as error:
        raise InputError(f"{path} is not a readable picture: {reason(error)}") from error
    return pixels
