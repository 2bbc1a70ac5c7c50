"""The engine webgpu on a software Vulkan: samples against our fp32 result, failures, tiles, memory."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import make_clip
from places import PROGRAMS, REPOSITORY, SUPPORT

ICDS = sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))
"""Mesa's Vulkan for CPUs, lavapipe."""

pytestmark = [
    pytest.mark.skipif(not ICDS, reason="needs a software Vulkan: apt-get install mesa-vulkan-drivers"),
    pytest.mark.skipif(importlib.util.find_spec("wgpu") is None, reason="needs wgpu: pip install wgpu"),
    pytest.mark.timeout(300),
]


def environment(drivers: Sequence[Path] = ICDS[:1]) -> dict[str, str]:
    return {**os.environ, "VK_ICD_FILENAMES": os.pathsep.join(map(str, drivers))}


def lavapipe(task: str, *arguments: str, timeout: float = 280, drivers: Sequence[Path] = ICDS[:1]) -> Any:
    """The answer of a task of on_lavapipe.py."""
    program = PROGRAMS / "on_lavapipe.py"
    done = subprocess.run(
        [sys.executable, program, task, *arguments],
        env=environment(drivers), capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check(cases: list[str], decibels: float, codes: float = 1.0, clip: Path | None = None) -> None:
    """Against our fp32 result; of a frame of `clip`, or of a drawn one."""
    task = ["compare"] if clip is None else ["real", str(clip)]
    found = lavapipe(*task, *cases, timeout=280 * len(cases))
    assert [each["case"] for each in found] == cases
    assert [each for each in found if each["codes"] > codes or each["db"] < decibels] == []


def test_samples() -> None:
    """Odd sizes; 8 and more bits; planar, interleaved and packed; another depth than the source's."""
    check(
        [
            "video,2,yuv420p,71x55,auto",
            "video,2,p010le,38x22,auto",
            "video,2,rgb24,35x33,auto",
            "video,2,yuv420p,37x21,auto,yuv422p10le",
        ],
        68.0,
    )


FORMATS = [
    "yuv420p", "nv12", "yuv411p", "yuv440p", "yuv422p", "yuv444p", "gray", "rgb24", "rgb0", "gbrp",
    "yuv420p10le", "p010le", "yuv422p12le", "yuv444p10le", "gray16le", "gbrp12le", "yuv420p16le", "rgb48le",
    "yuva420p", "rgba64le",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("pixels", FORMATS)
def test_a_real_frame_of_every_format(pixels: str, shared: Path) -> None:
    case = f"video,2,{pixels},91x67,auto"
    check([case], 68.0, clip=shared / "media/h264_720p25_bbb_5s_aac51.mp4")


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p10le", "gbrp", "gray16le"])
def test_stream(pixels: str, shared: Path) -> None:
    """16-bit products would overflow without their limit."""
    case = f"video/stream,2,{pixels},61x47"
    clip = shared / "media/h264_720p25_bbb_5s_aac51.mp4"
    check([f"{case},auto"], 68.0, clip=clip)
    if pixels == "yuv420p":
        check([f"{case},fp32"], 78.0, clip=clip)
        check([f"{case},fp16"], 58.0, codes=2.0, clip=clip)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_other_scales() -> None:
    """Chroma that fits the network's cells, and chroma that is filtered out of whole detail."""
    check(
        [
            "fidelity,3,yuv444p,37x29,auto",
            "fidelity,3,yuv420p,37x29,auto",
            "fidelity,3,yuv422p10le,37x29,auto",
            "fidelity,4,yuv420p,37x29,auto",
            "fidelity,4,yuv410p,37x29,auto",
            "fidelity/stream,3,yuv420p,37x29,auto",
            "fidelity/stream,4,yuv420p,37x29,auto",
        ],
        68.0,
    )


@pytest.mark.slow
def test_other_sizes() -> None:
    """Reduced and enlarged, cropped, with bars; chroma on its own grid; packed."""
    check(
        [
            "video,2,yuv420p,72x56,auto,,1.5",
            "fidelity,3,yuv422p10le,72x56,auto,,2.4",
            "fidelity,2,rgb24,37x29,auto,,2.5",
            "video,2,nv12,72x56,auto,,128x128,pad",
            "video,2,yuv444p,72x56,auto,,128x128,crop",
            "video,2,rgba,36x28,auto,,64x64,pad",
        ],
        68.0,
    )


@pytest.mark.slow
def test_conversions() -> None:
    """Alpha that is kept, made and left out; another family."""
    check(
        [
            "video,2,rgba,35x33,auto,yuva444p10le",
            "video,2,yuv420p,37x29,auto,rgba",
            "video,2,rgba,35x33,auto,yuv420p",
        ],
        68.0,
    )


@pytest.mark.slow
def test_precisions() -> None:
    check(["video,2,yuv420p,70x54,fp32"], 78.0)
    check(["video,2,yuv420p,70x54,fp16"], 58.0, codes=2.0)


@pytest.mark.slow
def test_a_large_frame() -> None:
    check(["video,2,yuv420p,640x360,auto"], 68.0)


def test_the_device_alone() -> None:
    found = lavapipe("device")
    assert all(found["back"])
    refused = found["refused"]
    assert refused["too large"].startswith("DeviceMemoryError")
    assert refused["full"].startswith("DeviceMemoryError"), "frames are computed in tiles then"
    assert {"no memory", "graph", "not timed", "bad text", "no such GPU", "given back", "closed"} < set(
        refused
    )
    assert 0.05 <= found["seconds"] < 60  # of the GPU's clock
    assert "gpu:0" in refused["no such GPU"]
    assert found["submits"] == 1
    assert "PollThread" not in found["threads"]  # wgpu's own: it holds up other threads' submits
    assert found["adapters"]


def test_frames_in_flight() -> None:
    found = lavapipe("several")
    assert found["same"] and found["in_flight"] > 1 and found["reruns"] == 0


def test_a_lost_gpu_is_one_clear_error() -> None:
    messages = lavapipe("lost")["messages"]
    assert len(messages) == 2
    assert all(each.startswith("EngineError: the GPU was lost") for each in messages)


def test_two_gpus_and_one_that_fails(tmp_path: Path) -> None:
    """Vulkan's loader finds lavapipe twice where there are two files of it."""
    other = tmp_path / "other.json"
    other.write_text(ICDS[0].read_text())
    found = lavapipe("team", drivers=[ICDS[0], other])
    assert found["session"] == "DeviceTeam"
    assert [each["same"] for each in found["rounds"]] == [True, True]
    assert "gpu:0" in found["rounds"][0]["device"] and "gpu:1" in found["rounds"][0]["device"]
    assert "failed" not in found["rounds"][0]["device"] and "failed at frame" in found["rounds"][1]["device"]


@pytest.mark.slow
def test_auto_measures_it_and_says_so() -> None:
    """Against lavapipe the CPU's own engine wins; the video mode is not tried."""
    found = lavapipe("auto")
    assert "webgpu" not in found["engines"]
    said = " | ".join(found["said"])
    assert re.search(r"because gpu:0: llvmpipe.* computes [\d.]+ frames a second here and \w+ [\d.]+", said)
    assert "although there is a GPU: the engine webgpu does not support --temporal" in said


@pytest.mark.slow
@pytest.mark.parametrize("placement", [[], ["1.5"]])
def test_small_bindings_mean_tiles(placement: list[str]) -> None:
    found = lavapipe("tiles", *placement)
    assert found["session"] == "TiledSession" and found["codes"] <= 1


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_nothing_leaks() -> None:
    found = lavapipe("leak", "2000", "16x16", timeout=1400)
    assert found["after"] - found["before"] < 8 << 20


def test_a_file(tmp_path: Path) -> None:
    """The command, from container to container, against the same by openvino."""
    clip = make_clip(tmp_path / "in.mkv", width=64, height=48, frames=5)
    results = []
    for engine, more in (("webgpu", []), ("openvino", ["--precision", "fp32"])):
        path = tmp_path / f"{engine}.mkv"
        command = [sys.executable, "-m", "paragon_stream", str(clip), str(path), "--engine", engine]
        trace = ["--trace", str(tmp_path / "trace.json")] if engine == "webgpu" else []
        done = subprocess.run(
            [*command, *more, *trace, "--codec", "ffv1", "--strict"],
            env=environment(), capture_output=True, text=True, timeout=250,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with av.open(path) as container:
            results.append([frame.to_ndarray() for frame in container.decode(video=0)])
    assert len(results[0]) == len(results[1]) == 5
    for ours, theirs in zip(*results, strict=True):
        assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


@pytest.mark.slow
def test_the_filter_under_vspipe(tmp_path: Path) -> None:
    vs = pytest.importorskip("vapoursynth", reason="needs VapourSynth")
    home = tmp_path / "config"
    home.mkdir()
    script = tmp_path / "script.vpy"
    script.write_text(
        "import sys\n"
        f"sys.path[:0] = [{str(REPOSITORY)!r}, {str(SUPPORT)!r}]\n"
        "import vapoursynth as vs\n"
        "from filter_material import make_clip\n"
        "import paragon_stream.vapoursynth as paragon\n"
        "clip = make_clip(vs.YUV420P8, 64, 48, length=5)\n"
        "paragon.upscale(clip, engine='webgpu', strength=0.4).set_output(0)\n"
        "paragon.upscale(clip, engine='openvino', precision='fp32', strength=0.4).set_output(1)\n"
    )
    variables = {**environment(), "XDG_CONFIG_HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(
        [sys.executable, "-m", "vapoursynth", "config"], env=variables, check=True, capture_output=True
    )
    frames = []
    for output in ("0", "1"):
        command = [Path(vs.__file__).with_name("vspipe"), "-o", output, script, "-"]
        done = subprocess.run(command, env=variables, capture_output=True, timeout=280)
        assert done.returncode == 0, done.stderr.decode()
        frames.append(np.frombuffer(done.stdout, np.uint8).astype(int))
    assert frames[0].size == 5 * 128 * 96 * 3 // 2
    assert np.abs(frames[0] - frames[1]).max() <= 1


def test_doctor_lists_the_gpu() -> None:
    command = [sys.executable, "-m", "paragon_stream", "doctor"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0
    assert "gpu:0" in done.stdout and "for tests, not for use" in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--precision", "bf16"], "bf16"),
        (["--device", "cuda:0"], "gpu:N"),
        (["--device", "gpu:9"], "no gpu:9"),
        (["--temporal", "upstream"], "--temporal"),
        (["--device", "gpu:0,gpu:0"], "twice"),
    ],
)
def test_what_it_cannot_do_is_one_line(tmp_path: Path, options: list[str], words: str) -> None:
    clip = make_clip(tmp_path / "in.mkv", width=64, height=48, frames=2)
    command = [sys.executable, "-m", "paragon_stream", str(clip), str(tmp_path / "out.mkv")]
    done = subprocess.run(
        [*command, "--engine", "webgpu", *options],
        env=environment(), capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    lines = [line for line in done.stderr.splitlines() if line.startswith("paragon-stream:")]
    assert len(lines) == 1 and words in lines[0]
    assert not (tmp_path / "out.mkv").exists()
