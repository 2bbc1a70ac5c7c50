"""Every table that this project owes its GPU users, in one command, on your card.

    git clone … && cd paragon-stream
    pip install -e '.[cuda]'                  # and what it says is missing, as far as you like
    python benchmarks/gpu/everything.py       # half an hour; --quick: minutes

Says first what is missing and how to get it; goes on with what is there. Runs `engine.py` (are the kernels
right, how fast, against torch.compile), `pipeline.py` (decode → engine → NVENC, traces, VapourSynth) and
`../attention.py` (photo and pro by torch), each of which writes JSON into `benchmarks/results/` step by step,
and prints what the bars of this project ask for. `--only` and `--skip` choose; `kernels` and `accuracy` need
no GPU and run only where `--only` names them. Please send the JSON. Without a GPU: --only pipeline
--engines openvino runs the pipeline's part.

For a card that is at hand for minutes: first_run.py.
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

GRAPH, TORCH = "frame", "torch.compile, network alone"
ON_GPU, ON_CPU = ("engine", "pipeline", "attention"), ("kernels", "accuracy")
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
    every = (*ON_GPU, *ON_CPU)
    parser.add_argument(
        "--only", nargs="*", choices=every, default=ON_GPU, metavar="PART", help=", ".join(every)
    )
    parser.add_argument("--skip", nargs="*", choices=every, default=(), metavar="PART")
    options = parser.parse_args()
    parts = [part for part in every if part in options.only and part not in options.skip]
    for line in missing():
        print(line)
    device = ["--device", options.device] if options.device else []
    quick = ["--sizes", "1920x1080", "--frames", "200"] if options.quick else []
    if options.quick and options.engines:
        quick = ["--sizes", "96x64", "--frames", "12", "--variants", "realtime"]
    engines = ["--engines", *options.engines] if options.engines else []
    begun = {path: path.stat().st_mtime for path in RESULTS.glob("gpu_*.json")}
    attention = ["--size", "960x540", "--frames", "10" if options.quick else "50", "--name", "gpu_attention"]
    commands = {
        "engine": ["engine.py", *device, *(["--rounds", "3", "--frames", "50"] if options.quick else [])],
        "pipeline": ["pipeline.py", *device, *quick, *engines],
        "attention": [
            "../attention.py", "--engines", "torch", "--device", options.device or "cuda", *attention
        ],
        "kernels": ["kernels.py"],
        "accuracy": ["accuracy.py"],
    }  # fmt: skip
    for part in parts:
        run(*commands[part])
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
    """Sentences about parts that cannot be measured on this machine."""
    try:
        from paragon_stream.doctor.examination import examine
    except ImportError as error:
        yield f"missing: {error}: of the pipeline and of doctor there will be nothing"
        return
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
        formats = found.get("right", {})
        for name, rows in formats.items():
            if "failed" in rows:
                yield f"{variant} {name}: {rows['failed']}: MISSED"
        if planes := [plane for rows in formats.values() if "failed" not in rows for plane in rows]:
            worst, least = max(p["largest"] for p in planes), min(p["db"] for p in planes)
            verdict = verdict_of(all(plane["right"] for plane in planes))
            found_worst = f"at least {least} dB, at most {worst} codes off in any format"
            yield f"{variant}: {found_worst} (50 dB, 2): {verdict}"
        frame = found.get("1080p", {}).get(GRAPH, {"failed": "not measured"})
        if "failed" in frame:
            yield f"{variant} 1080p: {frame['failed']}"
            continue
        line = f"{variant} 1080p → 2160p: {frame['fps']} fps, goal {goal} on an H200"
        other = found["1080p"].get(TORCH, {})
        if "fps" in other:
            ratio = frame["fps"] / other["fps"]
            line += f"; {ratio:.1f} times torch.compile (landing {landing}): {verdict_of(ratio >= landing)}"
        elif other:
            line += f"; torch.compile: {other['failed']}"
        yield line


def pipeline_bars(results: dict[str, Any]) -> Iterator[str]:
    if not results:
        yield "the pipeline: not measured"
    for row in results.get("rows", ()):
        what = f"{row['variant']} {row['size']}, {row['engine']}"
        if "render" in row:
            for codec, line in row["render"].items():
                done = (
                    f"{line['fps']:.0f} fps, frames in {line['results_in']}"
                    if "fps" in line
                    else line["failed"]
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
