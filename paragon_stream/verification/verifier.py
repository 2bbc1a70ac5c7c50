"""`verify()`: compares an output with its source, by the plan of the render."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from paragon_stream.errors import InputError, ParagonError, UsageError, reason
from paragon_stream.frame import FrameFormat
from paragon_stream.media.facts.cut import Cut
from paragon_stream.media.facts.info import MediaInfo, StreamKind
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.facts.rate import FALLBACK_RATE
from paragon_stream.media.images.numbering import numbering
from paragon_stream.media.measure.packets import FileLog, read_packets
from paragon_stream.media.output.packet_trim import cut_chapters
from paragon_stream.media.output.stream_plans import Action, StreamPlan
from paragon_stream.media.prepare import open_reader
from paragon_stream.number_text import counted
from paragon_stream.pixels import Family, PixelFormat
from paragon_stream.render.plan import RenderPlan, plan_render
from paragon_stream.render.progress import LoopMeter, OnProgress
from paragon_stream.render.request import RenderRequest
from paragon_stream.report import Report
from paragon_stream.verification.findings import Check, Finding, PlaneFigures, Verification
from paragon_stream.verification.format import as_decoded, compare_format
from paragon_stream.verification.frame_data import FRAME_DATA, FrameDataCheck
from paragon_stream.verification.matching import frames_of, matched
from paragon_stream.verification.pictures import PictureCheck
from paragon_stream.verification.quality import QualitySample, clearly_worse
from paragon_stream.verification.streams import Expected, StreamCheck, compare_chapters, compare_tags
from paragon_stream.verification.timing import TimeCheck

_MOST_MOVED = Fraction(1, 10)
"""Seconds by which sound may begin before zero."""


def verify(
    source: str | Path,
    output: str | Path,
    *,
    plan: str | Path | Report | None = None,
    on_progress: OnProgress | None = None,
) -> Verification:
    """Read `source` and `output` back and compare them: frames, times, streams, tags and pictures.

    `plan` is the render's report, or the path of the file that `--report` wrote: losses and changes that it
    announces (dropped streams, converted sound, a part, deinterlacing) are not findings. Without a plan,
    default options are assumed, with two exceptions: every size of the source's shape, more bits and less
    chroma subsampling are accepted, and low quality is not a finding, because the encoder's settings are
    unknown. `on_progress` is called twice a second.

    Raises InputError if a file cannot be read at all, UsageError for a `plan` that is not a report, and for
    outputs that are not video files.
    """
    request = _request(Path(source), Path(output), plan)
    planned = plan_render(request, existing=True)
    if planned.output.destination is None or planned.output.container is None:
        raise UsageError("only video files can be verified, not y4m and sequences of images")
    try:
        found = probe(planned.output.destination)
    except InputError as error:
        return _result(planned, _Pass(findings=[Finding(check=Check.DECODING, message=str(error))]), ())
    if plan is None:
        planned = _plan_of_output(planned, found.video.format)
    clock = time_offset(planned, found)
    passed = _compare_frames(planned, found, clock, plan is not None, on_progress)
    streams = _compare_streams(planned, found, clock)
    findings = [*compare_format(planned, found.video), *passed.findings, *streams]
    idle = {check for check, kind in FRAME_DATA.items() if kind not in planned.output.frame_data}
    checks = tuple(check for check in Check if check not in {*passed.skipped, *idle})
    return _result(planned, replace(passed, findings=findings), checks)


def _request(source: Path, output: Path, plan: str | Path | Report | None) -> RenderRequest:
    """The request from `plan`, or a default request, for these two files."""
    if numbering(output) or numbering(source):
        raise UsageError("only video files can be verified, not sequences of images")
    request = RenderRequest(source=source, destination=output)
    if isinstance(plan, Report):
        request = RenderRequest.from_json(json.dumps(plan.request))
    elif plan is not None:
        try:
            report = json.loads(Path(plan).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"--plan {plan} cannot be read: {reason(error)}") from None
        if not isinstance(report, dict) or not isinstance(report.get("request"), dict):
            raise UsageError(f"--plan {plan} is not the report of a render (see --report)")
        request = RenderRequest.from_json(json.dumps(report["request"]))
    return replace(
        request, source=source, destination=output, overwrite=True, resume=False, strict=False, hwaccel="none"
    )


def _plan_of_output(planned: RenderPlan, has: FrameFormat) -> RenderPlan:
    """`planned` with the size and the pixel format of an output of frames `has`, if a render can have chosen
    them."""
    target = planned.output.target
    choices: dict[str, Any] = {}
    if (has.width, has.height) != (target.width, target.height):
        choices["to"] = f"{has.width}x{has.height}"
    if _keeps_more(has.pixel_format, target.pixel_format):
        choices["pix_fmt"] = has.pixel_format.name
    try:
        chosen = plan_render(replace(planned.request, **choices), existing=True) if choices else planned
    except ParagonError:
        return planned
    same_size = (chosen.output.target.width, chosen.output.target.height) == (has.width, has.height)
    return chosen if same_size else planned


def _keeps_more(found: PixelFormat, planned: PixelFormat) -> bool:
    """Whether `found` has more bits or less chroma subsampling than `planned`, and less of nothing."""
    finer = all(a <= b for a, b in zip(found.subsampling, planned.subsampling, strict=True))
    return found != planned and found.family is planned.family and found.depth >= planned.depth and finer


@dataclass(frozen=True)
class _Pass:
    """The results of decoding both files once."""

    findings: list[Finding]
    frames: int = 0
    planes: tuple[PlaneFigures, ...] = ()
    quality: tuple[float, float] | None = None
    skipped: Mapping[Check, str] = field(default_factory=dict)
    damaged: int = 0
    """Frames whose pictures are not compared, because the source is damaged there."""


def _result(plan: RenderPlan, passed: _Pass, checks: tuple[Check, ...]) -> Verification:
    damaged = {}
    if passed.damaged:
        damaged[f"picture of {counted(passed.damaged, 'frame')}"] = (
            "the source is damaged there or shortly before"
        )
    return Verification(
        source=str(plan.source.path),
        output=str(plan.output.destination),
        frames=passed.frames,
        checks=checks,
        skipped={str(check): why for check, why in passed.skipped.items()} | damaged,
        findings=tuple(passed.findings),
        planes=passed.planes,
        quality=passed.quality,
    )


# ------------------------------------------------------------------------------------------ frames


def time_offset(plan: RenderPlan, found: MediaInfo) -> Fraction:
    """The difference of the source's and the output's times, in seconds.

    It is usually the plan's shift. The muxer of a transport stream chooses the first time: there the first
    frames are simultaneous by definition. Matroska's muxer moves all streams if sound begins before zero, and
    FFmpeg does not report that beginning for all sources (Ogg).
    """
    container, source, video = plan.output.container, plan.source, found.video
    if container is None or video.start_pts is None:
        return plan.output.shift
    begins = video.start_pts * video.time_base
    if container.name == "ts" and source.cut is not None:
        with open_reader(source, follow=True) as reader:  # the cut may begin long before its first frame
            frame = next(frames_of(reader, Fraction(0)), None)
        return plan.output.shift if frame is None else frame.time - begins
    first = source.cut.start if source.cut else (source.video.start_pts or 0) * source.video.time_base
    late = begins - (first - plan.output.shift)
    moved = container.muxer in ("matroska", "webm") and 0 < late < _MOST_MOVED and found.start_time == 0
    return first - begins if container.name == "ts" or (moved and source.cut is None) else plan.output.shift


def _compare_frames(
    plan: RenderPlan, found: MediaInfo, clock: Fraction, encoder_known: bool, on_progress: OnProgress | None
) -> _Pass:
    output, video = plan.output, found.video
    target = as_decoded(output.target, video)
    source = plan.source.video.format
    expected = plan.source.video.frames
    times, data = TimeCheck(video.time_base), FrameDataCheck()
    pictures = PictureCheck(source, target, plan.placement, expected or 250)
    assert output.job is not None
    quality = QualitySample(source, target, plan.placement, output.job, expected or 250)
    skipped: dict[Check, str] = {}
    other_format = changed = False
    damaged = 0
    findings: list[Finding] = []
    meter = LoopMeter(expected, on_progress)
    with (
        open_reader(plan.source, frame_data=output.frame_data, follow=True) as ours,
        open_reader(found, frame_data=output.frame_data, follow=True) as theirs,
    ):
        interval = 1 / (plan.source.video.shown_rate or FALLBACK_RATE)
        for match in matched(frames_of(ours, clock), frames_of(theirs, Fraction(0)), interval):
            times.add(match)
            data.add(match)
            meter.note(times.frames)
            before, after = match.source, match.output
            if before is None or after is None:
                continue
            # FFmpeg decodes gray H.264 as 4:2:0, with planes of chroma that nothing was written to.
            count = 1 if target.pixel_format.family is Family.GRAY else len(after.planes)
            if after.format.plane_shapes[:count] != target.plane_shapes:
                other_format = True
            elif before.format != source:
                changed = True
            elif before.damaged:  # it may be decoded differently now
                damaged += 1
            else:
                pictures.add(float(after.time), before.planes, after.planes[:count])
                quality.add(before.planes, after.planes[:count])
        findings += [*_damage(theirs.warnings, theirs.damage), *times.findings(), *data.findings()]
    if other_format:
        skipped[Check.PICTURE] = "the output's frames have another format than planned"
    elif changed:
        skipped[Check.PICTURE] = "the source changes its format: only frames of the first one were compared"
    findings += pictures.findings()
    figures = quality.result() if not quality.refusal else None
    if figures is None:
        skipped[Check.QUALITY] = quality.refusal or "no sampled piece has frames"
    elif clearly_worse(*figures):
        message = f"{figures[0]:.2f} dB to the source, a Lanczos enlargement has {figures[1]:.2f} dB"
        if encoder_known:
            findings.append(Finding(check=Check.QUALITY, message=message))
        else:
            skipped[Check.QUALITY] = f"{message}; the encoder's settings are unknown without --plan"
    return _Pass(findings, pictures.frames, pictures.planes(), figures, skipped, damaged)


def _damage(warnings: list[str], damage: object) -> Iterator[Finding]:
    """Errors while the output was decoded."""
    counts = {name: count for name, count in vars(damage).items() if count}
    if counts or any("cannot be read" in warning for warning in warnings):
        yield Finding(check=Check.DECODING, message="; ".join(warnings) or f"damaged: {counts}")


# ----------------------------------------------------------------------------------------- streams


def _compare_streams(plan: RenderPlan, found: MediaInfo, clock: Fraction) -> list[Finding]:
    output = plan.output
    assert output.container is not None and output.destination is not None
    source = read_packets(plan.source.path, bare={plan.source.video.index}, probing=plan.source.probing)
    log = read_packets(output.destination, bare={found.video.index})
    expected = [*_expected(output.streams, source, clock, plan.source.cut)]
    for added in output.added:
        expected += _expected(
            added.streams,
            read_packets(added.path, probing=added.probing),
            added.shift + clock - output.shift,
            added.cut,
        )
    findings = list(StreamCheck(expected, found, log, output.container).findings())
    if log.trouble:
        findings.append(Finding(check=Check.DECODING, message=f"the output cannot be read on: {log.trouble}"))
    tags = found.programmes[0].tags if found.programmes else {}
    of_video = log.streams[found.video.index].tags
    timecode = {k: v for k, v in of_video.items() if k == "timecode"}  # MP4 and MOV have it in a track
    findings += compare_tags(output.file_tags, {**tags, **timecode, **log.tags})
    if output.container.chapters and plan.request.chapters:
        findings += compare_chapters(_chapters(plan, source), log.chapters)
    return findings


def _expected(
    plans: tuple[StreamPlan, ...], log: FileLog, shift: Fraction, cut: Cut | None
) -> Iterator[Expected]:
    for plan in plans:
        if plan.action in (Action.DROP, Action.REBUILD):
            continue
        index = plan.stream.index
        packets = log.streams.get(index)
        if plan.action is Action.ATTACH and plan.stream.kind is StreamKind.COVER:
            packets = None  # an attached picture has no times
        yield Expected(plan=plan, shift=shift, cut=cut, log=packets, attached=log.attachments.get(index))


def _chapters(plan: RenderPlan, source: FileLog) -> list[tuple[Fraction, Fraction, str]]:
    """The source's chapters that lie in the rendered part, on the output's clock."""
    chapters = source.chapters
    if plan.source.cut is not None:
        unit = Fraction(1, 1_000_000_000)
        as_ffmpeg = [
            {"start": round(start / unit), "end": round(end / unit), "time_base": unit, "title": title}
            for start, end, title in chapters
        ]
        kept = cut_chapters(as_ffmpeg, plan.source.cut)
        chapters = [(entry["start"] * unit, entry["end"] * unit, entry["title"]) for entry in kept]
    return [(start - plan.output.shift, end - plan.output.shift, title) for start, end, title in chapters]
