"""`paragon-stream probe`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paragon_stream.cli.display.sections import SectionedCommand
from paragon_stream.cli.options import choices, given, network_options, verbose_option
from paragon_stream.cli.shortcuts.profiles import profile_option, with_profile
from paragon_stream.cli.standard_streams import print_line
from paragon_stream.frame import Primaries, Transfer
from paragon_stream.json_text import json_text
from paragon_stream.number_text import size
from paragon_stream.options.output import OutputOptions
from paragon_stream.options.source import SourceOptions
from paragon_stream.wholefile import fitting

if TYPE_CHECKING:
    from paragon_stream.media.facts.info import MediaInfo
    from paragon_stream.media.frames.strength import Compression
    from paragon_stream.render.plan import RenderPlan

_CONTAINER = "mkv"


@click.command(cls=SectionedCommand)
@click.argument("source", metavar="FILE")
@click.option(
    "--container",
    metavar="SUFFIX",
    help=f"Container to plan for (default: {_CONTAINER}).",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@network_options
@choices(SourceOptions)
@choices(OutputOptions, without=("overwrite", "resume", "strict", "accept_upgrade"))
@profile_option
@verbose_option
def command(
    source: str,
    profile: str | None,
    as_json: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Show the contents of FILE, and the plan of a render for each stream. Writes nothing.

    For a weights file, show the network, its size and cost, and its unknown facts.
    """
    from paragon_stream.checkpoint.inspection import SUFFIXES

    if Path(source).suffix.lower() in SUFFIXES:
        _show_weights(Path(source), as_json, options)
        return
    from paragon_stream.media.facts.info import IMAGE_SEQUENCE
    from paragon_stream.media.frames.strength import measure_strength
    from paragon_stream.media.source.opening import check_name
    from paragon_stream.render.plan import plan_render
    from paragon_stream.render.request import RenderRequest

    options, _ = with_profile(profile, options)
    suffix = options.pop("container") or _CONTAINER
    check_name(source)
    planned = _planned_destination(Path(source), suffix)
    request = RenderRequest(source, planned, overwrite=True, **given(**options))
    plan = plan_render(request, existing=True)  # which asks for no right to write
    info = plan.source
    compression = None if info.container == IMAGE_SEQUENCE else measure_strength(info)
    if as_json:
        facts = asdict(info)
        facts["compression"] = None if compression is None else asdict(compression)
        facts["plan"] = {
            "container": suffix,
            "streams": plan.describe(),
            "estimated_bytes": plan.estimated_bytes,
            "losses": plan.losses,
            "warnings": plan.warnings,
        }
        click.echo(json_text(facts, ascii=True))
        return
    _show_video(info, compression)
    _show_streams(info)
    _show_plan(plan, planned.suffix)


def _show_video(info: MediaInfo, compression: Compression | None) -> None:
    from paragon_stream.media.facts.side_data import turn

    video = info.video
    rate = f"{float(video.average_rate):.3f}".rstrip("0").rstrip(".") if video.average_rate else "unknown"
    print_line(f"{info.path}: {info.container}, {_seconds(info.duration)}, {info.chapters} chapters")
    print_line(f"video: {video.codec}, {video.format}, {rate} fps, SAR {video.format.sample_aspect_ratio}", 1)
    print_line(f"colour: {_color(info.video)}", 1)
    if video.hdr is not None:
        print_line(f"HDR10: {_hdr(video.hdr)}", 1)
    if video.uncarried:
        print_line(f"with {', '.join(video.uncarried)}", 1)
    if video.display_matrix is not None:
        mirrored, degrees = turn(video.display_matrix)
        print_line(f"shown {'mirrored, then ' if mirrored else ''}rotated by {degrees} degrees clockwise", 1)
    if compression is not None:
        print_line(f"compression: {compression}", 1)
    if video.interlaced:
        print_line(f"interlaced: would be treated by {video.fields}", 1)
    if video.decoded and video.decoded != video.format.pixel_format.name:
        print_line(f"pixel format: decoded as {video.decoded}", 1)


def _show_streams(info: MediaInfo) -> None:
    """Print all streams but the video."""
    counts: Counter[str] = Counter()
    for stream in info.streams:
        counts[stream.kind] += 1
        if stream.index != info.video.index:
            extras = ", ".join(filter(None, (stream.language, stream.title, *stream.dispositions)))
            print_line(
                f"{stream.kind} {counts[stream.kind]}: {stream.detail or stream.codec}"
                + (f" ({extras})" if extras else ""),
                1,
            )


def _show_plan(plan: RenderPlan, suffix: str) -> None:
    about = "" if plan.estimated_bytes is None else f", about {size(plan.estimated_bytes)}"
    print_line(f"would become ({suffix}{about}):")
    print_line(f"network: {plan.weights.spec}, weights {plan.weights.name}", 1)
    for line in plan.describe():
        print_line(line, 1)
    for warning in plan.warnings:
        print_line(f"warning: {warning}", 1)


def _show_weights(path: Path, as_json: bool, options: dict[str, Any]) -> None:
    from paragon_stream.checkpoint.inspection import inspect

    names = ("generation", "scale", "alpha", "window_size")
    found = inspect(path, **{name: options[name] for name in names if options.get(name) is not None})
    facts = found.facts
    if as_json:
        click.echo(json_text({"path": str(path), **facts}, ascii=True))
        return
    print_line(f"{path}: {found.spec}")
    print_line(f"parameters: {facts['parameters']:,}", 1)
    cost = facts["macs_per_pixel"]
    print_line(f"multiplications per source pixel: {'unknown' if cost is None else f'{cost:,}'}", 1)
    reach = facts["receptive_radius"]
    reached = "the whole picture" if reach is None else f"{reach} source pixels to each side"
    print_line(f"an output pixel depends on {reached}", 1)
    for name in ("scale", "alpha", "window_size"):
        if facts[name] is not None:
            print_line(f"{name.replace('_', ' ')}: {facts[name]}", 1)
    if found.unknown:
        options_for = ", ".join("--" + name.replace("_", "-") for name in found.unknown)
        print_line(f"unknown: {', '.join(found.unknown)} (set by {options_for})", 1)
    for key, value in sorted(found.metadata.items()):
        print_line(f"metadata {key}: {value}", 1)
    for warning in found.warnings:
        print_line(f"warning: {warning}", 1)


def _planned_destination(source: Path, suffix: str) -> Path:
    """A path in the source's folder that differs from the source."""
    source = source.absolute()  # "." has a name then, and "/" has none
    return source.parent / fitting(source.stem, f".upscaled.{suffix.lstrip('.')}")


def _seconds(duration: float | None) -> str:
    return "unknown duration" if duration is None else f"{duration:.2f} s"


def _hdr(hdr: Any) -> str:
    light = hdr.content_light and f"MaxCLL {hdr.content_light[0]}, MaxFALL {hdr.content_light[1]}"
    display = hdr.mastering_display and f"mastering display {hdr.mastering_display}"
    return ", ".join(filter(None, (light, display)))


def _code_point(value: int, names: type[IntEnum]) -> str:
    """The name of an H.273 code point, or its number."""
    return names(value).name if value in names else str(int(value))


def _color(video: Any) -> str:
    color = video.format.color
    guessed = f" (untagged, guessed: {', '.join(video.guessed)})" if video.guessed else ""
    return (
        f"matrix {color.matrix.name}, {color.range} range, transfer {_code_point(color.transfer, Transfer)}, "
        f"primaries {_code_point(color.primaries, Primaries)}, "
        f"chroma {color.chroma_location.name.lower()}{guessed}"
    )
