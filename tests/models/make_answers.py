"""Writes `answers.json`: what the modules of every generation answer to one picture, with weights made here.

`test_goldens` holds the modules against upstream's own answers, with material that is not in the repository.
These few numbers hold them where it is not. Run it only when that test passes:

    scripts/python --dev tests/models/make_answers.py
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from paragon_stream.checkpoint.published import published_network
from paragon_stream.models.build import build

ANSWERS = Path(__file__).with_name("answers.json")
HEIGHT, WIDTH = 19, 22
COUNT = 12

NETWORKS: tuple[tuple[str, str, int, dict[str, Any]], ...] = (
    *((f"paragonsr-{name}", "nano", 2, {}) for name in ("ps", "nc", "mk")),
    *((f"paragonsr-r{n}", "tiny", 2, {}) for n in (1, 2, 3, 4)),
    ("p2v0", "anime", 2, {}),
    ("p2r1", "anime", 2, {}),
    ("p2r2", "nano", 2, {}),
    ("p2r2", "nano", 3, {}),
    ("p2r3", "nano", 2, {}),
    ("p2r3", "nano", 2, {"hr_blocks": 0}),
    ("p2v1", "nano", 2, {}),
    ("p2v2", "nano", 4, {}),
    ("p2v3fix", "xs", 2, {}),
    ("p2v4", "micro", 2, {}),
    ("p2v4", "nano", 2, {}),
    ("p2v5", "nano", 2, {}),
    ("p2v5", "tiny", 3, {}),
    ("p2v5", "tiny", 2, {"attention": "efficient"}),
    *((f"p2v{n}", name, 2, {}) for n in (6, 7, 8) for name in ("realtime", "stream")),
    ("p2v6", "realtime", 4, {}),
    ("p2v6", "realtime", 8, {}),
    ("p2v9", "stream", 2, {}),
    ("p2head", "realtime", 3, {}),
    *((f"munet{name}", "nf8_122", 1, {}) for name in "BCDEF"),
)


def filled(generation: str, variant: str, scale: int, options: dict[str, Any]) -> torch.nn.Module:
    """The network with well-conditioned weights that depend on nothing but the tensors' names."""
    net = build(published_network(generation, variant, scale, **options)).eval()
    fixed = {name for name, each in net.named_parameters() if not each.requires_grad}
    state = net.state_dict()
    for name, value in state.items():
        kept = name.endswith(("identity_kernel", "source_kernel", "_is_fused", ".kernel"))
        if kept or name in fixed or value.dtype == torch.int64:
            continue
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        shape = tuple(value.shape)
        if name.endswith("tracked_initialized"):
            made = np.array(True)
        elif name.endswith((".gamma", "detail_gain")):
            made = rng.uniform(0.1, 0.5, shape)
        elif "norm" in name and name.endswith(("weight", "scale")):
            made = rng.uniform(0.8, 1.2, shape)
        elif name.endswith("running_var"):
            made = rng.uniform(0.5, 1.5, shape)
        elif name.endswith(("bias", "offset", "running_mean")):
            made = 0.1 * rng.standard_normal(shape)
        else:
            made = rng.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:])))
        state[name] = torch.tensor(made, dtype=value.dtype)
    for name in state:
        if name.endswith(".original"):
            u, _, v = np.linalg.svd(state[name].flatten(1).double().numpy(), full_matrices=False)
            stem = name.removesuffix("original")
            state[f"{stem}0._u"], state[f"{stem}0._v"] = (
                torch.tensor(each.copy(), dtype=torch.float32) for each in (u[:, 0], v[0])
            )
    net.load_state_dict(state)
    return net


@torch.no_grad()
def answer(network: tuple[str, str, int, dict[str, Any]]) -> list[float]:
    """COUNT values of the result, spread over it."""
    picture = np.random.default_rng(3).random((1, 3, HEIGHT, WIDTH), np.float32)
    out = filled(*network)(torch.tensor(picture)).flatten()
    places = np.random.default_rng(5).integers(0, len(out), COUNT)
    return [float(f"{each:.6g}") for each in out[torch.tensor(places)]]


def name_of(network: tuple[str, str, int, dict[str, Any]]) -> str:
    generation, variant, scale, options = network
    return " ".join([generation, variant, f"x{scale}", *(f"{k}={v}" for k, v in options.items())])


if __name__ == "__main__":
    answers = {name_of(network): answer(network) for network in NETWORKS}
    lines = [f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in answers.items()]
    ANSWERS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
