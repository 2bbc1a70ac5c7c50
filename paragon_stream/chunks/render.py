"""A session of one process that renders chunks one after another."""

from __future__ import annotations

import logging
import platform
import shutil
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from paragon_stream import resource_usage
from paragon_stream.chunks.folder import digest, file_name
from paragon_stream.chunks.plan import ChunkPlan, differences
from paragon_stream.chunks.ranges import Chunk
from paragon_stream.chunks.record import ChunkRecord, stamps_of
from paragon_stream.errors import OutputError, UsageError
from paragon_stream.media.decode.decoder_choice import parse_hwaccel, with_decoder
from paragon_stream.media.facts.cut import Cut
from paragon_stream.media.frames.frame_reader import FrameReader
from paragon_stream.media.output.piece_writer import PieceWriter, piece_plan
from paragon_stream.media.output.pieces import Piece
from paragon_stream.media.prepare import open_reader
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.option import part
from paragon_stream.render.device_results import results_on_gpu
from paragon_stream.render.plan import plan_render
from paragon_stream.render.progress import OnProgress
from paragon_stream.render.strengths import Strengths
from paragon_stream.render.stretches import RenderStages
from paragon_stream.render.upscalers import Upscalers
from paragon_stream.report import FormatReport
from paragon_stream.runtimes import Flavour, gpu_of
from paragon_stream.upscaler import Upscaler

logger = logging.getLogger(__name__)

_BEGINNING = Fraction(-(1 << 62))
"""Seconds: before every timestamp."""


@dataclass(frozen=True, kw_only=True)
class Here:
    """Values of this machine that replace those of a plan from another machine. None keeps the plan's value.

    `source` and `weights` are the paths of copies of these files; `engine`, `device` and `hwaccel` compute
    and decode on this machine, with `threads` threads.
    """

    source: Path | None = None
    weights: Path | None = None
    engine: str | None = None
    device: str | None = None
    threads: int | None = None
    hwaccel: str | None = None


class ChunkRenderer:
    """Renders chunks of `plan`, with one session of the engine. Close it, or use `with`.

    `scratch` is a folder for unfinished files. Raises the errors of `plan_render`, and UsageError if files,
    versions or settings of this machine differ from the plan.
    """

    def __init__(
        self, plan: ChunkPlan, scratch: Path, here: Here | None = None, *, node: str | None = None
    ) -> None:
        """`node` is this machine's name in records, by default its host name."""
        usage = resource_usage.Usage()
        here, self._node = here or Here(), node or platform.node()
        self._plan, self._scratch = plan, scratch
        chosen = {name: value for name, value in asdict(here).items() if value is not None}
        # The join adds the other streams; the names of the tracks do not matter here.
        self._request = replace(
            plan.request,
            **chosen,
            destination=scratch / plan.destination.name,
            audio="none",
            subtitles="none",
            attachments=False,
            chapters=False,
            add=(),
            overwrite=True,
            resume=False,
            strict=False,
        )
        self._render = plan_render(self._request)
        if found := differences(plan, self._render, tracks=False):
            raise UsageError(f"{self._node} would render a different result: {'; '.join(found)}")
        options = part(self._request, UpscalerOptions)
        self._info, self._decoder_warnings = with_decoder(
            self._render.source, parse_hwaccel(self._request.hwaccel), gpu_of(options.engine, options.device)
        )
        target = self._render.output.target
        with ExitStack() as opened:
            self._upscaler = opened.enter_context(
                Upscaler.for_format(
                    self._info.video.format,
                    options,
                    pixel_format=target.pixel_format,
                    color=target.color,
                    network=(self._render.weights, self._render.placement),
                    flavour=Flavour.THROUGHPUT,
                )
            )
            self._upscalers = opened.enter_context(
                Upscalers(self._upscaler, options, grain=self._info.video.grain)
            )
            self._open = opened.pop_all()
        self._opening_seconds = usage.wall_seconds

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def render(self, number: int, on_progress: OnProgress | None = None) -> tuple[ChunkRecord, Path | None]:
        """Render chunk `number` into a file in the scratch folder. Returns its record and the file, which is
        None for a chunk without frames.

        If the video turns out to have frames that depend on earlier ones (damage, a change of
        format), the chunk is rendered again, read from the beginning of the file.

        Raises UsageError for a number that is not in the plan, and what `run` raises.
        """
        chunk = self._plan.chunk(number)
        usage = resource_usage.Usage()
        from_start = self._plan.from_start
        while True:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir()
            with self._reader(chunk, bool(from_start)) as reader:
                sink, strengths = self._run(chunk, reader, on_progress)
                found = "" if from_start or chunk.start is None else reader.depends_on_history
                if not found:
                    return self._recorded(chunk, sink, reader, strengths, usage, from_start)
            logger.info("chunk %d is read from the beginning of the file: %s", number, found)
            from_start = found

    @property
    def _folder(self) -> Path:
        return self._scratch / "chunk"

    def _reader(self, chunk: Chunk, from_start: bool) -> FrameReader:
        info = replace(
            self._info,
            cut=_cut_of(chunk, self._info.cut),
            video=replace(self._info.video, frames=chunk.frames),
        )
        return open_reader(
            info,
            strengths=self._render.follows_strength,
            frame_data=self._render.output.frame_data,
            follow=True,
            fetch=self._upscaler.fetch,
            threads=self._request.threads,
            from_start=from_start,
        )

    def _run(
        self, chunk: Chunk, reader: FrameReader, on_progress: OnProgress | None
    ) -> tuple[PieceWriter, Strengths]:
        """Every frame of `reader` through the engine into a file."""
        whole = self._render.output
        shift = whole.shift if chunk.start is None else chunk.start
        output = replace(
            piece_plan(whole, shift, self._request.threads or 0),
            destination=self._folder / f"piece{self._suffix}",
        )
        strengths = Strengths(reader if self._render.follows_strength else None, self._upscaler.strength)
        results = results_on_gpu(self._upscaler, output)
        with PieceWriter(output, self._info, results) as sink:
            stages = RenderStages(
                reader=reader,
                sink=sink,
                strengths=strengths,
                repeats=self._render.repeats(),
                results=results,
            )
            stages.render(self._upscalers, on_progress=on_progress)
        return sink, strengths

    @property
    def _suffix(self) -> str:
        return self._plan.destination.suffix

    def _recorded(
        self,
        chunk: Chunk,
        sink: PieceWriter,
        reader: FrameReader,
        strengths: Strengths,
        usage: resource_usage.Usage,
        from_start: str,
    ) -> tuple[ChunkRecord, Path | None]:
        file = self._folder / f"piece{self._suffix}" if sink.timings else None
        piece = None if file is None else Piece.of(file)
        if piece is not None and len(piece.ranks) != len(sink.timings):
            raise OutputError(f"{file} has {len(piece.ranks)} pictures instead of {len(sink.timings)}")
        sha256 = "" if file is None else digest(file)
        session, strength = self._upscaler.session, strengths.report()
        opening, self._opening_seconds = self._opening_seconds, 0.0
        return ChunkRecord(
            number=chunk.number,
            plan=self._plan.digest,
            file="" if file is None else file_name(chunk.number, sha256, self._suffix),
            sha256=sha256,
            bytes=0 if file is None else file.stat().st_size,
            headers=sink.coded_as,
            delay=0 if piece is None else piece.delay,
            stamps=stamps_of(sink.timings),
            formats=[asdict(FormatReport.of(each)) for each in reader.changes.formats],
            damage=asdict(reader.damage),
            strength=asdict(strength) if strength and self._render.weights.spec.conditioned else None,
            warnings=[*self._decoder_warnings, *(w for w in reader.warnings if w not in reader.repairs)],
            repairs=reader.repairs,
            decoder=reader.decoder,
            engine=session.engine,
            precision=session.precision,
            device=session.device,
            node=self._node,
            from_start=from_start,
            opening_seconds=opening,
            wall_seconds=usage.wall_seconds,
            cpu_seconds=usage.cpu_seconds,
            peak_rss_bytes=resource_usage.peak_rss(),
        ), file


def _cut_of(chunk: Chunk, whole: Cut | None) -> Cut:
    """The part of the source that `chunk` is, where `whole` is rendered."""
    start = chunk.start
    if start is None:
        start = _BEGINNING if whole is None else whole.start
    end = chunk.end
    if end is None:
        end = None if whole is None else whole.end
    return Cut(start=start, end=end)
