"""Renders in chunks, in this process, and what they are compared with."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
from clips import packets, read_frames

import paragon_stream
from paragon_stream.chunks.folder import ChunkFolder
from paragon_stream.chunks.join import join_chunks
from paragon_stream.chunks.plan import ChunkPlan, begin, load_plan, plan_chunks
from paragon_stream.chunks.record import ChunkRecord
from paragon_stream.chunks.render import ChunkRenderer, Here
from paragon_stream.render.request import RenderRequest

SURE: dict[str, Any] = {"precision": "fp32", "threads": 1}
LOSSLESS: dict[str, Any] = {"codec": "ffv1", **SURE}


def planned(source: Path, out: Path, seconds: float, **options: Any) -> tuple[ChunkPlan, ChunkFolder]:
    plan, _ = plan_chunks(RenderRequest(source=source, destination=out, **options), seconds=seconds)
    return begin(plan)


def rendered(
    plan: ChunkPlan, folder: ChunkFolder, numbers: Iterable[int], here: Here | None = None
) -> list[ChunkRecord]:
    """Render like a separate machine: with a scratch folder on another disk, and the result as bytes."""
    records = []
    with tempfile.TemporaryDirectory() as scratch, ChunkRenderer(plan, Path(scratch), here) as renderer:
        for number in numbers:
            record, file = renderer.render(number)
            folder.take(record, None if file is None else file.read_bytes())
            records.append(record)
    return records


def in_chunks(source: Path, out: Path, seconds: float, **options: Any) -> paragon_stream.Report:
    """Rendered in three sessions, backwards."""
    plan, folder = planned(source, out, seconds, **options)
    numbers = [chunk.number for chunk in plan.chunks][::-1]
    assert len(numbers) > 1, "one chunk proves nothing"
    for part in (numbers[:1], numbers[1:-1], numbers[-1:]):
        if part:
            rendered(*load_plan(out), part)
    report = join_chunks(plan, folder)
    assert not folder.path.parent.exists()
    return report


def assert_same(found: Path, expected: Path) -> None:
    """The same pictures at the same times, and the same packets of everything else."""
    ours, theirs = read_frames(found), read_frames(expected)
    assert [pts for pts, _ in ours] == [pts for pts, _ in theirs]
    for (pts, planes), (_, wanted) in zip(ours, theirs, strict=True):
        for a, b in zip(planes, wanted, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"frame at {pts}")
    with av.open(str(expected)) as file, av.open(str(found)) as other:
        assert [s.type for s in other.streams] == [s.type for s in file.streams]
        assert other.chapters() == file.chapters()
        indices = [stream.index for stream in file.streams if stream.type != "video"]
    for index in indices:
        assert packets(found, index) == packets(expected, index)
