"""Validation of a network during training on held-out shards: PSNR-Y, and the amount of fine detail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from paragon_stream.models.border import extended
from paragon_stream.train.data.degradations import softened
from paragon_stream.train.data.planes import Picture, enlarged_planes, to_rgb
from paragon_stream.train.data.resample import enlarge
from paragon_stream.train.data.shards import Shard
from paragon_stream.train.losses import planes_error, with_chroma_of
from paragon_stream.train.measure.metrics import detail_db, psnr_y
from paragon_stream.train.network import TrainableNet
from paragon_stream.train.plain import PlainNet

LEVELS = (0.0, 0.01, 0.45, 0.65, 0.85, 1.01)
"""Edges of the strength bins that are reported; the first is clean."""
FRAMES_PER_SHARD = 4
HIGHEST = 80.0
"""PSNR of identical planes, dB."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An H×W×3 LR picture around [0, 1], its 8-bit truth, the strength, and its chroma subsampling."""

    low: Picture
    truth: NDArray[np.uint8]
    strength: float = 0.0
    halved: bool = False


class Validation:
    """Held-out pictures, and bicubic's results for them.

    With `luma_alone`, a network's result gets the chroma of the truth, as in the loss: its own is not
    trained, and would change luma where R, G or B is clipped.
    """

    def __init__(self, shards: Sequence[Shard], scale: int, *, luma_alone: bool = False) -> None:
        self.scale, self.luma_alone = scale, luma_alone
        self.samples: list[Sample] = []
        filtered: list[Picture] = []
        for shard in shards:
            for rgb in shard.rgb[:1]:
                low = rgb.astype(np.float32) / 255
                self.samples.append(Sample(low=low, truth=shard.hr))
                filtered.append(enlarge(low, scale))
            every = max(1, len(shard.frames) // FRAMES_PER_SHARD)
            for frame in shard.frames[::every][:FRAMES_PER_SHARD]:
                low = to_rgb(frame.planes, frame.matrix, frame.range)
                size = low.shape[0] * scale, low.shape[1] * scale
                truth = softened(shard.hr, frame.top, frame.left, size, frame.soften)
                self.samples.append(Sample(low=low, truth=truth, strength=frame.strength, halved=True))
                planes = enlarged_planes(frame.planes, scale, "bicubic")
                filtered.append(to_rgb(planes, frame.matrix, frame.range))
        pairs = zip(filtered, self.samples, strict=True)
        self.bicubic = np.array([self.planes(picture, sample) for picture, sample in pairs])

    def planes(self, result: Picture, sample: Sample) -> tuple[float, float, float]:
        """PSNR of Y, Cb and Cr of a result around [0, 1]; chroma of 4:2:0 on its own grid."""
        wanted, s = sample.truth, self.scale
        picture = torch.from_numpy(_codes(result).astype(np.float32)).permute(2, 0, 1)[None] / 255
        truth = torch.from_numpy(wanted.astype(np.float32)).permute(2, 0, 1)[None] / 255
        error = planes_error(picture, truth, torch.tensor([sample.halved]))[..., s:-s, s:-s]
        squares = error.double().square().mean((0, 2, 3)) + 10 ** (-HIGHEST / 10)
        _, blue, red = (-10 * torch.log10(squares)).tolist()
        return psnr_y(_codes(result), wanted, s), blue, red

    @torch.no_grad()
    def __call__(self, network: TrainableNet | PlainNet) -> dict[str, float]:
        """Mean PSNR-Y ("psnr"), mean of luma and chroma 6 : 1 : 1 ("psnr_planes"), luma's gain over bicubic
        ("gain"), that by strength ("gain_0" …), chroma's gain in 4:2:0 ("gain_420") and elsewhere
        ("gain_rgb"), and the fine detail beside the truth's in dB ("detail")."""
        device = next(network.parameters()).device
        scores, details = [], []
        for sample in self.samples:
            picture = upscale(network, sample.low, sample.strength, device)
            if self.luma_alone:
                truth = sample.truth.astype(np.float32) / 255
                moved = with_chroma_of(
                    *(torch.from_numpy(each).movedim(-1, 0)[None] for each in (picture, truth))
                )
                picture = moved[0].movedim(0, -1).numpy()
            scores.append(self.planes(picture, sample))
            details.append(detail_db(_codes(picture), sample.truth, self.scale))
        found = np.array(scores)
        gains = found - self.bicubic
        result = {
            "psnr": float(found[:, 0].mean()),
            "psnr_planes": float(found.mean(0) @ np.array([0.75, 0.125, 0.125])),
            "gain": float(gains[:, 0].mean()),
            "detail": float(np.mean(details)),
        }
        bins = np.digitize([sample.strength for sample in self.samples], LEVELS) - 1
        for level in range(len(LEVELS) - 1):
            if (bins == level).any():
                result[f"gain_{level}"] = float(gains[bins == level, 0].mean())
        halved = np.array([sample.halved for sample in self.samples])
        for name, kind in (("gain_420", halved), ("gain_rgb", ~halved)):
            if kind.any():
                result[name] = float(gains[kind, 1:].mean())
        return result


def _codes(picture: Picture) -> np.ndarray:
    return np.clip(np.rint(picture * 255), 0, 255)


@torch.no_grad()
def upscale(network: nn.Module, low: Picture, strength: float, device: torch.device) -> Picture:
    """Upscale one H×W×3 picture with a network in training, with replicated edges as in frame jobs."""
    if isinstance(network, PlainNet):
        y = network.with_replicated_border(torch.from_numpy(low).permute(2, 0, 1)[None].to(device))
        return np.asarray(y[0].permute(1, 2, 0).cpu().numpy())
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
