"""`RenderRequest`: everything that a user may ask of one render, in values that can be stored as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

from paragon_stream.errors import UsageError
from paragon_stream.frame import requested_pixel_format
from paragon_stream.media.decode.decoder_choice import HwAccel
from paragon_stream.media.facts.cut import TimeLike, parse_range
from paragon_stream.media.facts.fields import parse_method
from paragon_stream.media.facts.probing import parse_probe_size
from paragon_stream.media.facts.tracks import TrackChoice, TrackList, parse_tracks
from paragon_stream.media.images.sequence_reader import parse_rate
from paragon_stream.media.output.plan import OutputOptions
from paragon_stream.media.prepare import SourceOptions
from paragon_stream.upscaler import UpscalerOptions


@dataclass(frozen=True, kw_only=True)
class RenderRequest(UpscalerOptions):
    """One render as it is asked for: the arguments of `api.upscale`, but for what is watched while it runs.

    Values are the user's own; `network`, `reading` and `writing` are what they mean, and raise UsageError for
    those that mean nothing.
    """

    source: str | Path
    destination: str | Path
    codec: str | None = OutputOptions.codec
    crf: float | None = OutputOptions.crf
    preset: str | None = OutputOptions.preset
    pix_fmt: str | None = None
    encoder_options: Mapping[str, str] | None = None
    fps: str | float | Fraction | None = None
    start: TimeLike | None = None
    duration: TimeLike | None = None
    end: TimeLike | None = None
    video: int | None = SourceOptions.video
    probesize: str | int | None = SourceOptions.probe_size
    audio: TrackList = None
    subtitles: TrackList = None
    attachments: bool = TrackChoice.attachments
    chapters: bool = TrackChoice.chapters
    add: Sequence[str | Path] = TrackChoice.add
    deinterlace: str = SourceOptions.deinterlace
    idet: bool = SourceOptions.idet
    ivtc: bool = SourceOptions.ivtc
    hwaccel: str = HwAccel.AUTO
    overwrite: bool = OutputOptions.overwrite
    resume: bool = OutputOptions.resume
    strict: bool = OutputOptions.strict

    @property
    def network(self) -> UpscalerOptions:
        """The options of the network and the engine alone."""
        return UpscalerOptions(**{each.name: getattr(self, each.name) for each in fields(UpscalerOptions)})

    @property
    def reading(self) -> SourceOptions:
        """How the source is read."""
        return SourceOptions(
            video=self.video,
            probe_size=parse_probe_size(self.probesize),
            range=parse_range(self.start, self.duration, self.end),
            rate=parse_rate(self.fps),
            deinterlace=parse_method(self.deinterlace),
            idet=self.idet,
            ivtc=self.ivtc,
        )

    @property
    def writing(self) -> OutputOptions:
        """How the result is written."""
        return OutputOptions(
            codec=self.codec,
            crf=self.crf,
            preset=self.preset,
            pixel_format=requested_pixel_format(self.pix_fmt),
            encoder_options=dict(self.encoder_options or {}),
            tracks=TrackChoice(
                audio=parse_tracks(self.audio),
                subtitles=parse_tracks(self.subtitles),
                attachments=self.attachments,
                chapters=self.chapters,
                add=tuple(Path(path) for path in self.add),
            ),
            overwrite=self.overwrite,
            resume=self.resume,
            strict=self.strict,
        )

    def to_json(self) -> str:
        """The request as indented JSON, without what has its default value."""
        chosen = {
            each.name: _plain(getattr(self, each.name))
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }
        return json.dumps(chosen, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> RenderRequest:
        """The request that `to_json` made `text` of. Raises UsageError for anything else."""
        try:
            found = json.loads(text)
        except ValueError as error:
            raise UsageError(f"this is not a render request: {error}") from None
        if not isinstance(found, dict):
            raise UsageError("a render request is a JSON object")
        known = {each.name for each in fields(cls)}
        if unknown := sorted(found.keys() - known):
            raise UsageError(f"a render request has no option {', '.join(unknown)}")
        if absent := sorted({"source", "destination"} - found.keys()):
            raise UsageError(f"this render request lacks {' and '.join(absent)}")
        return cls(**found)


def _plain(value: Any) -> Any:
    """`value` as JSON holds it; every parser of an option takes it in this form, too."""
    if isinstance(value, Path | Fraction):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
