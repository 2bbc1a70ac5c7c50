"""Compares kernels that resample the network's result to another size: the reason of `framejob/resample.py`.

    scripts/python benchmarks/kernels.py --eval FOLDER

Pictures of Set5 and Set14 (folders of those names in FOLDER) are shrunk (bicubic, antialiased), enlarged by
the network, and brought back to the size of the original by each kernel. Written to
`benchmarks/results/kernels.json`: mean PSNR-Y and SSIM-Y against the original, and by how much a white step
on black overshoots, in percent of its height.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from common import machine, write_results
from numpy.typing import NDArray
from PIL import Image

from paragon_stream.train.data.resample import KERNELS as TRAINED
from paragon_stream.train.data.resample import resize
from paragon_stream.train.measure.metrics import psnr_y, ssim_y
from paragon_stream.upscaler import Upscaler

type Doubles = NDArray[np.float64]

FACTORS = (Fraction(6, 5), Fraction(4, 3), Fraction(3, 2), Fraction(9, 5), Fraction(9, 4), Fraction(3))
BORDER = 4


def magic_sharp(t: Doubles) -> Doubles:
    """Magic Kernel Sharp 2013 (Costella): the quadratic B-spline, sharpened by [-1, 6, -1] / 4."""
    spline, _ = TRAINED["magic"]
    return (6 * spline(t) - spline(t - 1) - spline(t + 1)) / 4


def plain(name: str) -> tuple[Callable[[Doubles], Doubles], float]:
    """A kernel of the training and its reach to each side, in source pixels."""
    kernel, support = TRAINED[name]
    return kernel, support / 2


KERNELS: dict[str, tuple[Callable[[Doubles], Doubles], float]] = {
    "bilinear": plain("bilinear"),
    "mitchell": plain("mitchell"),
    "catmull-rom": plain("bicubic"),
    "lanczos2": plain("lanczos2"),
    "magic kernel sharp 2013": (magic_sharp, 2.5),
    "lanczos3": plain("lanczos"),
    "lanczos4": plain("lanczos4"),
}


def matrix(size: int, target: int, kernel: Callable[[Doubles], Doubles], reach: float) -> Doubles:
    """(target, size): centres aligned, the kernel stretched for reductions, edges replicated."""
    ratio = size / target
    stretch = max(1.0, ratio)
    centres = (np.arange(target) + 0.5) * ratio - 0.5
    places = np.floor(centres)[:, None] + np.arange(-int(reach * stretch) - 1, int(reach * stretch) + 2)
    weights = kernel((places - centres[:, None]) / stretch)
    weights /= weights.sum(1, keepdims=True)
    found = np.zeros((target, size))
    rows = np.broadcast_to(np.arange(target)[:, None], places.shape)
    np.add.at(found, (rows, np.clip(places, 0, size - 1).astype(int)), weights)
    return found


def overshoot(kernel: Callable[[Doubles], Doubles], reach: float, ratio: Fraction) -> float:
    """The overshoot at a step, in percent."""
    size = 240
    step = np.repeat([0.0, 1.0], size // 2)
    return 100 * float((matrix(size, round(size / ratio), kernel, reach) @ step).max() - 1)


def measure(pictures: Sequence[Path], factor: Fraction) -> dict[str, dict[str, float]]:
    """Kernel → means over the pictures."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in KERNELS}
    scale = 2
    for path in pictures:
        whole = np.asarray(Image.open(path).convert("RGB"), np.float32)
        height, width = (side // factor.numerator * factor.numerator for side in whole.shape[:2])
        truth = whole[:height, :width]
        small = resize(truth, int(height / factor), int(width / factor))
        codes = np.clip(np.rint(small * 257), 0, 65535).astype(np.uint16)
        with Upscaler(
            width=codes.shape[1], height=codes.shape[0], pixel_format="rgb48le", scale=scale, precision="fp32"
        ) as upscaler:
            large = np.asarray(upscaler(codes)) / 257
        for name, (kernel, reach) in KERNELS.items():
            rows = matrix(large.shape[0], height, kernel, reach)
            columns = matrix(large.shape[1], width, kernel, reach)
            result = np.clip(
                np.rint(np.einsum("ah,hwc,bw->abc", rows, large, columns, optimize=True)), 0, 255
            )
            found[name].append((psnr_y(result, truth, BORDER), ssim_y(result, truth, BORDER)))
    ratio = Fraction(scale) / factor
    return {
        name: {
            "psnr_y": round(float(np.mean([p for p, _ in values])), 3),
            "ssim_y": round(float(np.mean([s for _, s in values])), 5),
            "overshoot_percent": round(overshoot(*KERNELS[name], ratio), 2),
        }
        for name, values in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--eval", type=Path, required=True, help="a folder with Set5/ and Set14/")
    folder = parser.parse_args().eval
    pictures = sorted([*(folder / "Set5").glob("*.png"), *(folder / "Set14").glob("*.png")])
    head, results = machine(), {}
    for factor in FACTORS:
        results[str(factor)] = measure(pictures, factor)
        for name, row in results[str(factor)].items():
            print(f"×{float(factor):.3f}  {name:24}", *(f"{value:8.4f}" for value in row.values()))
    write_results("kernels", head, {"pictures": len(pictures), "factors": results})


if __name__ == "__main__":
    main()
