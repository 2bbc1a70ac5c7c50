"""How good a network under training is, on held-out shards: PSNR-Y, and how much fine detail there is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from paragon_stream.models.border import extended
from paragon_stream.train.data.degradations import softened
from paragon_stream.train.data.planes import Picture, to_rgb
from paragon_stream.train.data.resample import enlarge
from paragon_stream.train.data.shards import Shard
from paragon_stream.train.measure.metrics import detail_db, psnr_y
from paragon_stream.train.network import TrainableNet

LEVELS = (0.0, 0.01, 0.45, 0.65, 0.85, 1.01)
"""Edges of the strength bins that are reported; the first is clean."""
FRAMES_PER_SHARD = 4


class Validation:
    """Held-out pictures, and what bicubic makes of them."""

    def __init__(self, shards: Sequence[Shard], scale: int) -> None:
        self.scale = scale
        self.samples: list[tuple[Picture, np.ndarray, float]] = []
        for shard in shards:
            self.samples += [(rgb.astype(np.float32) / 255, shard.hr, 0.0) for rgb in shard.rgb[:1]]
            every = max(1, len(shard.frames) // FRAMES_PER_SHARD)
            for frame in shard.frames[::every][:FRAMES_PER_SHARD]:
                low = to_rgb(frame.planes, frame.matrix, frame.range)
                size = low.shape[0] * scale, low.shape[1] * scale
                truth = softened(shard.hr, frame.top, frame.left, size, frame.soften)
                self.samples.append((low, truth, frame.strength))
        self.bicubic = [self.score(enlarge(low, scale), truth) for low, truth, _ in self.samples]

    def score(self, result: Picture, truth: np.ndarray) -> float:
        """PSNR-Y of a result around [0, 1] against 8-bit truth."""
        return psnr_y(_codes(result), truth, self.scale)

    @torch.no_grad()
    def __call__(self, network: TrainableNet) -> dict[str, float]:
        """Mean PSNR-Y ("psnr"), its gain over bicubic ("gain"), that by strength ("gain_0" …), and the fine
        detail beside the truth's in dB ("detail")."""
        device = next(network.parameters()).device
        scores, details = [], []
        for low, truth, strength in self.samples:
            picture = upscale(network, low, strength, device)
            scores.append(self.score(picture, truth))
            details.append(detail_db(_codes(picture), truth, self.scale))
        gains = np.array(scores) - np.array(self.bicubic)
        result = {
            "psnr": float(np.mean(scores)),
            "gain": float(gains.mean()),
            "detail": float(np.mean(details)),
        }
        bins = np.digitize([strength for _, _, strength in self.samples], LEVELS) - 1
        for level in range(len(LEVELS) - 1):
            if (bins == level).any():
                result[f"gain_{level}"] = float(gains[bins == level].mean())
        return result


def _codes(picture: Picture) -> np.ndarray:
    return np.clip(np.rint(picture * 255), 0, 255)


@torch.no_grad()
def upscale(network: nn.Module, low: Picture, strength: float, device: torch.device) -> Picture:
    """One H×W×3 picture through a network under training, edges replicated as frame jobs do."""
    assert isinstance(network, TrainableNet)
    whole = network.spec.window or 1
    margin = math.ceil((network.spec.margin + 1) / whole) * whole
    height, width = low.shape[:2]
    x = torch.from_numpy(low).permute(2, 0, 1)[None].to(device, torch.float32)
    x = extended(x, margin, whole).contiguous(memory_format=torch.channels_last)
    y = network(x, torch.tensor([strength], device=device))
    s, cut = network.scale, margin * network.scale
    inside = y[0, :, cut : cut + s * height, cut : cut + s * width]
    return np.asarray(inside.permute(1, 2, 0).cpu().numpy())
