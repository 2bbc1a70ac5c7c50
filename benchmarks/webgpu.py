"""The engine webgpu on this machine's GPU: what a frame costs, and how many a second there are.

    scripts/python benchmarks/webgpu.py [--device gpu:0] [--sizes 1280x720] [--frames 100] [--costs]
                                        [--networks realtime:2,stream:2]

yuv420p. Costs are counted, not measured: multiplications, dispatches, bytes that cross the bus
and bytes of features that are written (and read at least once). With --costs nothing runs, GPU or none.
Writes `benchmarks/results/webgpu.json`, or --output's name.
"""

from __future__ import annotations

import argparse
import itertools
import math
from dataclasses import asdict
from typing import Any

from common import machine, write_results

from paragon_stream.bench import bench
from paragon_stream.checkpoint import load_weights
from paragon_stream.device.discovery import find_adapters
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import build_job
from paragon_stream.framejob.wgsl.emit import emit_wgsl
from paragon_stream.upscaler import UpscalerOptions

PRECISIONS = ("auto", "fp16")


def costs(variant: str, scale: int, width: int, height: int) -> dict[str, Any]:
    """The costs of one frame, at the default precision."""
    source = FrameFormat.of("yuv420p", width, height)
    program = emit_wgsl(build_job(load_weights(None, variant=variant, scale=scale), source))
    planes = {
        way: sum(layout.pitch * math.prod(layout.shape[:1]) for layout in layouts)
        for way, layouts in (("uploaded", program.inputs), ("downloaded", program.outputs))
    }
    return {
        "network": f"{variant} ×{scale}",
        "size": f"{width}x{height}",
        "giga_macs": round(program.macs / 1e9, 2),
        "dispatches": len(program.dispatches),
        **{f"{way}_mb": round(size / 1e6, 2) for way, size in planes.items()},
        "written_mb": round(program.written / 1e6, 1),
        "largest_binding_mib": round(max(program.workspaces) / 2**20, 1),
        "workspaces_mb": round(sum(program.workspaces) / 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="gpu:0")
    parser.add_argument("--networks", default="realtime:2,realtime:3,realtime:4,stream:2")
    parser.add_argument("--sizes", default="640x360,960x540,1280x720,1920x1080")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--costs", action="store_true")
    parser.add_argument("--output", default="webgpu")
    options = parser.parse_args()
    head = machine()
    sizes = [tuple(map(int, each.split("x"))) for each in options.sizes.split(",")]
    networks = [(name, int(scale)) for name, scale in (n.split(":") for n in options.networks.split(","))]
    counted = [costs(*network, *size) for network in networks for size in sizes]
    for row in counted:
        print(row)
    rows = []
    adapters, reason = find_adapters()
    print(*(adapters or [reason]), sep="\n")
    if not options.costs:
        for (variant, scale), size, precision in itertools.product(networks, sizes, PRECISIONS):
            result = bench(
                UpscalerOptions(
                    engine="webgpu",
                    device=options.device,
                    precision=precision,
                    variant=variant,
                    scale=scale,
                ),
                width=size[0],
                height=size[1],
                frames=options.frames,
            )
            rows.append({"network": f"{variant} ×{scale}", "asked": precision, **asdict(result)})
            print(
                f"{variant} ×{scale}, {result.source}, {precision}: "
                f"{result.fps:.1f} fps, {result.latency_ms:.1f} ms a frame"
            )
    found = {"adapters": [str(each) for each in adapters], "costs": counted, "runs": rows}
    print(write_results(options.output, head, found))


if __name__ == "__main__":
    main()
