"""Whole renders on a GPU: the pipeline, NVDEC against the CPU's decoder, NVENC."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip

from paragon_stream import upscale
from paragon_stream.device import DeviceInfo
from paragon_stream.media.decode.abilities import decodes_on_gpu
from paragon_stream.media.encode.abilities import encodes

pytestmark = pytest.mark.gpu

CODECS = {
    "h264": ("libx264", "yuv420p", {}),
    "hevc": ("libx265", "yuv420p", {"x265-params": "log-level=none"}),
    "hevc 10 bits": ("libx265", "yuv420p10le", {"x265-params": "log-level=none"}),
    "vp9": ("libvpx-vp9", "yuv420p", {}),
    "av1": ("libsvtav1", "yuv420p", {"preset": "10", "svtav1-params": "lp=1"}),
}


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


def psnr(one: np.ndarray, other: np.ndarray, peak: int) -> float:
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return 10 * np.log10(peak**2 / max(error, 1e-12))


def render(clip: Path, out: Path, **options: object):
    return upscale(clip, out, codec="ffv1", overwrite=True, **options)


@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_a_render_is_that_of_the_cpu(tmp_path: Path, variant: str) -> None:
    clip = make_clip(tmp_path / "clip.mkv", width=334, height=186, frames=30, audio="aac")
    gpu = render(clip, tmp_path / "gpu.mkv", variant=variant, engine="cuda", hwaccel="none")
    render(clip, tmp_path / "cpu.mkv", variant=variant, device="cpu", precision="fp32")
    assert gpu.frames_out == 30 and gpu.reruns == 0
    pairs = zip(pictures(tmp_path / "gpu.mkv"), pictures(tmp_path / "cpu.mkv"), strict=True)
    assert min(psnr(a, b, 255) for a, b in pairs) >= 50


@pytest.mark.parametrize("name", CODECS)
def test_the_gpus_decoder_gives_the_cpus_samples(gpu: DeviceInfo, tmp_path: Path, name: str) -> None:
    codec, pix_fmt, settings = CODECS[name]
    able = decodes_on_gpu(gpu.ordinal)
    if name.split()[0] not in able:
        pytest.skip(f"{gpu} decodes {', '.join(able) or 'nothing'}")
    clip = make_clip(
        tmp_path / "clip.mkv",
        width=320,
        height=192,
        frames=40,
        codec=codec,
        pix_fmt=pix_fmt,
        options=settings,
    )
    reports = {
        hwaccel: render(clip, tmp_path / f"{hwaccel}.mkv", engine="cuda", hwaccel=hwaccel)
        for hwaccel in ("cuda", "none")
    }
    assert f"cuda:{gpu.ordinal}" in reports["cuda"].decoder and "CPU" in reports["none"].decoder
    assert reports["cuda"].frames_out == reports["none"].frames_out == 40
    # The decoded frames are semi-planar: another set of kernels, whose sums may round a sample the other way.
    peak = 1023 if "10" in pix_fmt else 255
    pairs = zip(pictures(tmp_path / "cuda.mkv"), pictures(tmp_path / "none.mkv"), strict=True)
    assert min(psnr(a, b, peak) for a, b in pairs) >= 60


@pytest.mark.parametrize("codec", ["h264_nvenc", "hevc_nvenc", "av1_nvenc"])
def test_the_gpus_encoder_takes_frames_where_they_are(gpu: DeviceInfo, tmp_path: Path, codec: str) -> None:
    if not encodes(codec):
        pytest.skip(f"{gpu} has no {codec}")
    clip = make_clip(tmp_path / "clip.mkv", width=320, height=192, frames=40)
    report = upscale(clip, tmp_path / "out.mkv", engine="cuda", codec=codec, overwrite=True)
    assert report.frames_out == 40 and f"cuda:{gpu.ordinal}" in report.results_in
    render(clip, tmp_path / "lossless.mkv", engine="cuda")
    pairs = zip(pictures(tmp_path / "out.mkv"), pictures(tmp_path / "lossless.mkv"), strict=True)
    assert min(psnr(a, b, 255) for a, b in pairs) >= 30
