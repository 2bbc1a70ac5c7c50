"""A screen for tests: an Xvfb whose pixels are written directly, and that X11 clients see."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class Screen:
    """`pixels` is H×W×4, BGR and an unused byte; what is written there is on the screen."""

    def __init__(self, folder: Path, width: int, height: int) -> None:
        program = shutil.which("Xvfb")
        assert program is not None
        reading, writing = os.pipe()
        try:
            self.process = subprocess.Popen(
                [
                    *(program, "-displayfd", str(writing), "-noreset", "-nolisten", "tcp"),
                    *("-screen", "0", f"{width}x{height}x24", "-fbdir", str(folder)),
                ],
                pass_fds=[writing],
                stderr=subprocess.DEVNULL,
            )
            os.close(writing)
            with os.fdopen(reading, "r") as answer:
                self.display = ":" + answer.readline().strip()
        except BaseException:
            self.close()
            raise
        # The file is an X window dump: a header of big-endian words, a colour map, the pixels.
        path = folder / "Xvfb_screen0"
        header = np.fromfile(path, ">u4", 25)
        start, line = int(header[0]) + 12 * int(header[19]), int(header[12])
        whole = np.memmap(path, np.uint8, "r+", offset=start, shape=(height, line // 4, 4))
        self.pixels: NDArray[np.uint8] = whole[:, :width]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
