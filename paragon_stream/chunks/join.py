"""Joins rendered chunks: copies their packets, and the other streams of the source."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from paragon_stream import resource_usage
from paragon_stream.chunks.folder import ChunkFolder
from paragon_stream.chunks.plan import ChunkPlan, differences
from paragon_stream.chunks.record import ChunkRecord
from paragon_stream.errors import OutputError
from paragon_stream.media.output.pieces import Pieces
from paragon_stream.media.output.writer import VideoWriter
from paragon_stream.render.plan import RenderPlan, plan_render
from paragon_stream.render.progress import LoopMeter, OnProgress
from paragon_stream.render.request import RenderRequest
from paragon_stream.report import (
    ChunkReport,
    Damage,
    FormatReport,
    ModelReport,
    Report,
    StrengthReport,
    Warnings,
)


def join_chunks(
    plan: ChunkPlan,
    folder: ChunkFolder,
    *,
    whole: RenderPlan | None = None,
    on_progress: OnProgress | None = None,
    on_warning: Callable[[str], None] | None = None,
    usage: resource_usage.Usage | None = None,
    tries: dict[int, int] | None = None,
    warnings: Warnings | None = None,
) -> Report:
    """Write the destination from all chunks, then remove their folder.

    `whole` is the plan of the render, if the caller has it. The report counts time from `usage`, and contains
    `tries`, the number of times that each chunk was begun. `warnings` has those that were shown already.

    Raises OutputError: chunks that are missing, damaged or do not fit together are named; the others stay.
    Raises what `plan_render` raises.
    """
    usage = usage or resource_usage.Usage()
    request = replace(plan.request, resume=False)
    whole = whole or plan_render(request)
    if found := differences(plan, whole):
        raise OutputError(f"the chunks of {plan.destination} do not fit: {'; '.join(found)}")
    warnings = warnings or Warnings(on_warning)
    warnings.add(whole.warnings)
    records = _all_records(plan, folder)
    warnings.add(_warnings(records))
    output = replace(whole.output, identity={}, options=request)
    pieces = Pieces(
        [(folder.path / record.file, record.frames) for record in records],
        max(record.delay for record in records),
    )
    # The chunks are closed before their folder is removed: Windows removes no open files.
    with closing(pieces), VideoWriter(output, whole.source, pieces=pieces) as sink:
        try:
            _check_headers(records, sink)
            _copy(records, sink, on_progress)
            sink.finish()
        finally:
            sink.abort()  # nothing after `finish`
            warnings.add(sink.warnings)
    folder.clear()
    return _report(request, whole, records, sink.bytes_written, usage, tries or {}, warnings.shown)


def _report(
    request: RenderRequest,
    whole: RenderPlan,
    records: Sequence[ChunkRecord],
    bytes_out: int,
    usage: resource_usage.Usage,
    tries: Mapping[int, int],
    warnings: Sequence[str],
) -> Report:
    output = whole.output
    frames = sum(record.frames for record in records)
    return Report(
        source=str(whole.source.path),
        destination=str(output.destination),
        frames_in=frames,
        frames_out=frames,
        wall_seconds=usage.wall_seconds,
        cpu_seconds=usage.cpu_seconds + sum(record.cpu_seconds for record in records),
        fps=frames / max(usage.wall_seconds, 1e-9),
        stages={},
        decoder=_each(record.decoder for record in records),
        engine=_each(record.engine for record in records),
        precision=_each(record.precision for record in records),
        device=_each(record.device for record in records),
        threads=request.threads,
        model=ModelReport.of(whole.weights),
        source_format=str(whole.source.video.format),
        formats=_formats(records),
        target_format=str(output.target),
        codec=output.codec,
        bytes_out=bytes_out,
        peak_rss_bytes=max(resource_usage.peak_rss(), *(record.peak_rss_bytes for record in records)),
        strength=_strength(records),
        damage=_damage(records),
        warnings=tuple(warnings),
        request=json.loads(request.to_json()),
        chunks=tuple(
            ChunkReport(
                number=record.number,
                frames=record.frames,
                node=record.node,
                seconds=record.wall_seconds,
                opening_seconds=record.opening_seconds,
                tries=tries.get(record.number, 1),
                from_start=record.from_start,
                fetched_bytes=record.fetched_bytes,
            )
            for record in records
        ),
    )


def _warnings(records: Sequence[ChunkRecord]) -> list[str]:
    """The warnings of the chunks, and about chunks that differ in precision."""
    found = [warning for record in records for warning in record.warnings]
    found += [repair for record in _last_readings(records) for repair in record.repairs]
    return [*found, *_disagreements(records)]


def _all_records(plan: ChunkPlan, folder: ChunkFolder) -> list[ChunkRecord]:
    """The records of all chunks, in order, after a check of their files. Raises OutputError."""
    found = {chunk.number: folder.record(chunk.number, plan.digest) for chunk in plan.chunks}
    if missing := [number for number, record in found.items() if record is None]:
        raise OutputError(f"{_named(missing)} not rendered yet, of {len(found)}: run chunks render for them")
    records = [record for record in found.values() if record is not None]
    if damaged := [record.number for record in records if not folder.check(record)]:
        for number in damaged:
            folder.forget(number)
        raise OutputError(f"{_named(damaged)} damaged, and removed: render them again")
    if not any(record.frames for record in records):
        raise OutputError("no chunk has any frame")
    return records


def _check_headers(records: Sequence[ChunkRecord], sink: VideoWriter) -> None:
    """All chunks were encoded as one file can say it."""
    if others := [record for record in records if record.frames and record.headers != sink.headers]:
        nodes = ", ".join(sorted({record.node for record in others}))
        raise OutputError(
            f"{_named([record.number for record in others])} encoded with different headers, on {nodes}: "
            "the machines have different encoders, or the number of threads changes the stream (--threads)"
        )


def _copy(records: Sequence[ChunkRecord], sink: VideoWriter, on_progress: OnProgress | None) -> None:
    frames, total = 0, sum(record.frames for record in records)
    meter = LoopMeter(total, on_progress, doing="joining")
    for record in records:
        for timing in record.timings():
            sink.pass_over(timing)
            frames += 1
            meter.note(frames, bytes_out=sink.bytes_written)


def _disagreements(records: Sequence[ChunkRecord]) -> list[str]:
    precisions = sorted({record.precision for record in records})
    if len(precisions) == 1:
        return []
    return [
        f"chunks were computed in {' and '.join(precisions)}, which round differently: --precision settles it"
    ]


def _named(numbers: Sequence[int]) -> str:
    """Chunks, as the beginning of a sentence."""
    shown = ", ".join(map(str, numbers[:10])) + (" …" if len(numbers) > 10 else "")
    return f"chunk {shown} is" if len(numbers) == 1 else f"chunks {shown} are"


def _each(values: object) -> str:
    return ", ".join(dict.fromkeys(values))  # type: ignore[call-overload]


def _formats(records: Sequence[ChunkRecord]) -> tuple[FormatReport, ...]:
    """Formats of all chunks, as one render would report them."""
    found: dict[str, FormatReport] = {}
    for record in records:
        for facts in record.formats:
            look = FormatReport(**facts)
            before = found.get(look.format)
            found[look.format] = (
                look
                if before is None
                else replace(
                    before, frames=before.frames + look.frames, converted=before.converted + look.converted
                )
            )
    return tuple(found.values())


def _last_readings(records: Sequence[ChunkRecord]) -> list[ChunkRecord]:
    """The records whose counts of damage may be added. Of the chunks that were read from the beginning of the
    source, only the last one counts, because its reader saw everything that the others saw."""
    last = max((record.number for record in records if record.from_start), default=0)
    return [r for r in records if r.number == last or (r.number > 0 and not r.from_start)]


def _damage(records: Sequence[ChunkRecord]) -> Damage:
    every = [Damage(**record.damage) for record in _last_readings(records)]
    return Damage(
        undecodable_packets=sum(each.undecodable_packets for each in every),
        corrupt_packets=sum(each.corrupt_packets for each in every),
        corrupt_frames=sum(each.corrupt_frames for each in every),
        broken_places=sum(each.broken_places for each in every),
        missing_ends=max((each.missing_ends for each in every), default=0),
    )


def _strength(records: Sequence[ChunkRecord]) -> StrengthReport | None:
    known = [(record.frames, StrengthReport(**record.strength)) for record in records if record.strength]
    if not known:
        return None
    frames = sum(count for count, _ in known)
    return StrengthReport(
        min=min(each.min for _, each in known),
        mean=sum(count * each.mean for count, each in known) / frames,
        max=max(each.max for _, each in known),
        source=_each(each.source for _, each in known),
    )
