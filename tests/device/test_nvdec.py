"""Decoding on a GPU: FFmpeg's own NVDEC code over a library without a GPU; see nvdec_on_stub.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import make_clip

from paragon_stream.media.measure.roundtrip import QUIET_X265

VP9 = {"lag-in-frames": "0", "auto-alt-ref": "0", "qmin": "30", "qmax": "30", "b": "500000"}
X264 = {"bf": "0", "qp": "26", "g": "6", "x264-params": "aq-mode=0:ipratio=1"}
X265 = {"x265-params": f"{QUIET_X265}:bframes=0:qp=28:aq-mode=0:cutree=0:keyint=6"}
SVT = {"preset": "10", "svtav1-params": "lp=1"}
CLIPS = {
    "av1": ("mkv", "libsvtav1", "yuv420p", SVT),
    "vp9": ("webm", "libvpx-vp9", "yuv420p", VP9),
    "h264 in mp4": ("mp4", "libx264", "yuv420p", X264),
    "hevc, 10 bits": ("mkv", "libx265", "yuv420p10le", X265),
}


def clip_of(name: str, folder: Path) -> Path:
    suffix, codec, pix_fmt, options = CLIPS[name]
    return make_clip(
        folder / f"{codec}.{suffix}",
        codec=codec,
        pix_fmt=pix_fmt,
        options=options,
        width=128,
        height=64,
        frames=12,
    )


def test_all_but_the_hardware(on_stub, tmp_path: Path) -> None:
    """Frames, their way into a session, strengths, one that fails, one that is wrong: see the script."""
    on_stub("nvdec_on_stub.py", *(clip_of(name, tmp_path) for name in CLIPS))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CLIPS if name != "av1"])
def test_the_cpu_takes_over_wherever_the_gpu_fails(on_stub, tmp_path: Path, name: str) -> None:
    on_stub("nvdec_on_stub.py", "everywhere", clip_of(name, tmp_path))
