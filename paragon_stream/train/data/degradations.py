"""Degradations of good pictures: seeded, composable, and with real codec artefacts.

Stills go through blur, shrinking by a chosen kernel, sharpening, noise and JPEG. Clips are pans over one
picture, converted to 4:2:0, shrunk and sent through a real encoder and decoder; each frame keeps its
strength.

**Strength** is that of `--strength auto` for the frame (`media/frames/strength.py`), so weights learn the
meaning of those numbers for all codecs.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paragon_stream.errors import UsageError
from paragon_stream.frame import ColorRange, Matrix
from paragon_stream.media.measure.roundtrip import QUIET_X265, Decoded, Encoding, round_trip
from paragon_stream.train.data.planes import Planes, shrunk_planes, subsampled
from paragon_stream.train.data.planes import to_codes as to_video_codes
from paragon_stream.train.data.resample import shrink, to_codes
from paragon_stream.train.limits import check_numbers, check_ranges, check_shares

type Codes = NDArray[np.uint8]
type Picture = NDArray[np.float32]
type Rng = np.random.Generator

CLIP_FRAMES = 8
USUAL_ENCODERS = {"libx264": 0.6, "libx265": 0.16, "mpeg2video": 0.08, "libvpx-vp9": 0.08, "libsvtav1": 0.08}
"""The encoders of clips with their weights, unless a recipe names others."""

# Stills: pictures are H×W×3, values 0…255.


@dataclass(frozen=True, kw_only=True)
class StillDegradation:
    """Ranges and probabilities of a still's degradations; the defaults only shrink it (bicubic).

    `blur` is a Gaussian's sigma in HR pixels, `sharpen` the weight of an unsharp mask at LR, `noise` a
    deviation in code values, `jpeg` a quality; each a (low, high) range drawn from uniformly, applied
    with its probability.
    """

    kernels: tuple[str, ...] = ("bicubic",)
    blur: tuple[float, float] = (0.2, 0.8)
    blur_probability: float = 0.0
    sharpen: tuple[float, float] = (0.2, 0.8)
    sharpen_probability: float = 0.0
    noise: tuple[float, float] = (0.5, 4.0)
    noise_probability: float = 0.0
    jpeg: tuple[int, int] = (60, 95)
    jpeg_probability: float = 0.0

    def check(self) -> None:
        """Raises UsageError for numbers that make no sense."""
        check_ranges("still", self, "blur", above=True)
        check_ranges("still", self, "sharpen", "noise")
        check_ranges("still", self, "jpeg", least=1, most=100)
        names = ("blur", "sharpen", "noise", "jpeg")
        check_shares("still", self, *(f"{name}_probability" for name in names))

    def apply(self, picture: Codes, scale: int, rng: Rng) -> Codes:
        """The LR picture of an HR picture whose sides are even multiples of `scale`."""
        hr = picture.astype(np.float32)
        if rng.random() < self.blur_probability:
            hr = gaussian_blur(hr, rng.uniform(*self.blur))
        lr = shrink(hr, scale, str(rng.choice(list(self.kernels))))
        if rng.random() < self.sharpen_probability:
            lr = lr + np.float32(rng.uniform(*self.sharpen)) * (lr - gaussian_blur(lr, 1.0))
        if rng.random() < self.noise_probability:
            lr = lr + rng.normal(0, rng.uniform(*self.noise), lr.shape).astype(np.float32)
        codes = to_codes(lr)
        if rng.random() < self.jpeg_probability:
            codes = jpeg(codes, int(rng.integers(self.jpeg[0], self.jpeg[1] + 1)))
        return codes


def gaussian_blur(picture: Picture, sigma: float) -> Picture:
    """Separable Gaussian, edges replicated."""
    reach = max(1, int(np.ceil(3 * sigma)))
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(picture.ndim)]
        wide = np.pad(picture, pad, mode="edge")
        size = picture.shape[axis]
        picture = sum(
            (w * np.take(wide, range(k, k + size), axis) for k, w in enumerate(taps)),
            start=np.zeros_like(picture),
        )
    return picture


def jpeg(codes: Codes, quality: int) -> Codes:
    """Through JPEG (4:2:0) and back."""
    stream = io.BytesIO()
    Image.fromarray(codes).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


# Clips


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One LR frame of a clip: planes, the meaning of their codes, the origin of its HR window, its
    compression strength, and the softening of its source (`soften`, sigma in HR pixels)."""

    planes: Planes
    matrix: Matrix
    range: ColorRange
    top: int
    left: int
    strength: float
    soften: float = 0.0


def softened(hr: Codes, top: int, left: int, size: tuple[int, int], sigma: float) -> Codes:
    """A window of `hr`, softened by a Gaussian of `sigma` HR pixels (0: unchanged).

    The *truth* is soft: most video is softer than the training pictures, and weights that are trained only on
    sharp ones sharpen content that should stay soft.
    """
    height, width = size
    if sigma == 0:
        return hr[top : top + height, left : left + width]
    reach = int(np.ceil(3 * sigma))
    y, x = max(0, top - reach), max(0, left - reach)
    around = hr[y : top + height + reach, x : left + width + reach]
    soft = gaussian_blur(around.astype(np.float32), sigma)
    return to_codes(soft[top - y : top - y + height, left - x : left - x + width])


@dataclass(frozen=True, kw_only=True)
class ClipDegradation:
    """Degradations of clips: `encoders` with `weights` (equal ones for other encoders than the usual), x264's
    CRF range, the fractions of uncompressed clips and of clips compressed twice, and the number of frames
    that are kept. With `soften_probability` the source is softened (see `softened`) by a sigma from `soften`;
    a fraction `restless` moves in a way that encoders cannot predict (see `pan`). Each clip is shrunk by one
    of `kernels`, and with `sharpen_probability` its luma is sharpened afterwards, as for stills."""

    encoders: tuple[str, ...] = tuple(USUAL_ENCODERS)
    weights: tuple[float, ...] = ()
    crf: tuple[float, float] = (10.0, 35.0)
    clean: float = 0.2
    twice: float = 0.08
    keep: int = 3
    soften: tuple[float, float] = (0.4, 1.4)
    soften_probability: float = 0.0
    restless: float = 0.0
    kernels: tuple[str, ...] = ("bicubic",)
    sharpen: tuple[float, float] = (0.1, 0.5)
    sharpen_probability: float = 0.0

    def __post_init__(self) -> None:
        if not self.weights:
            usual = self.encoders == tuple(USUAL_ENCODERS)
            weights = tuple(USUAL_ENCODERS.values()) if usual else (1.0,) * len(self.encoders)
            object.__setattr__(self, "weights", weights)

    def check(self) -> None:
        """Raises UsageError for numbers that make no sense."""
        if not self.encoders:
            raise UsageError("[clip] encoders must name at least one encoder")
        if len(self.weights) != len(self.encoders):
            raise UsageError(f"[clip] has {len(self.encoders)} encoders, but {len(self.weights)} weights")
        if not (min(self.weights) >= 0 and 0 < sum(self.weights) < math.inf):
            raise UsageError(f"[clip] weights must be numbers from 0 on, not {list(self.weights)}")
        check_ranges("clip", self, "crf", most=51)
        check_ranges("clip", self, "soften", above=True)
        check_ranges("clip", self, "sharpen")
        names = ("clean", "twice", "restless", "soften_probability", "sharpen_probability")
        check_shares("clip", self, *names)
        check_numbers("clip", self, "keep", least=1)

    def apply(self, picture: Codes, scale: int, window: int, rng: Rng) -> list[Frame]:
        """`keep` frames of a pan of a `window`² HR window over `picture`, shrunk and encoded.

        As scalers of video do it, the planes of the large 4:2:0 picture are shrunk, each on its own grid.
        """
        places = pan(picture.shape[0], picture.shape[1], window, rng, restless=self.restless)
        matrix = Matrix.BT709 if rng.random() < 0.7 else Matrix.SMPTE170M
        range_ = ColorRange.LIMITED if rng.random() < 0.85 else ColorRange.FULL
        soften = float(rng.uniform(*self.soften)) if rng.random() < self.soften_probability else 0.0
        hr = softened(picture, 0, 0, picture.shape[:2], soften).astype(np.float32)  # type: ignore[arg-type]
        kernel = str(rng.choice(list(self.kernels)))
        sharpen = rng.uniform(*self.sharpen) if rng.random() < self.sharpen_probability else 0.0
        frames = []
        for y, x in places:
            rgb = hr[y : y + window, x : x + window] / np.float32(255)
            luma, blue, red = shrunk_planes(subsampled(rgb, matrix, range_), scale, kernel)
            if sharpen:
                luma = luma + np.float32(sharpen) * (luma - gaussian_blur(luma, 1.0))
            frames.append(to_video_codes((luma, blue, red)))
        if rng.random() < self.clean:
            results, strengths = frames, [0.0] * len(frames)
        else:
            source = frames
            if rng.random() < self.twice:
                source = [_planes(d) for d in round_trip(frames, self.draw("libx264", rng))]
            encoder = str(rng.choice(list(self.encoders), p=np.array(self.weights) / sum(self.weights)))
            decoded = round_trip(source, self.draw(encoder, rng))
            results = [_planes(d) for d in decoded]
            strengths = [d.strength for d in decoded]
        kept = rng.choice(len(frames), min(self.keep, len(frames)), replace=False)
        return [
            Frame(
                planes=results[i],
                matrix=matrix,
                range=range_,
                top=places[i][0],
                left=places[i][1],
                strength=strengths[i],
                soften=soften,
            )
            for i in sorted(kept)
        ]

    def draw(self, encoder: str, rng: Rng) -> Encoding:
        """Random quality and preset for an encoder."""
        low, high = self.crf
        crf = rng.uniform(low, high)
        share = (crf - low) / max(high - low, 1e-9)
        if encoder == "libx264":
            preset = str(rng.choice(["veryfast", "fast", "medium", "slow"]))
            options = {"crf": f"{crf:.1f}", "preset": preset}
        elif encoder == "libx265":
            options = {
                "crf": f"{crf:.1f}",
                "preset": str(rng.choice(["veryfast", "fast"])),
                "x265-params": QUIET_X265,
            }
        elif encoder in ("mpeg2video", "mpeg4"):
            quantiser = str(round(2 * 2 ** (3.2 * share)))
            # Fixed by its bounds, under a bit rate that never binds: through PyAV `qscale` has no effect.
            options = {"qmin": quantiser, "qmax": quantiser, "b": "200M"}
        elif encoder == "libvpx-vp9":
            options = {
                "crf": f"{15 + 38 * share:.0f}",
                "b": "0",
                "deadline": "realtime",
                "cpu-used": str(rng.integers(4, 8)),
            }
        else:
            options = {
                "crf": f"{15 + 40 * share:.0f}",
                "preset": str(rng.integers(8, 12)),
                "svtav1-params": "lp=1",
            }
        return Encoding(encoder=encoder, options=options)


def pan(height: int, width: int, window: int, rng: Rng, *, restless: float = 0.0) -> list[tuple[int, int]]:
    """Top left corners of a window that moves straight over a picture, by whole HR pixels.

    With probability `restless` it jumps instead. A straight pan is the easiest motion to predict: all its
    frames are as good as the first. Real motion is coded again with the coarse quantiser of a less important
    frame, and looks worse at the same strength.
    """
    room = np.array([height - window, width - window], np.float64)
    if rng.random() < restless:
        jumps = np.rint(rng.uniform(0, 1, (CLIP_FRAMES, 2)) * room).astype(int)
        return [(int(y), int(x)) for y, x in jumps]
    speed = rng.uniform(-10, 10, 2) * (rng.random() < 0.85)
    travel = np.clip(speed * (CLIP_FRAMES - 1), -room, room)
    start = rng.uniform(np.maximum(0, -travel), room - np.maximum(0, travel) + 1e-9)
    path = start + np.linspace(0, 1, CLIP_FRAMES)[:, None] * travel
    path = np.clip(np.rint(path), 0, room).astype(int)
    return [(int(y), int(x)) for y, x in path]


def _planes(decoded: Decoded) -> Planes:
    y, u, v = decoded.planes
    return y, u, v  # type: ignore[return-value]  # 8-bit by the encoding's pixel format
