"""The measured quality of the shipped weights: `engines/quality.json`, written by `benchmarks/quality.py`.

{"realtime_x2_fidelity": {"sha256": "…", "measured": {"Set5 PSNR-Y": 36.49, …}}, …}
"""

from __future__ import annotations

import json

from paragon_stream.checkpoint.shipped import ShippedSet
from paragon_stream.checkpoint.weights import Weights


def measured_quality(shipped: ShippedSet, weights: Weights) -> dict[str, float]:
    """The measured quality of exactly these weights, by name; empty if only another file was measured."""
    try:
        table = json.loads((shipped.path.parent / "quality.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    entry = table.get(shipped.path.stem, {})
    return dict(entry["measured"]) if entry.get("sha256") == weights.sha256 else {}
