"""What a finished render says about itself."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from paragon_stream.checkpoint import Weights
from paragon_stream.media.changes import Look
from paragon_stream.media.info import Damage as Damage


@dataclass(frozen=True, kw_only=True)
class StageReport:
    """Where one stage's time went, in seconds."""

    busy: float
    waiting: float


@dataclass(frozen=True, kw_only=True)
class ModelReport:
    """The weights that ran. `source` is the path they were read from."""

    name: str
    source: str
    sha256: str
    generation: str
    variant: str
    scale: int
    alpha: float

    @classmethod
    def of(cls, weights: Weights) -> ModelReport:
        return cls(
            name=weights.name,
            source=str(weights.path or "memory"),
            sha256=weights.sha256,
            generation=weights.spec.generation,
            variant=weights.spec.variant,
            scale=weights.spec.scale,
            alpha=weights.spec.alpha,
        )


@dataclass(frozen=True, kw_only=True)
class StrengthReport:
    """What conditioned weights were told of the source's compression, over all frames, 0…1."""

    min: float
    mean: float
    max: float
    source: str
    """How it is known, in words."""


@dataclass(frozen=True, kw_only=True)
class FormatReport:
    """One format that frames of the source have."""

    format: str
    sample_aspect_ratio: str
    seconds: float
    """When the first of them is shown."""
    frames: int
    converted: int = 0
    """How many of them were made like the first frames, instead of being upscaled as they are."""

    @classmethod
    def of(cls, look: Look) -> FormatReport:
        return cls(
            format=str(look.format),
            sample_aspect_ratio=str(look.format.sample_aspect_ratio),
            seconds=look.seconds,
            frames=look.frames,
            converted=look.converted,
        )


@dataclass(frozen=True, kw_only=True)
class Report:
    """One render, as `paragon_stream.upscale` returns it and `--report FILE.json` stores it."""

    source: str
    destination: str
    frames_in: int
    frames_out: int
    wall_seconds: float
    cpu_seconds: float
    fps: float
    stages: dict[str, StageReport]
    decoder: str
    """FFmpeg's decoder and where it ran: "h264 on cuda:0"."""
    engine: str
    precision: str
    device: str
    reruns: int = 0
    """Frames that a device computed to NaN, computed again on the CPU."""
    threads: int | None
    model: ModelReport
    source_format: str
    """Of the first frames."""
    formats: tuple[FormatReport, ...]
    """Of all frames, in the order in which they came."""
    target_format: str
    codec: str
    bytes_out: int
    peak_rss_bytes: int
    strength: StrengthReport | None = None
    """None where the weights are not conditioned on it."""
    damage: Damage = field(default_factory=Damage)
    warnings: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The report as indented JSON, with a newline at the end."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """What became of one image. `error` is why there is no result, in one sentence; "" if there is one."""

    source: str
    destination: str
    error: str = ""
    source_format: str = ""
    target_format: str = ""
    seconds: float = 0.0
    bytes_out: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImagesReport:
    """A batch of images, as `paragon_stream.upscale_images` returns it and `--report FILE.json` stores it."""

    images: tuple[ImageResult, ...]
    wall_seconds: float
    cpu_seconds: float
    engine: str
    precision: str
    device: str
    threads: int | None
    model: ModelReport
    peak_rss_bytes: int
    warnings: tuple[str, ...] = ()
    """About the batch as a whole."""

    @property
    def failed(self) -> tuple[ImageResult, ...]:
        return tuple(image for image in self.images if image.error)

    def to_json(self) -> str:
        """The report as indented JSON, with a newline at the end."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
