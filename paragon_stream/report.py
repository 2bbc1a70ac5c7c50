"""What a finished render says about itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from paragon_stream.checkpoint import Weights
from paragon_stream.json_text import json_text
from paragon_stream.media.facts.info import Damage as Damage
from paragon_stream.media.frames.format_changes import ObservedFormat
from paragon_stream.pipeline.latency import LatencyMeter
from paragon_stream.pipeline.pipeline import PipelineStats

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StageReport:
    """Where one stage's time went, in seconds."""

    busy: float
    waiting: float

    @classmethod
    def of(cls, stats: PipelineStats) -> dict[str, Self]:
        """Every stage of a pipeline, in order of flow."""
        return {
            name: cls(busy=stage.busy, waiting=stage.waiting_for_input + stage.waiting_for_output)
            for name, stage in stats.stages.items()
        }


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
    """The strengths that conditioned weights got, over all frames, 0…1."""

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
    def of(cls, observed: ObservedFormat) -> FormatReport:
        return cls(
            format=str(observed.format),
            sample_aspect_ratio=str(observed.format.sample_aspect_ratio),
            seconds=observed.seconds,
            frames=observed.frames,
            converted=observed.converted,
        )


@dataclass(frozen=True, kw_only=True)
class ChunkReport:
    """A chunk of a render that was done in chunks, perhaps on several machines."""

    number: int
    frames: int
    node: str
    """The name of the machine that rendered it."""
    seconds: float
    """How long that took there."""
    opening_seconds: float
    """How long the session took to open before it; 0 for a process's later chunks."""
    tries: int
    """How often it was begun."""
    from_start: str
    """Why the source was read from its beginning for it; "" where it was not."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """One render, as `paragon_stream.upscale` returns it and `--report FILE.json` stores it."""

    source: str
    destination: str
    frames_in: int
    frames_out: int
    resumed_at: int = 0
    """Frames at the beginning that an earlier run had done."""
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
    results_in: str = "host"
    """Whose memory the encoder took frames from: "host", or "cuda:0"."""
    bytes_out: int
    peak_rss_bytes: int
    strength: StrengthReport | None = None
    """None where the weights are not conditioned on it."""
    damage: Damage = field(default_factory=Damage)
    warnings: tuple[str, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for, as `RenderRequest.to_json` stores it: `paragon-stream verify --plan` reads it."""
    chunks: tuple[ChunkReport, ...] = ()
    """Of a render in chunks; then there are no `stages`, and `cpu_seconds` are those of all processes."""

    def to_json(self) -> str:
        """The report as indented JSON, with a newline at the end."""
        return json_text(asdict(self)) + "\n"


@dataclass(frozen=True, kw_only=True)
class LatencyReport:
    """How old frames were when they had been delivered: seconds since they had been captured."""

    median: float
    percentile_95: float
    maximum: float

    @classmethod
    def of(cls, meter: LatencyMeter) -> LatencyReport:
        return cls(
            median=round(meter.quantile(0.5), 6),
            percentile_95=round(meter.quantile(0.95), 6),
            maximum=round(meter.maximum, 6),
        )


@dataclass(frozen=True, kw_only=True)
class LiveReport:
    """One live session, as `paragon_stream.live` returns it and `--report FILE.json` stores it."""

    source: str
    destination: str
    ended: str
    """Why it is over, in words."""
    failure: str | None
    """`ended`, if the source broke off and did not come back."""
    seconds: float
    """From the first frame that could be taken to the last that was delivered."""
    frames_in: int
    frames_out: int
    dropped_before_engine: int
    """Captured, and given up for a newer one."""
    dropped_before_output: int
    """Computed, and given up for a newer one because the output was busy."""
    fps_in: float
    fps_out: float
    latency: LatencyReport
    reconnects: int
    """How often the source came back after it had broken off."""
    output_reconnects: int
    """How often a server that takes the output did."""
    stages: dict[str, StageReport]
    decoder: str
    engine: str
    precision: str
    device: str
    threads: int | None
    model: ModelReport
    source_format: str
    formats: tuple[FormatReport, ...]
    target_format: str
    codec: str
    sound: str | None
    """The codec of the sound in the output; None where there is none."""
    bytes_out: int
    cpu_seconds: float
    peak_rss_bytes: int
    strength: StrengthReport | None = None
    damage: Damage = field(default_factory=Damage)
    events: tuple[str, ...] = ()
    """What happened on the way, in order."""
    warnings: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The report as indented JSON, with a newline at the end."""
        return json_text(asdict(self)) + "\n"


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """What became of one image. `error` is why there is no result, in one sentence; "" if there is one."""

    source: str
    destination: str
    error: str = ""
    source_format: str = ""
    target_format: str = ""
    strength: float | None = None
    """The strengths that the weights got; None for weights without strength."""
    seconds: float = 0.0
    bytes_out: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImagesReport:
    """A batch of images, as `paragon_stream.upscale_images` returns it and `--report FILE.json` stores it."""

    images: tuple[ImageResult, ...]
    left: int = 0
    """Images that were there already, and left as they are."""
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
        return json_text(asdict(self)) + "\n"


class Warnings:
    """Collects warnings for the report and passes each on once, as soon as it is known."""

    def __init__(self, on_warning: Callable[[str], None] | None) -> None:
        self.said: list[str] = []
        self._on_warning = on_warning or logger.warning

    def add(self, sentences: Sequence[str]) -> None:
        for sentence in sentences:
            if sentence not in self.said:
                self.said.append(sentence)
                self._on_warning(sentence)
