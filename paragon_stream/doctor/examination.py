"""Lists what this machine has, what is missing, and the command that installs it.

Missing parts are not errors, and no check raises.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from paragon_stream.bench.engine import rate
from paragon_stream.device import DeviceInfo
from paragon_stream.device.discovery import OLDEST, find_adapters, find_gpus
from paragon_stream.doctor.self_test import check_engine
from paragon_stream.errors import ParagonError, install_command
from paragon_stream.media.decode.abilities import decodes_on_gpu
from paragon_stream.media.encode.abilities import GPU_ENCODERS, encodes
from paragon_stream.media.ffmpeg.versions import versions
from paragon_stream.native.library import kernels, missing
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.runtimes import installed_engines
from paragon_stream.runtimes.cpu import cores, free_memory
from paragon_stream.runtimes.disk_cache import default_cache_folder

logger = logging.getLogger(__name__)

_CUDA = 13
"""The major version of CUDA of the packages for the engine cuda."""

TEST = "test "
"""The beginning of the topics of tests."""
_SPEEDS = {"SD": (720, 540), "HD": (960, 540), "4K": (1920, 1080)}
"""Sizes of the sources that are measured; the results have twice the sides."""
_SECONDS = 1.5
"""Approximate duration of each measurement."""
_LEAST_MEMORY, _LEAST_DISK = 2 << 30, 10 << 30
_FEATURES = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "avx_vnni"),
    *("asimd", "asimddp", "bf16", "i8mm", "sve"),
)
"""Features of processors, by Linux's names."""

_CUDA_PACKAGES = "cuda-bindings nvidia-cuda-nvrtc"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One result. `remedy` is a command or an instruction, for missing parts that can be installed."""

    topic: str
    ok: bool
    what: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """All findings, the most frequently needed first, each as soon as it is known. Never raises."""
    yield from _examined("machine", _machine)
    gpus: list[DeviceInfo] = []

    def gpu() -> Iterator[Finding]:
        found, reason = find_gpus()
        gpus.extend(found)
        yield from _gpu(found, reason)

    yield from _examined("GPU", gpu)
    yield from _examined("WebGPU", _webgpu)
    yield from _examined("TensorRT", lambda: _tensorrt(bool(gpus)))
    yield from _examined("FFmpeg", lambda: _ffmpeg(gpus))
    yield from _examined("CPU kernels", _cpu_kernels)
    yield from _examined("OpenVINO", _openvino)
    yield from _examined("CPU engines", _cpu_engines)
    yield from _examined("playback", _playback)


def measure() -> Iterator[Finding]:
    """A self-test of every engine, then what speed to expect: some ten seconds. Never raises."""
    for engine in installed_engines():
        yield from _examined(f"{TEST}{engine}", partial(_tested, engine))
    for name in _SPEEDS:
        yield from _examined(f"speed {name}", partial(_speed, name))


def _examined(topic: str, part: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of `part`. If it fails, that is a finding: damaged machines have to be examined, too."""
    try:
        yield from part()
    except Exception as error:
        logger.info("while examining %s", topic, exc_info=error)
        what = str(error) if isinstance(error, ParagonError) else f"{type(error).__name__}: {error}"
        yield Finding(topic=topic, ok=False, what=f"cannot be examined: {' '.join(what.split())}")


def _tested(engine: str) -> Iterator[Finding]:
    test = check_engine(engine)
    what = test.error or f"right, at most {test.largest:.0f} codes off; {test.precision}, {test.device}"
    remedy = f"--engine auto leaves {engine} out where it can; please report this" if test.error else ""
    yield Finding(topic=f"{TEST}{engine}", ok=not test.error, what=what, remedy=remedy)


def _speed(name: str) -> Iterator[Finding]:
    width, height = _SPEEDS[name]
    found = rate(UpscalerOptions(), width=width, height=height, seconds=_SECONDS)
    what = f"{found.fps:.1f} fps, {width}x{height} → {found.target.split()[0]}; {found.engine}"
    yield Finding(topic=f"speed {name}", ok=True, what=f"{what}, without decoding and encoding")


def _machine() -> Iterator[Finding]:
    what = f"Python {platform.python_version()}, {platform.platform()}"
    yield Finding(topic="machine", ok=True, what=what)
    name, features = _processor()
    extensions = f"; {', '.join(features)}" if features else ""
    yield Finding(topic="processor", ok=True, what=f"{name}, {cores()} usable{extensions}")
    memory = free_memory()
    if memory is not None:
        enough = memory >= _LEAST_MEMORY
        yield Finding(
            topic="memory",
            ok=enough,
            what=f"{memory / 1e9:.1f} GB available",
            remedy="" if enough else "4K needs about 2 GB: close programs, or render smaller sources",
        )
    yield from _examined("disk", lambda: _disk("here", Path.cwd()))
    yield from _examined("disk", lambda: _disk("temporary files", Path(tempfile.gettempdir())))
    yield _cache()


def _disk(place: str, folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    enough = free >= _LEAST_DISK
    yield Finding(
        topic="disk",
        ok=enough,
        what=f"{free / 1e9:.1f} GB free {place}: {folder}",
        remedy="" if enough else "make room: a film of two hours in 4K takes 10 to 60 GB",
    )


def _cache() -> Finding:
    """Compiled engines and kernels are stored; without that every run compiles them again."""
    folder = default_cache_folder("kernels").parent
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    enough = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return Finding(
        topic="cache",
        ok=enough,
        what=str(folder) if enough else f"{folder} cannot be written: engines are compiled in every run",
        remedy="" if enough else f"make {there} writable, or set HOME or XDG_CACHE_HOME",
    )


def _processor() -> tuple[str, list[str]]:
    """The processor's name, and the names of its features that engines use; empty if they are not known."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine(), []
    facts = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())
    }
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    return facts.get("model name") or platform.machine(), [each for each in _FEATURES if each in flags]


def _gpu(gpus: list[DeviceInfo], reason: str) -> Iterator[Finding]:
    if gpus:
        for gpu in gpus:
            enough = gpu.sm >= OLDEST
            note = "" if enough else "; too old: compute capability 7.5 is needed"
            yield Finding(topic="GPU", ok=enough, what=f"{gpu}{note}")
        if sum(gpu.sm >= OLDEST for gpu in gpus) > 1:
            yield Finding(
                topic="GPUs", ok=True, what="--device cuda:all distributes the frames to all of them"
            )
        version = gpus[0].driver
        is_new = int(version.split(".")[0]) >= _CUDA
        note = "" if is_new else f", which is older than the compiler's {_CUDA}"
        remedy = "" if is_new else "update the display driver to 580 or newer"
        yield Finding(topic="driver", ok=is_new, what=f"CUDA {version}{note}", remedy=remedy)
    elif "cuda-bindings" in reason:
        yield Finding(
            topic="GPU",
            ok=False,
            what=f"cannot be queried: {reason}",
            remedy=install_command(_CUDA_PACKAGES),
        )
    else:
        yield Finding(
            topic="GPU",
            ok=False,
            what=reason,
            remedy="with an NVIDIA GPU: install its display driver (https://www.nvidia.com/drivers)",
        )
    yield _package("engine cuda", "nvidia-cuda-nvrtc", _CUDA_PACKAGES, needed="compiles its kernels")


def _webgpu() -> Iterator[Finding]:
    adapters, reason = find_adapters()
    for each in adapters:
        note = "" if each.is_hardware else "; for tests, not for use"
        yield Finding(topic="WebGPU", ok=each.is_hardware, what=f"{each}{note}")
    if not adapters:
        wanted = "not installed" in reason
        remedy = (
            install_command("'wgpu>=0.32,<0.33'") if wanted else "install the GPU's driver, with Vulkan in it"
        )
        yield Finding(topic="WebGPU", ok=False, what=f"GPUs of any brand: {reason}", remedy=remedy)


def _tensorrt(has_gpu: bool) -> Iterator[Finding]:
    useful = "" if has_gpu else " (of use with a GPU only)"
    yield _package("tensorrt-rtx", "tensorrt-rtx", "tensorrt-rtx", needed=f"an engine for RTX cards{useful}")
    yield _package("tensorrt", "tensorrt", "tensorrt", needed=f"an engine for all NVIDIA GPUs{useful}")


def _ffmpeg(gpus: list[DeviceInfo]) -> Iterator[Finding]:
    found = versions()
    libraries = ", ".join(f"{name} {version}" for name, version in found.items() if name.startswith("lib"))
    yield Finding(topic="FFmpeg", ok=True, what=f"{found['FFmpeg']} in PyAV {found['PyAV']} ({libraries})")
    missing = "this GPU has none, or its driver is too old" if gpus else "needs an NVIDIA GPU"
    encoders = [name for name in GPU_ENCODERS if encodes(name)]
    what = f"{', '.join(encoders)} (--codec nvenc)" if encoders else f"no encoders: {missing}"
    yield Finding(topic="NVENC", ok=bool(encoders), what=what)
    each = {f"cuda:{gpu.ordinal}: ": decodes_on_gpu(gpu.ordinal) for gpu in gpus} or {"": []}
    for place, decoders in each.items():
        what = f"{', '.join(decoders)} (--hwaccel)" if decoders else f"no decoders: {missing}"
        yield Finding(topic="NVDEC", ok=bool(decoders), what=place + what)


def _cpu_kernels() -> Iterator[Finding]:
    reason = missing()
    forms = "" if reason else ", ".join(each.form.name for each in kernels())
    yield Finding(
        topic="CPU kernels",
        ok=not reason,
        what=f"engine native: {forms}" if forms else f"{reason}; the engine openvino works, but slower",
        remedy=f"{sys.executable or 'python'} -m paragon_stream.native.build" if "built" in reason else "",
    )


def _openvino() -> Iterator[Finding]:
    try:
        from paragon_stream.runtimes.openvino import devices

        found = ", ".join(f"{name} ({full})" for name, full in devices().items())
        yield Finding(topic="OpenVINO", ok=True, what=f"{_version('openvino')}: {found}")
    except (ParagonError, ImportError) as error:
        yield Finding(topic="OpenVINO", ok=False, what=str(error), remedy=install_command("openvino"))


def _cpu_engines() -> Iterator[Finding]:
    yield _package("ONNX Runtime", "onnxruntime", "onnxruntime", needed="another engine for CPUs")
    yield _package("torch", "torch", "torch", needed="training, and on a GPU what cuda lacks")


def _playback() -> Iterator[Finding]:
    yield _package("VapourSynth", "vapoursynth", "vapoursynth", needed="the filter")
    for program, needed, remedy in (
        ("vspipe", "scripts on the command line", install_command("vapoursynth")),
        ("mpv", "playback; with VapourSynth inside, see docs/mpv.md", "install mpv from your system"),
    ):
        path, here = shutil.which(program), Path(sys.executable).parent
        beside = None if path else shutil.which(program, path=str(here))
        yield Finding(
            topic=program,
            ok=path is not None,
            what=path or (f"{beside}, which PATH does not include" if beside else f"not found: {needed}"),
            remedy="" if path else f"add {here} to PATH" if beside else remedy,
        )


def _package(topic: str, distribution: str, install: str, *, needed: str) -> Finding:
    version = _version(distribution)
    if version:
        return Finding(topic=topic, ok=True, what=f"{distribution} {version}")
    return Finding(
        topic=topic,
        ok=False,
        what=f"{distribution} is not installed: {needed}",
        remedy=install_command(install),
    )


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
