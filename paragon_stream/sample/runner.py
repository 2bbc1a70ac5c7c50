"""`make_sample()`: pieces of a film rendered in several ways, measured, and projected to the whole."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from paragon_stream.errors import UsageError
from paragon_stream.media.browser import compare, footage
from paragon_stream.media.facts.cut import parse_time
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.output.stream_plans import Action
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
    """The reports and pictures of one version, over all pieces."""

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
    reading = [part(RenderRequest(source, "-", **each), SourceOptions) for each in versions]
    wholes = {each: prepare(source, each) for each in dict.fromkeys(reading)}
    whole = wholes[reading[0]]
    moments = [float(parse_time(each, "--at")) for each in at] or choose_moments(whole, count, seconds)
    names = labels(versions)
    steps, done = 1 + len(moments) * len(versions), 0

    def step(what: str) -> None:
        nonlocal done
        if on_step is not None:
            on_step(what, done, steps)
        done += 1

    measured = [_Measured() for _ in versions]
    pieces: list[Piece] = []
    warnings: list[str] = []
    with tempfile.TemporaryDirectory(prefix="paragon-sample-") as folder, KeptUpscalers() as kept:
        for number, moment in enumerate(moments):
            rendered: list[_Rendered] = []
            for name, options in zip(names, versions, strict=True):
                step(f"{name}, {moment:g} s")
                file = Path(folder) / f"{number}-{len(rendered)}.mkv"
                cut = {**options, "start": moment, "duration": seconds}
                rendered.append(_render(source, file, cut, kept, warnings))
            piece = _piece(moment, seconds, rendered)
            pieces.append(piece)
            for one, result, take in zip(measured, rendered, piece.takes, strict=True):
                one.reports.append(result.report)
                one.takes.append(take)
    step("the page")
    return Sample(
        source=str(source),
        source_format=str(whole.video.format),
        device=measured[0].reports[0].device,
        versions=tuple(
            _version(source, wholes[how], name, options, one, one.reports[-1].target_format)
            for name, options, how, one in zip(names, versions, reading, measured, strict=True)
        ),
        pieces=tuple(pieces),
        warnings=tuple(warnings),
    )


@dataclass(frozen=True, kw_only=True)
class _Rendered:
    """One piece in one version."""

    before: MediaInfo
    after: MediaInfo
    report: Report


def _render(
    source: str | Path, file: Path, options: Mapping[str, Any], kept: KeptUpscalers, warnings: list[str]
) -> _Rendered:
    """Render the picture of a piece, without other streams: its size is projected to the whole film."""
    bare: dict[str, Any] = {"audio": [], "subtitles": [], "attachments": False, "add": ()}
    plan = plan_render(RenderRequest(source, file, **{**options, **bare}))
    others = tuple(replace(each, action=Action.DROP) for each in plan.output.streams)  # covers and data
    plan = replace(plan, output=replace(plan.output, streams=others))
    report = run(plan, kept=kept, on_warning=lambda text: _add(warnings, text))
    return _Rendered(before=plan.source, after=prepare(file, SourceOptions()), report=report)


def _piece(moment: float, seconds: float, rendered: Sequence[_Rendered]) -> Piece:
    """The pictures and curves of all versions, at the size of the largest one."""
    width = max(each.after.video.format.width for each in rendered) // 2 * 2
    height = max(each.after.video.format.height for each in rendered) // 2 * 2
    middle = seconds / 2  # not a frame's number: versions may differ in their frame rate
    takes = tuple(
        Take(
            footage=footage(each.after, width, height, middle),
            curves=compare(each.before, each.after),
            fps=each.report.fps,
            bytes_out=each.report.bytes_out,
        )
        for each in rendered
    )
    before = footage(rendered[0].before, width, height, middle)
    return Piece(time=moment, seconds=seconds, before=before, takes=takes)


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


def _add(warnings: list[str], text: str) -> None:
    if text not in warnings:
        warnings.append(text)
