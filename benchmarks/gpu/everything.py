"""Every table that this project owes its GPU users, in one command, on your card.

    git clone … && cd paragon-stream
    pip install -e '.[cuda]'                  # and what it says is missing, as far as you like
    python benchmarks/gpu/everything.py       # half an hour; --quick: minutes

Says first what is missing and how to get it; goes on with what is there. Runs `kernels.py` (what the
compiler makes of the kernels), `engine.py` (are they right, how fast, against torch.compile),
`pipeline.py` (decode → engine → NVENC, traces, VapourSynth) and `../attention.py` (photo and pro by torch),
each of which writes JSON into `benchmarks/results/`, and prints what the bars of this project ask for.
Please send the JSON. Without a GPU: --engines openvino runs the pipeline's part.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(REPOSITORY), str(HERE), str(REPOSITORY / "benchmarks")]

from common import RESULTS  # noqa: E402

from paragon_stream.doctor import examine  # noqa: E402

TORCH = "torch.compile, network alone"
WANTED = ("GPU", "driver", "engine cuda", "tensorrt-rtx", "NVDEC", "NVENC", "VapourSynth", "vspipe", "torch")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--device", help="cuda or cuda:N; default: the first, and all where there are several"
    )
    parser.add_argument("--engines", nargs="*", help="for the pipeline; default: all that need a GPU")
    parser.add_argument("--quick", action="store_true", help="one size, few frames")
    options = parser.parse_args()
    for line in missing():
        print(line)
    device = ["--device", options.device] if options.device else []
    quick = ["--sizes", "1920x1080", "--frames", "200"] if options.quick else []
    if options.quick and options.engines:
        quick = ["--sizes", "96x64", "--frames", "12", "--variants", "realtime"]
    engines = ["--engines", *options.engines] if options.engines else []
    begun = {path: path.stat().st_mtime for path in RESULTS.glob("gpu_*.json")}
    run("kernels.py")
    run("engine.py", *device, *(["--rounds", "3", "--frames", "50"] if options.quick else []))
    run("pipeline.py", *device, *quick, *engines)
    attention = ["--size", "960x540", "--frames", "10" if options.quick else "50", "--name", "gpu_attention"]
    run("../attention.py", "--engines", "torch", "--device", options.device or "cuda", *attention)
    new = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in RESULTS.glob("gpu_*.json")
        if path.stat().st_mtime > begun.get(path, 0) and "trace" not in path.stem
    }
    print("\nThe bars:")
    for line in (*engine_bars(new.get("gpu_engine", {})), *pipeline_bars(new.get("gpu_pipeline", {}))):
        print(f"- {line}")
    print(f"Written: {', '.join(sorted(new)) or 'nothing'} in {RESULTS}")
    return 0


def run(script: str, *arguments: str) -> None:
    """A script beside this one; one that fails has said why, and the others go on."""
    print(f"\n== {script} {' '.join(arguments)}", flush=True)
    answer = subprocess.run([sys.executable, str(HERE / script), *arguments], check=False, cwd=REPOSITORY)
    if answer.returncode:
        print(f"{script} ended with {answer.returncode}; its part is missing below", flush=True)


def missing() -> Iterator[str]:
    """What would be measured if it were here."""
    for finding in examine():
        if finding.topic in WANTED and not finding.ok:
            yield f"missing: {finding.topic}: {finding.what}" + (
                f" → {finding.remedy}" if finding.remedy else ""
            )
    if importlib.util.find_spec("torch") is None:
        yield "without torch (with CUDA) there is no comparison with torch.compile"


def engine_bars(results: dict[str, Any]) -> Iterator[str]:
    if not results:
        yield "the engine alone: not measured"
    for variant, landing, goal in (("realtime", 3, 2500), ("stream", 2, 250)):
        found = results.get(variant)
        if found is None:
            continue
        planes = [plane for rows in found["right"].values() for plane in rows]
        worst, least = max(p["largest"] for p in planes), min(p["db"] for p in planes)
        verdict = "met" if all(plane["right"] for plane in planes) else "MISSED"
        yield f"{variant}: at least {least} dB, at most {worst} codes off in any format (50 dB, 2): {verdict}"
        fps = found["1080p"]["frame"]["fps"]
        told = f"{variant} 1080p → 2160p: {fps} fps, goal {goal} on an H200"
        if TORCH in found["1080p"]:
            ratio = fps / found["1080p"][TORCH]["fps"]
            told += f"; {ratio:.1f} times torch.compile (landing {landing}): {verdict_of(ratio >= landing)}"
        yield told


def pipeline_bars(results: dict[str, Any]) -> Iterator[str]:
    if not results:
        yield "the pipeline: not measured"
    for row in results.get("rows", ()):
        what = f"{row['variant']} {row['size']}, {row['engine']}"
        if "render" in row:
            for codec, told in row["render"].items():
                done = (
                    f"{told['fps']:.0f} fps, frames in {told['results_in']}"
                    if "fps" in told
                    else told["failed"]
                )
                yield f"{what}, {codec}: {done}"
        elif "failed" in row:
            yield f"{what}: {row['failed']}"
        else:
            part, vspipe = row["of_the_slowest_part"], row["vspipe_fps"]
            yield (
                f"{what} on {row['device']}, decoded by {row['decoder']}: {row['pipeline_fps']:.0f} fps, "
                f"{part:.2f} of the slowest part (0.95): {verdict_of(part >= 0.95)}"
            )
            if vspipe is not None:
                share = vspipe / row["pipeline_fps"]
                met = verdict_of(share >= 0.9)
                yield f"{what}, vspipe: {vspipe:.0f} fps, {share:.2f} of the file path (0.9): {met}"


def verdict_of(met: bool) -> str:
    return "met" if met else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
