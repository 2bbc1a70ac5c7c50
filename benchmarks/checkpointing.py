"""Memory and time of a training step with and without `use_checkpointing`.

    python benchmarks/checkpointing.py       # two minutes; writes benchmarks/results/checkpointing.json

Each row is a process of its own, which makes steps of L1 on random patches, forward and backward, on one
thread of the CPU: one on small patches, then two. Memory is the growth of the process's peak after the first
step, so weights and their gradients are left out. Times are CPU time, of the last step.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from common import machine, write_results

from paragon_stream.checkpoint.published import published_network
from paragon_stream.resource_usage import peak_rss

NETWORKS = (
    # generation, variant, patches, side of a patch
    ("p2head", "stream", 8, 64),
    ("p2head", "photo", 2, 64),
    ("p2r3", "s", 2, 64),
    ("p2v5", "m", 2, 48),
)


def measure(generation: str, variant: str, batch: int, side: int, checkpointing: bool) -> dict[str, float]:
    """One row, in this process."""
    import torch

    from paragon_stream.models.build import build

    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = build(published_network(generation, variant, 2, alpha=0.0), use_checkpointing=checkpointing).train()
    before, seconds = 0, 0.0
    for pixels in (16, side, side):  # small first: libraries allocate memory of their own
        given, wanted = torch.rand(batch, 3, pixels, pixels), torch.rand(batch, 3, 2 * pixels, 2 * pixels)
        before = before or (peak_rss() if pixels == side else 0)
        begin = time.process_time()
        net.zero_grad()
        (net(given) - wanted).abs().mean().backward()
        seconds = time.process_time() - begin
    return {"megabytes": (peak_rss() - before) / 1e6, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", nargs=5, help=argparse.SUPPRESS)
    row = parser.parse_args().row
    if row is not None:
        print(json.dumps(measure(row[0], row[1], int(row[2]), int(row[3]), row[4] == "True")))
        return
    head, rows = machine(), []
    for generation, variant, batch, side in NETWORKS:
        found: dict[str, Any] = {"generation": generation, "variant": variant, "batch": batch, "patch": side}
        for checkpointing in (False, True):
            command = [sys.executable, __file__, "--row", generation, variant]
            command += [str(batch), str(side), str(checkpointing)]
            answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found["with" if checkpointing else "without"] = json.loads(answer)
        for what in ("megabytes", "seconds"):
            found[f"ratio_of_{what}"] = found["with"][what] / found["without"][what]
        rows.append(found)
        print(found, flush=True)
    print(write_results("checkpointing", head, {"rows": rows}))


if __name__ == "__main__":
    main()
