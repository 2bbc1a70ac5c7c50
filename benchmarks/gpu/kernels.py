"""Counts instructions and registers of the compiled CUDA kernels, for every architecture. Needs no GPU.

    pip install '.[cuda]' nvidia-cuda-nvdisasm
    scripts/python benchmarks/gpu/kernels.py

Written to `benchmarks/results/gpu_kernels.json`: registers, spills, shared memory, warps that a
multiprocessor holds; with nvdisasm (the package, or on the PATH) also the instructions of each inner loop,
and from these and the grid the warp instructions of a frame of 1080p: work, no measurement of time. yuv420p
×2 is compiled for all architectures, other formats at ×2 for one, ×3 and ×4 for all.
"""

from __future__ import annotations

import importlib.util
import math
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
from paragon_stream.frame import FrameFormat  # noqa: E402
from paragon_stream.framejob import FrameJob, build_job  # noqa: E402
from paragon_stream.framejob.cuda.emit import emit_cuda  # noqa: E402
from paragon_stream.framejob.cuda.program import CudaProgram, Int, Launch  # noqa: E402
from paragon_stream.runtimes.gpu.nvrtc import compile_source  # noqa: E402

ARCHITECTURES = {
    "sm_75": (64, 64, 1024), "sm_80": (164, 163, 2048), "sm_86": (100, 99, 1536), "sm_89": (100, 99, 1536),
    "sm_90": (228, 227, 2048), "sm_120": (100, 99, 1536),
}  # fmt: skip
"""KiB of shared memory of a multiprocessor and of a block at most, and threads that it holds."""
FORMATS = ("p010le", "yuv422p", "yuv444p", "rgb24", "gray")  # beside yuv420p, for one architecture
LARGER = (
    ("yuv444p", 3), ("rgb24", 3), ("gray", 3),
    ("yuv420p", 4), ("yuv422p", 4), ("yuv444p", 4), ("rgb24", 4), ("gray", 4),
)  # fmt: skip
WIDTH, HEIGHT = 1920, 1080
MULTIPROCESSORS = 132  # of an H100 or H200: decides how rows are dealt out


def main() -> None:
    head = machine()
    results: dict[str, Any] = {"size": [WIDTH, HEIGHT], "scale": 2, "multiprocessors": MULTIPROCESSORS}
    for variant in ("realtime", "stream"):
        program = make_program(variant, "yuv420p")
        found: dict[str, Any] = {"yuv420p": {each: facts(program, each) for each in ARCHITECTURES}}
        for name in FORMATS:
            found[name] = {"sm_90": facts(make_program(variant, name), "sm_90")}
        for name, scale in LARGER:
            enlarged = make_program(variant, name, scale)
            found[f"{name} x{scale}"] = {"passes": passes(enlarged)} | {
                each: brief(facts(enlarged, each)) for each in ARCHITECTURES
            }
        results[variant] = found
    print(write_results("gpu_kernels", head, results))


def make_program(variant: str, name: str, scale: int = 2) -> CudaProgram:
    source = FrameFormat.of(name, WIDTH, HEIGHT)
    job: FrameJob = build_job(load_weights(None, variant=variant, scale=scale), source)
    return emit_cuda(job, multiprocessors=MULTIPROCESSORS)


def facts(program: CudaProgram, architecture: str) -> dict[str, Any]:
    """The figures of all kernels."""
    code, log = compile_source(program.source, architecture)
    loops = disassembled_loops(code)
    found: dict[str, Any] = {"cubin_bytes": len(code)}
    for launch in {each.kernel: each for each in program.launches}.values():
        usage = log[log.index(f"entry function '{launch.kernel}'") :]
        registers = int(re.search(r"Used (\d+) registers", usage)[1])  # type: ignore[index]
        spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", usage)
        found[launch.kernel] = {
            "registers": registers,
            "spill_bytes": sum(int(n) for n in spills.groups()) if spills else None,
            "shared_bytes": launch.shared_bytes,
            "warps_per_multiprocessor": resident_warps(launch, registers, architecture),
        }
        if loops:
            own = loops[launch.kernel]
            rows = row_instructions(program, launch.kernel, own, products=2 if architecture == "sm_75" else 1)
            found[launch.kernel] |= {
                "loops": own,
                "row_instructions": {name: round(count) for name, count in rows.items()},
                "warp_instructions_per_frame": instructions(program, launch.kernel, rows),
            }
    return found


def brief(found: dict[str, Any]) -> dict[str, Any]:
    """Without the loops' instructions, by kind."""
    return {
        name: {key: fact for key, fact in each.items() if key != "loops"} if isinstance(each, dict) else each
        for name, each in found.items()
    }


def resident_warps(launch: Launch, registers: int, architecture: str) -> int:
    """Warps of one kernel that fit a multiprocessor: registers (granted by 256 a warp), memory, threads."""
    shared, _, threads = ARCHITECTURES[architecture]
    warps = launch.block[0] // 32
    by_registers = 65536 // (-(-registers * 32 // 256) * 256 * warps)
    by_memory = shared * 1024 // (launch.shared_bytes + 1024)  # of which the system takes 1 KiB a block
    return min(by_registers, max(by_memory, 1), threads // launch.block[0]) * warps


def disassembled_loops(code: bytes) -> dict[str, list[dict[str, int]]]:
    """By kernel: the instructions of each loop over halves or matrices; empty without nvdisasm."""
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
        if counts["HMMA"] or counts["HFMA2"] > 50:
            # LDSM, which reads matrices from shared memory, distinguishes the loops: kept even if rare.
            kept = dict(counts.most_common(16)) | {name: counts[name] for name in ("LDSM",) if counts[name]}
            loops.append({"all": len(inside), **kept})
    return loops


def nvdisasm() -> str | None:
    spec = importlib.util.find_spec("nvidia")
    for root in spec.submodule_search_locations or () if spec else ():
        for found in Path(root).glob("*/bin/nvdisasm*"):
            return str(found)
    return shutil.which("nvdisasm")


def row_instructions(
    program: CudaProgram, kernel: str, loops: list[dict[str, int]], *, products: int
) -> dict[str, float]:
    """Instructions of one warp, for each row that it processes; `products` instructions make one 16×8×16."""
    whole = max(loop["all"] for loop in loops)
    if kernel == "body":
        return {"row": whole}
    if kernel == "block":
        # The loop over the rows of near and far goes round three times, and is listed once.
        mix = next(loop["all"] for loop in loops if not loop.get("HMMA"))
        return {"row": whole + 2 * mix}
    # conv_mid's loops load from global memory, the tail's from shared memory; conv_mid's is unrolled.
    steps = constant(program, "FEATURES") // 16
    mid = min(loop["all"] * 18 * steps * products / loop["HMMA"] for loop in loops if "LDSM" not in loop)
    # One loop for each pass, as those of the formats here all hold their taps.
    tails = [loop["all"] for loop in loops if "LDSM" in loop]
    assert len(tails) == passes(program)
    return {"mid": mid * steps, "tail": sum(tails)}


def instructions(program: CudaProgram, kernel: str, rows: dict[str, float]) -> int:
    """Instructions of the loops over rows, of all warps, for a frame."""
    total = 0.0
    for launch in program.launches:
        if launch.kernel != kernel:
            continue
        warps = int(np.prod(launch.grid)) * launch.block[0] // 32
        sizes = [each.value for each in launch.args if isinstance(each, Int)]
        if kernel == "body":
            total += warps * (sizes[-1] + 2 * constant(program, "BLOCKS")) * rows["row"]
        elif kernel == "block":
            _, height, strips, segment = sizes
            total += strips * (height + 2 * math.ceil(height / segment)) * rows["row"]
        else:  # the last rows of cells may be fewer: an upper bound
            tail = constant(program, "CELLS_Y") + constant(program, "TAIL_ROWS") - 1
            total += warps * ((tail + 2) * rows["mid"] + tail * rows["tail"])
    return round(total)


def passes(program: CudaProgram) -> int:
    """The number of passes of `head` over the rows of its cells, each for other planes."""
    return re.search(r"#define EACH_PASS (.*)", program.source)[1].count("PASS(")  # type: ignore[index]


def constant(program: CudaProgram, name: str) -> int:
    return int(re.search(rf"constexpr int {name} = (\d+)", program.source)[1])  # type: ignore[index]


if __name__ == "__main__":
    main()
