"""Photo and Pro on every engine that is installed: how long a frame takes, and how much arithmetic that is.

    python benchmarks/attention.py                       # minutes; writes benchmarks/results/attention.json
    python benchmarks/attention.py --engines torch --device cuda --size 1920x1080 --name gpu_attention

Weights are untrained: the same work as trained ones. Products (MACs) are those of the frame job, margins
included: what no engine can do without. Each engine computes frames one after another.
"""

from __future__ import annotations

import argparse
import math

from common import machine, write_results

from paragon_stream.bench import bench
from paragon_stream.checkpoint import load_weights
from paragon_stream.checkpoint.untrained import UNTRAINED
from paragon_stream.errors import ParagonError
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import FrameJob, build_job
from paragon_stream.framejob.conv import Conv
from paragon_stream.framejob.fold_attention import WindowAttention
from paragon_stream.runtimes import installed_engines
from paragon_stream.upscaler import UpscalerOptions


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", nargs="*", default=list(installed_engines()))
    parser.add_argument("--device")
    parser.add_argument("--variants", nargs="*", default=["photo", "pro"])
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--frames", type=int, default=3)
    parser.add_argument("--name", default="attention", help="of the file with the results")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    head, rows = machine(), []
    for variant in options.variants:
        job = make_job(variant, width, height)
        macs = total_macs(job)
        print(f"{variant} {options.size}: {macs / 1e9:.0f} GMAC a frame, a margin of {job.margin} included")
        for engine in options.engines:
            chosen = UpscalerOptions(weights=UNTRAINED, variant=variant, engine=engine, device=options.device)
            try:
                found = bench(chosen, width=width, height=height, frames=options.frames)
            except ParagonError as error:
                print(f"  {engine}: {error}")
                continue
            row = {
                "variant": variant,
                "size": options.size,
                "engine": found.engine,
                "precision": str(found.precision),
                "device": found.device,
                "fps": round(found.fps, 3),
                "latency_ms": round(found.latency_ms, 1),
                "cpu_ms": round(found.cpu_ms_per_frame, 1),
                "gmac": round(macs / 1e9, 1),
                "gmac_per_second": round(macs / 1e9 * found.fps, 1),
                "gmac_per_cpu_second": round(macs / 1e6 / found.cpu_ms_per_frame, 1),
            }
            rows.append(row)
            print(f"  {row}", flush=True)
    print(write_results(options.name, head, {"rows": rows}))


def make_job(variant: str, width: int, height: int) -> FrameJob:
    source = FrameFormat.of("yuv420p", width, height)
    return build_job(load_weights(UNTRAINED, variant=variant), source)


def total_macs(job: FrameJob) -> int:
    """Products of all convolutions and of attention, at every position of the padded grid."""
    each = job.first.macs + job.mid.macs + job.tail(1).conv.macs
    for step in job.blocks:
        each += sum(part.macs for part in vars(step).values() if isinstance(part, Conv))
        if isinstance(step, WindowAttention):
            each += 2 * step.window**2 * job.spec.features
    return each * math.prod(job.padded)


if __name__ == "__main__":
    main()
