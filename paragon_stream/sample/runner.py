"""`make_sample()`: pieces of a film rendered in several ways, measured, and projected to the whole."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paragon_stream.errors import UsageError
from paragon_stream.media.browser import compare, footage
from paragon_stream.media.facts.cut import parse_range
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.prepare import prepare
from paragon_stream.options.option import part
from paragon_stream.options.source import SourceOptions, TimeLike
from paragon_stream.render.kept import KeptUpscalers
from paragon_stream.render.plan import plan_render
from paragon_stream.render.request import RenderRequest
from paragon_stream.render.run import run
from paragon_stream.report import Report
from paragon_stream.sample.comparison import command_line, labels
from paragon_stream.sample.moments import choose_moments
from paragon_stream.sample.results import Piece, Sample, Take, Version

_LONGEST = 60.0
"""Seconds of a piece at most: pages are opened as a whole."""


@dataclass(kw_only=True)
class _Measured:
    """What the renders of one version say, over all pieces."""

    reports: list[Report] = field(default_factory=list)
    takes: list[Take] = field(default_factory=list)


def make_sample(
    source: str | Path,
    versions: Sequence[Mapping[str, Any]],
    *,
    at: Sequence[TimeLike] = (),
    count: int = 3,
    seconds: float = 4.0,
    on_step: Callable[[str, int, int], None] | None = None,
) -> Sample:
    """Render pieces of `source` in each of `versions`, arguments of `upscale`.

    Pieces begin at the times `at`, or where there is most detail in each of `count` parts of the film, and
    are `seconds` long (0.2 to 60). `on_step` gets a step's name, the number of steps done, and that of all.
    Raises what `upscale` raises.
    """
    if not 0.2 <= seconds <= _LONGEST:
        raise UsageError(f"--seconds {seconds:g} is out of range: give 0.2 to {_LONGEST:g}")
    whole = prepare(source, part(RenderRequest(source, "-", **versions[0]), SourceOptions))
    moments = [_seconds(each) for each in at] or choose_moments(whole, count, seconds)
    names = labels(versions)
    steps, done = 1 + len(moments) * len(versions), 0

    def step(what: str) -> None:
        nonlocal done
        if on_step is not None:
            on_step(what, done, steps)
        done += 1

    measured = [_Measured() for _ in versions]
    pieces: list[Piece] = []
    targets: list[str] = [""] * len(versions)
    warnings: list[str] = []
    with tempfile.TemporaryDirectory(prefix="paragon-sample-") as folder, KeptUpscalers() as kept:
        for number, moment in enumerate(moments):
            cut: dict[str, Any] = {"start": moment, "duration": seconds}
            results: list[tuple[MediaInfo, MediaInfo, Report]] = []
            for index, options in enumerate(versions):
                step(f"{names[index]}, {moment:g} s")
                file = Path(folder) / f"{number}-{index}.mkv"
                extras: dict[str, Any] = {"audio": [], "subtitles": [], "attachments": False}
                plan = plan_render(RenderRequest(source, file, **{**options, **cut, **extras}))
                report = run(plan, kept=kept, on_warning=lambda text: _add(warnings, text))
                targets[index] = report.target_format
                results.append((plan.source, prepare(file, SourceOptions()), report))
            width = max(each.video.format.width for _, each, _ in results) // 2 * 2
            height = max(each.video.format.height for _, each, _ in results) // 2 * 2
            middle = results[0][2].frames_out // 2
            takes = []
            for index, (before, after, report) in enumerate(results):
                take = Take(
                    footage=footage(after, width, height, middle),
                    curves=compare(before, after),
                    fps=report.fps,
                    bytes_out=report.bytes_out,
                )
                takes.append(take)
                measured[index].takes.append(take)
                measured[index].reports.append(report)
            pieces.append(
                Piece(
                    time=moment,
                    seconds=seconds,
                    before=footage(results[0][0], width, height, middle),
                    takes=tuple(takes),
                )
            )
    step("the page")
    return Sample(
        source=str(source),
        source_format=str(whole.video.format),
        device=measured[0].reports[0].device,
        versions=tuple(
            _version(source, whole, name, options, one, target)
            for name, options, one, target in zip(names, versions, measured, targets, strict=True)
        ),
        pieces=tuple(pieces),
        warnings=tuple(warnings),
    )


def _version(
    source: str | Path,
    whole: MediaInfo,
    name: str,
    options: Mapping[str, Any],
    measured: _Measured,
    target: str,
) -> Version:
    frames = sum(report.frames_out for report in measured.reports)
    seconds = sum(report.frames_out / report.fps for report in measured.reports)
    size = sum(report.bytes_out for report in measured.reports)
    fps = frames / seconds
    total = whole.video.frames
    path = Path(source)
    return Version(
        label=name,
        command=command_line(str(source), f"{path.stem}.upscaled.mkv", options),
        target=target,
        fps=fps,
        hours=total / fps / 3600 if total else None,
        size=size * total / frames if total else None,
        fidelity=statistics.fmean(x for take in measured.takes for x in take.curves.fidelity),
        detail=statistics.fmean(x for take in measured.takes for x in take.curves.detail),
    )


def _seconds(time: TimeLike) -> float:
    found = parse_range(time, None, None)
    return float(found.start) if found is not None else 0.0


def _add(warnings: list[str], text: str) -> None:
    if text not in warnings:
        warnings.append(text)
