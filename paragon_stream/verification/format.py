"""Compares the format of the video: size, shape of samples, rotation, colours, HDR metadata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from paragon_stream.frame import FrameFormat, planar_like
from paragon_stream.media.facts.info import VideoInfo
from paragon_stream.pixels import Family
from paragon_stream.render.plan import RenderPlan
from paragon_stream.verification.findings import Check, Finding

_DEEPER = ("prores", "v210")
"""Codecs whose decoders return more bits than were encoded: FFmpeg decodes all ProRes 4444 to 12 bits."""


def as_decoded(wanted: FrameFormat, found: VideoInfo) -> FrameFormat:
    """The planned format, as the decoder of the output returns it."""
    has = found.format
    deeper = planar_like(wanted.pixel_format, depth=has.pixel_format.depth)
    pixels = (
        has.pixel_format if found.codec in _DEEPER and deeper == has.pixel_format else wanted.pixel_format
    )
    color = replace(wanted.color, chroma_location=has.color.chroma_location)
    return replace(wanted, pixel_format=pixels, color=color)


def compare_format(plan: RenderPlan, found: VideoInfo) -> Iterator[Finding]:
    """Compares the output's video with the plan."""
    wanted, source = plan.output.target, plan.source.video
    has = found.format
    if (wanted.width, wanted.height) != (has.width, has.height):
        yield _format(f"the picture is {has.width}x{has.height}, not {wanted.width}x{wanted.height}")
    depth = as_decoded(wanted, found).pixel_format.depth
    if depth != has.pixel_format.depth:
        yield _format(f"the picture has {has.pixel_format.depth} bits, not {depth}")
    gray = wanted.pixel_format.family is Family.GRAY  # FFmpeg decodes gray H.264 as 4:2:0
    if wanted.pixel_format.subsampling != has.pixel_format.subsampling and not gray:
        yield _format(f"the pixel format is {has.pixel_format.name}, not {wanted.pixel_format.name}")
    ratio = has.sample_aspect_ratio / wanted.sample_aspect_ratio
    if abs(float(ratio) - 1) > 0.002:
        yield _format(
            f"the sample aspect ratio is {has.sample_aspect_ratio}, not {wanted.sample_aspect_ratio}"
        )
    container = plan.output.container
    if container is not None and container.rotation:
        turned = source.display_matrix and source.display_matrix[:5]
        if turned != (found.display_matrix and found.display_matrix[:5]):
            yield _format("the rotation is not the source's")
    if found.interlaced:
        yield _format("the video is flagged as interlaced")
    yield from _colours(wanted, has, found.guessed, plan.output.lost_colours)
    if (
        source.hdr is not None
        and not any("HDR10" in loss for loss in plan.losses)
        and found.hdr != source.hdr
    ):
        yield Finding(check=Check.HDR, message="mastering display or content light is not the source's")


def _colours(
    wanted: FrameFormat, has: FrameFormat, untagged: tuple[str, ...], lost: frozenset[str]
) -> Iterator[Finding]:
    """Differences of tags, without those that are announced as `lost`."""
    gray = wanted.pixel_format.family is Family.GRAY
    names = {"matrix", "range", "transfer", "primaries"} - lost
    for name in sorted(names - {"matrix"} if gray else names):
        ours, theirs = getattr(wanted.color, name), getattr(has.color, name)
        if ours != theirs:
            yield Finding(
                check=Check.COLOUR_TAGS, message=f"the {name} is tagged {_name(theirs)}, not {_name(ours)}"
            )
        elif name in untagged:
            yield Finding(check=Check.COLOUR_TAGS, message=f"the {name} is not tagged")
    ours, theirs = wanted.color.chroma_location, has.color.chroma_location
    across, down = wanted.pixel_format.subsampling
    if (across and ours.horizontal != theirs.horizontal) or (down and ours.vertical != theirs.vertical):
        message = f"chroma is tagged as {_name(theirs)}, not {_name(ours)}"
        yield Finding(check=Check.COLOUR_TAGS, message=message)


def _name(value: object) -> str:
    return str(getattr(value, "name", value)).lower()


def _format(message: str) -> Finding:
    return Finding(check=Check.FORMAT, message=message)
