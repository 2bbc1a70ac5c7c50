"""through_placebo.py SHADER IN.npy OUT.npy SCALE: three 16-bit planes, 4:4:4, through vs-placebo."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import vapoursynth as vs

BT709 = 2
"""Numbers of libplacebo, which differ from H.273's."""


def main(shader: str, came: str, went: str, scale: int) -> None:
    planes = np.load(came)
    _, height, width = planes.shape
    blank = vs.core.std.BlankClip(width=width, height=height, format=vs.YUV444P16, length=1)

    def paint(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for index, plane in enumerate(planes):
            np.copyto(np.asarray(frame[index]), plane)
        return frame

    clip = blank.std.ModifyFrame(blank, paint).placebo.Shader(
        shader_s=Path(shader).read_text(),
        width=scale * width,
        height=scale * height,
        matrix=BT709,
        linearize=0,
        sigmoidize=0,
        filter="triangle",
    )
    with clip.get_frame(0) as frame:
        np.save(went, np.stack([np.asarray(frame[index]) for index in range(3)]))


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
