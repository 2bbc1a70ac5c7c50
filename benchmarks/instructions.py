"""Counts instructions, registers and spills of passes on AMD's GPUs, by Mesa's compiler; no GPU is needed.

    scripts/python benchmarks/instructions.py [--families phoenix,navi21] [--python "scripts/python"]
                                              [--drivers /usr/share/vulkan/icd.d]

Mesa 24 or later (Debian 13: mesa-vulkan-drivers). Its software Vulkan is given the shaders in `filters/`, by
vs-placebo, and the engine webgpu's texts, and writes down their SPIR-V (MESA_SPIRV_DUMP_PATH); its driver for
AMD compiles that for GPUs that are not there. Instructions are counted as they stand in the program: those of
the shaders are executed once for a pixel of the source, but for the loops that load tiles; WGSL has loops
around most of them. --python is how Python is started for the parts that load Mesa. Writes
`benchmarks/results/instructions.json`, or --output's name.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import REPOSITORY, machine, write_results

_WGSL = ("realtime", "realtime fp16", "stream", "stream fp16")
_KEPT = {
    "Instructions": "instructions",
    "VGPRs": "vgprs",
    "Spilled SGPRs": "spilled_sgprs",
    "Spilled VGPRs": "spilled_vgprs",
    "LDS size": "lds_bytes",
    "Subgroups per SIMD": "waves",
    "Code size": "code_bytes",
}


def compile_wgsl(subject: str) -> list[tuple[str, list[int]]]:
    """Give a network's texts to the first GPU; names and threads of its passes. In a process of its own."""
    from paragon_stream.checkpoint import load_weights
    from paragon_stream.device.webgpu import WebGpuDevice
    from paragon_stream.frame import FrameFormat
    from paragon_stream.framejob import build_job
    from paragon_stream.framejob.wgsl.emit import emit_wgsl

    variant, _, precision = subject.partition(" ")
    source = FrameFormat.of("yuv420p", 1280, 720)
    job = build_job(load_weights(None, variant=variant, scale=2), source)
    names, done, gpu = [], set(), WebGpuDevice(0)
    for dispatch in emit_wgsl(job, half=precision == "fp16").dispatches:
        if dispatch.text not in done:
            done.add(dispatch.text)
            threads = re.search(r"@workgroup_size\((\d+), (\d+)\)", dispatch.text)
            assert threads is not None
            names.append((dispatch.name, [*map(int, threads.groups()), 1]))
            gpu.kernel(gpu.load(dispatch.text.encode()), "main")
    return names


def compile_shader(path: str) -> list[tuple[str, list[int]]]:
    """The same with a user shader, for a small frame."""
    import vapoursynth as vs

    text = Path(path).read_text()
    clip = vs.core.std.BlankClip(width=64, height=64, format=vs.YUV420P16, length=1)
    clip.placebo.Shader(shader_s=text, width=128, height=128, matrix=2).get_frame(0)
    threads = re.findall(r"//!COMPUTE \d+ \d+ (\d+) (\d+)", text)
    names = re.findall(r"//!DESC (.*)", text)
    return [(name, [*map(int, size), 1]) for name, size in zip(names, threads, strict=True)]


def measure(python: list[str], drivers: Path, subject: str, families: list[str]) -> list[dict[str, Any]]:
    """Every pass of `subject`, on every family."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "MESA_SHADER_CACHE_DISABLE": "true"}
        names: list[tuple[str, list[int]]] = json.loads(
            _run(
                [*python, __file__, "--subject", subject],
                {**env, "VK_ICD_FILENAMES": _driver(drivers, "lvp"), "MESA_SPIRV_DUMP_PATH": folder},
            )
        )
        files = sorted(Path(folder).iterdir(), key=lambda path: int(re.sub(r"\D", "", path.stem)))
        rows = []
        for family in families:
            compiler = [*python, str(Path(__file__).with_name("offline_compiler.py")), *map(str, files)]
            radv = {**env, "VK_ICD_FILENAMES": _driver(drivers, "radeon"), "RADV_FORCE_FAMILY": family}
            found = json.loads(_run(compiler, radv))
            # Libraries have shaders of their own among them, of other workgroups.
            groups = [group for _, group in names]
            found = [each for each in found if each["group"] in groups]
            for (name, _), statistics in zip(names, found, strict=True):
                kept = {ours: int(statistics[theirs]) for theirs, ours in _KEPT.items()}
                rows.append({"subject": subject, "family": family, "pass": name, **kept})
    return rows


def _driver(drivers: Path, name: str) -> str:
    return str(next(path for path in sorted(drivers.glob("*.json")) if path.name.startswith(name)))


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} failed:\n{done.stderr}")
    return done.stdout.splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", default="phoenix,navi21,polaris10")
    parser.add_argument("--python", default=shlex.quote(sys.executable))
    parser.add_argument("--drivers", type=Path, default=Path("/usr/share/vulkan/icd.d"))
    parser.add_argument("--subjects", default="", help="names of files in filters/, and realtime, stream …")
    parser.add_argument("--subject", help=argparse.SUPPRESS)
    parser.add_argument("--output", default="instructions")
    options = parser.parse_args()
    if options.subject:
        is_file = options.subject.endswith(".glsl")
        print(json.dumps((compile_shader if is_file else compile_wgsl)(options.subject)))
        return
    shaders = [
        str(path) for path in sorted((REPOSITORY / "filters").glob("*.glsl")) if "fragment" not in path.stem
    ]
    subjects = options.subjects.split(",") if options.subjects else [*shaders, *_WGSL]
    head, rows = machine(), []
    for subject in subjects:
        for row in measure(
            shlex.split(options.python), options.drivers, subject, options.families.split(",")
        ):
            rows.append({**row, "subject": Path(subject).stem})
            print(*rows[-1].values())
    totals: dict[str, int] = {}
    for row in rows:
        key = f"{row['subject']}, {row['family']}"
        totals[key] = totals.get(key, 0) + row["instructions"]
    print(*(f"{key}: {count} instructions" for key, count in totals.items()), sep="\n")
    print(write_results(options.output, head, {"instructions": totals, "passes": rows}))


if __name__ == "__main__":
    main()
