"""What the compiler makes of the CUDA kernels, for every architecture. Needs no GPU.

    pip install 'paragon-stream[cuda]' nvidia-cuda-nvdisasm
    scripts/python benchmarks/gpu/kernels.py

Written to `benchmarks/results/gpu_kernels.json`: registers, spills, shared memory, warps that a
multiprocessor holds; with nvdisasm (the package, or on the PATH) also the instructions of each inner loop,
and from these and the grid the warp instructions of a frame, 1080p → 2160p: work, no measurement of time.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "benchmarks")]

from common import machine, write_results  # noqa: E402

from paragon_stream.checkpoint import load_weights  # noqa: E402
from paragon_stream.frame import ColorSpec, FrameFormat, pixel_format, resolve_color  # noqa: E402
from paragon_stream.framejob import FrameJob, build_job  # noqa: E402
from paragon_stream.framejob.cuda_program import CudaProgram, Int, Launch  # noqa: E402
from paragon_stream.framejob.emit_cuda import emit_cuda  # noqa: E402
from paragon_stream.runtimes.nvrtc import compile_source  # noqa: E402

ARCHITECTURES = {
    "sm_75": (64, 64, 1024), "sm_80": (164, 163, 2048), "sm_86": (100, 99, 1536), "sm_89": (100, 99, 1536),
    "sm_90": (228, 227, 2048), "sm_120": (100, 99, 1536),
}  # fmt: skip
"""KiB of shared memory of a multiprocessor and of a block at most, and threads that it holds."""
FORMATS = ("p010le", "yuv422p", "yuv444p", "rgb24", "gray")  # beside yuv420p, for one architecture
WIDTH, HEIGHT = 1920, 1080
MULTIPROCESSORS = 132  # of an H100 or H200: decides how rows are dealt out


def main() -> None:
    head = machine()
    program = make_program("yuv420p")
    results: dict[str, Any] = {"size": [WIDTH, HEIGHT], "scale": 2, "multiprocessors": MULTIPROCESSORS}
    results["yuv420p"] = {each: facts(program, each) for each in ARCHITECTURES}
    for name in FORMATS:
        results[name] = {"sm_90": facts(make_program(name), "sm_90")}
    print(write_results("gpu_kernels", head, results))


def make_program(name: str) -> CudaProgram:
    layout = pixel_format(name)
    color = resolve_color(ColorSpec(), format=layout, width=WIDTH, height=HEIGHT)
    source = FrameFormat(width=WIDTH, height=HEIGHT, pixel_format=layout, color=color)
    job: FrameJob = build_job(load_weights(None, variant="realtime", scale=2), source)
    return emit_cuda(job, multiprocessors=MULTIPROCESSORS)


def facts(program: CudaProgram, architecture: str) -> dict[str, Any]:
    """Of both kernels."""
    code, log = compile_source(program.source, architecture)
    loops = disassembled_loops(code)
    found: dict[str, Any] = {"cubin_bytes": len(code)}
    for launch in program.launches:
        told = log[log.index(f"entry function '{launch.kernel}'") :]
        registers = int(re.search(r"Used (\d+) registers", told)[1])  # type: ignore[index]
        spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", told)
        found[launch.kernel] = {
            "registers": registers,
            "spill_bytes": sum(int(n) for n in spills.groups()) if spills else None,
            "shared_bytes": launch.shared_bytes,
            "warps_per_multiprocessor": resident_warps(launch, registers, architecture),
        }
        if loops:
            found[launch.kernel]["loops"] = loops[launch.kernel]
            found[launch.kernel]["warp_instructions_per_frame"] = instructions(launch, loops[launch.kernel])
    return found


def resident_warps(launch: Launch, registers: int, architecture: str) -> int:
    """Warps of one kernel that fit a multiprocessor: registers (granted by 256 a warp), memory, threads."""
    shared, _, threads = ARCHITECTURES[architecture]
    warps = launch.block[0] // 32
    by_registers = 65536 // (-(-registers * 32 // 256) * 256 * warps)
    by_memory = shared * 1024 // (launch.shared_bytes + 1024)  # of which the system takes 1 KiB a block
    return min(by_registers, max(by_memory, 1), threads // launch.block[0]) * warps


def disassembled_loops(code: bytes) -> dict[str, list[dict[str, int]]]:
    """By kernel: the instructions of each inner loop that has matrix products. Empty without nvdisasm."""
    tool = nvdisasm()
    if tool is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.cubin"
        path.write_bytes(code)
        text = subprocess.run([tool, str(path)], capture_output=True, text=True, check=True).stdout
    kernels: dict[str, list[str]] = {}
    for line in text.splitlines():
        if found := re.match(r"\s*\.section\s+\.text\.(\w+)", line):
            current = kernels.setdefault(found[1], [])
        elif kernels and re.match(r"\s*(\.L_|/\*[0-9a-f]{4,}\*/\s+[A-Z@{])", line):
            current.append(re.sub(r"/\*.*?\*/", "", line).strip(" \t{;"))
    return {name: inner_loops(lines) for name, lines in kernels.items()}


def inner_loops(lines: list[str]) -> list[dict[str, int]]:
    places = {line.rstrip(":"): index for index, line in enumerate(lines) if line.startswith(".L_")}
    loops = []
    for index, line in enumerate(lines):
        target = re.search(r"BRA.*?\(?(\.L_\w+)", line)
        if target is None or not (start := places.get(target[1], index)) < index:
            continue
        inside = [each for each in lines[start : index + 1] if each and not each.startswith(".L_")]
        counts = Counter(re.sub(r"^@!?U?P\w+\s+", "", each).split()[0].split(".")[0] for each in inside)
        if counts["HMMA"]:
            loops.append({"all": len(inside), **dict(counts.most_common(16))})
    return loops


def nvdisasm() -> str | None:
    spec = importlib.util.find_spec("nvidia")
    for root in spec.submodule_search_locations or () if spec else ():
        for found in Path(root).glob("*/bin/nvdisasm*"):
            return str(found)
    return shutil.which("nvdisasm")


def instructions(launch: Launch, loops: list[dict[str, int]]) -> int:
    """Of the inner loops, of all warps, in a frame."""
    blocks, warps = int(np.prod(launch.grid)), launch.block[0] // 32
    sizes = [each.value for each in launch.args if isinstance(each, Int)]
    if launch.kernel == "body":
        return blocks * warps * (sizes[-1] + 6) * max(loop["all"] for loop in loops)
    # conv_mid's loops load from global memory (18 products a row), the tail's from shared memory. The last
    # rows of cells may be fewer: an upper bound.
    mid = min(loop["all"] * 18 / loop["HMMA"] for loop in loops if "LDSM" not in loop)
    tail = max(loop["all"] for loop in loops if "LDSM" in loop)
    return round(blocks * warps * (22 * mid + 20 * tail))


if __name__ == "__main__":
    main()
