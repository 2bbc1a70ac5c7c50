"""The reports of renders, live sessions and image batches."""

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
class JsonReport:
    """A report that `--report FILE.json` stores."""

    def to_json(self) -> str:
        """The report as indented JSON, with a newline at the end."""
        return json_text(asdict(self)) + "\n"


@dataclass(frozen=True, kw_only=True)
class StageReport:
    """The times of one stage, in seconds."""

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
    """The strengths of compression given to conditioned weights, over all frames, 0…1."""

    min: float
    mean: float
    max: float
    source: str
    """The method that determined the strength, as text."""


@dataclass(frozen=True, kw_only=True)
class FormatReport:
    """One frame format of the source."""

    format: str
    sample_aspect_ratio: str
    seconds: float
    """Presentation time of its first frame."""
    frames: int
    converted: int = 0
    """Frames that were converted to the first format instead of being upscaled in their own."""

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
    """Time of rendering the chunk."""
    opening_seconds: float
    """Time of opening the session before the chunk; 0 for later chunks of the same process."""
    tries: int
    """Number of times that the chunk was begun."""
    from_start: str
    """Why the source was read from its beginning for this chunk; "" if it was not."""
    fetched_bytes: int = 0
    """Bytes of the source that its machine fetched; 0 if the machine can read the source itself."""


@dataclass(frozen=True, kw_only=True)
class Report(JsonReport):
    """One render, as `paragon_stream.upscale` returns it and `--report FILE.json` stores it."""

    source: str
    destination: str
    frames_in: int
    frames_out: int
    resumed_at: int = 0
    """Frames at the beginning that an earlier run wrote."""
    duplicates: int = 0
    """Frames that were the one before once more, and took its result."""
    wall_seconds: float
    cpu_seconds: float
    fps: float
    stages: dict[str, StageReport]
    decoder: str
    """FFmpeg's decoder and its device: "h264 on cuda:0"."""
    engine: str
    precision: str
    device: str
    reruns: int = 0
    """Frames that contained NaN on a device and were computed again on the CPU."""
    threads: int | None
    model: ModelReport
    source_format: str
    """The format of the first frames."""
    formats: tuple[FormatReport, ...]
    """All frame formats, in order of appearance."""
    target_format: str
    codec: str
    results_in: str = "host"
    """The memory from which the encoder took frames: "host" or "cuda:0"."""
    bytes_out: int
    peak_rss_bytes: int
    strength: StrengthReport | None = None
    """None if the weights are not conditioned on strength."""
    damage: Damage = field(default_factory=Damage)
    warnings: tuple[str, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)
    """The request, as stored by `RenderRequest.to_json`; `paragon-stream verify --plan` reads it."""
    chunks: tuple[ChunkReport, ...] = ()
    """The chunks of a render in chunks; then `stages` is empty, and `cpu_seconds` is the sum of all
    processes."""


@dataclass(frozen=True, kw_only=True)
class LatencyReport:
    """The age of frames at their delivery: seconds since their capture."""

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
class LiveReport(JsonReport):
    """One live session, as `paragon_stream.live` returns it and `--report FILE.json` stores it."""

    source: str
    destination: str
    ended: str
    """Why the session ended, as text."""
    failure: str | None
    """The reason if the source broke off and did not come back; otherwise None."""
    seconds: float
    """Time from the first captured frame to the last delivered frame."""
    frames_in: int
    frames_out: int
    dropped_before_engine: int
    """Frames captured and replaced by a newer one."""
    dropped_before_output: int
    """Frames computed and replaced by a newer one because the output was busy."""
    fps_in: float
    fps_out: float
    latency: LatencyReport
    reconnects: int
    """Number of times that the source was opened again after it had broken off."""
    output_reconnects: int
    """Number of times that the output was opened again."""
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
    """The codec of the sound in the output; None without sound."""
    bytes_out: int
    cpu_seconds: float
    """CPU time of the session's threads. Other threads of the program do not count, on Linux; nor does the
    process of the window."""
    peak_rss_bytes: int
    strength: StrengthReport | None = None
    damage: Damage = field(default_factory=Damage)
    events: tuple[str, ...] = ()
    """The events of the session, in order."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """The result of one image. `error` is one sentence if there is no result, else ""."""

    source: str
    destination: str
    error: str = ""
    source_format: str = ""
    target_format: str = ""
    strength: float | None = None
    """The strength of compression given to the weights; None for weights that are not conditioned."""
    seconds: float = 0.0
    bytes_out: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImagesReport(JsonReport):
    """A batch of images, as `paragon_stream.upscale_images` returns it and `--report FILE.json` stores it."""

    images: tuple[ImageResult, ...]
    left: int = 0
    """Images that existed already and were kept."""
    wall_seconds: float
    cpu_seconds: float
    engine: str
    precision: str
    device: str
    threads: int | None
    model: ModelReport
    peak_rss_bytes: int
    warnings: tuple[str, ...] = ()
    """Warnings about the whole batch."""

    @property
    def failed(self) -> tuple[ImageResult, ...]:
        return tuple(image for image in self.images if image.error)


class Warnings:
    """Collects warnings for the report and passes on each of them once, immediately."""

    def __init__(self, on_warning: Callable[[str], None] | None) -> None:
        self.shown: list[str] = []
        self._on_warning = on_warning or logger.warning

    def add(self, sentences: Sequence[str]) -> None:
        for sentence in sentences:
            if sentence not in self.shown:
                self.shown.append(sentence)
                self._on_warning(sentence)
