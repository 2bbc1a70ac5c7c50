"""The architecture reference's golden vectors: state dicts with upstream's answers."""

from __future__ import annotations

import re
from typing import Any

import torch
from places import SHARED
from safetensors import safe_open

FOLDER = SHARED / "reference" / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.safetensors"))


class Golden:
    """One golden file: state dict, metadata and upstream's answers."""

    def __init__(self, name: str) -> None:
        with safe_open(FOLDER / f"{name}.safetensors", "pt") as file:
            self.metadata = dict(file.metadata())
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        self.name = name
        self.state = {k.removeprefix("sd."): v for k, v in tensors.items() if k.startswith("sd.")}
        self.answers = {k: v for k, v in tensors.items() if not k.startswith("sd.")}

    @property
    def alpha(self) -> float:
        return float(self.metadata.get("upsampler_alpha", "0"))

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that `models.load` needs, because no tensor shows them."""
        facts: dict[str, Any] = {
            "generation": self.metadata["generation"],
            "scale": int(self.metadata["scale"]),
            "alpha": self.alpha,
        }
        window = re.search(r"_ws(\d+)", self.name)
        if window:
            facts["window_size"] = int(window[1])
        if "effattn" in self.name:
            facts["attention"] = "efficient"
        return facts


def assert_answers(result: torch.Tensor, expected: torch.Tensor) -> None:
    """Within the tolerance that the architecture reference recommends."""
    limit = 2e-5 * float(expected.abs().max())
    torch.testing.assert_close(result, expected, atol=limit, rtol=1e-4)
