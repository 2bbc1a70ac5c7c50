"""The format of a clip: the pixel format that the session reads, and the sizes that it allows."""

from __future__ import annotations

from fractions import Fraction

import vapoursynth as vs

from paragon_stream.errors import UsageError
from paragon_stream.frame import PIXEL_FORMATS, Family, PixelFormat
from paragon_stream.geometry import Placement, parse_size
from paragon_stream.vapoursynth.errors import errors_as_vs

_SUBSAMPLINGS = {format.subsampling for format in PIXEL_FORMATS.values()}
_FAMILIES = {vs.YUV: Family.YUV, vs.RGB: Family.RGB, vs.GRAY: Family.GRAY}


def clip_pixel_format(clip: vs.VideoNode) -> PixelFormat:
    """The clip that the session reads: `clip`, or its conversion to 16-bit integers if it has floats."""
    if not isinstance(clip, vs.VideoNode):
        raise UsageError(f"the first argument must be a video clip, not {type(clip).__name__}")
    if clip.format is None or clip.format.color_family == vs.UNDEFINED or not (clip.width and clip.height):
        raise UsageError("the clip must have a constant format and size; resize it to one first")
    depth = clip.format.bits_per_sample if clip.format.sample_type == vs.INTEGER else 16
    subsampling = (clip.format.subsampling_w, clip.format.subsampling_h)
    family = _FAMILIES[clip.format.color_family]
    if not 8 <= depth <= 16 or subsampling not in _SUBSAMPLINGS:
        raise UsageError(
            f"{clip.format.name} is not supported: choose YUV 4:2:0, 4:2:2, 4:4:4, 4:4:0, 4:1:1 or 4:1:0,"
            " RGB or GRAY, with 8 to 16 bits or float"
        )
    for known in PIXEL_FORMATS.values():
        planar = known.order in ((0, 1, 2), (1, 2, 0), (0,)) and len(known.plane_shapes(2, 2)) == len(
            known.order
        )
        if planar and (known.family, known.depth, known.subsampling) == (family, depth, subsampling):
            return known
    # VapourSynth has depths without a name in FFmpeg (11, 13, 15).
    order = (0,) if family is Family.GRAY else (0, 1, 2)
    return PixelFormat(
        name=clip.format.name.lower(), family=family, depth=depth, subsampling=subsampling, order=order
    )


def convert(clip: vs.VideoNode, bits: int, sample_type: vs.SampleType) -> vs.VideoNode:
    """The same picture in another depth, without resampling, matrix or dither. `_FieldBased` is kept."""
    wanted = clip.format.replace(bits_per_sample=bits, sample_type=sample_type)
    converted = progressive(clip).resize.Point(format=wanted.id, dither_type="none")
    return converted.std.CopyFrameProps(clip, props=["_FieldBased"])


def progressive(clip: vs.VideoNode) -> vs.VideoNode:
    """`clip` with properties by which `resize` sees what the engine sees: frames, and RGB as RGB.

    `resize` works on each field of interlaced frames and cannot divide all heights by two, shifts a frame
    with `_Field` by a part of a row, and refuses RGB with the matrix of the YUV that it once was.
    """
    rgb = {"_Matrix": 0} if clip.format.color_family == vs.RGB else {}
    return clip.std.RemoveFrameProps(["_Field"]).std.SetFrameProps(_FieldBased=0, **rgb)


def grain_of(pixel_format: PixelFormat) -> int:
    """The multiple for sizes: VapourSynth's frames have whole chroma samples."""
    return max(1 << n for n in pixel_format.subsampling)


def check_size(pixel_format: PixelFormat, placement: Placement) -> None:
    """Raise UsageError for a result without whole chroma samples, which VapourSynth does not have."""
    width, height = placement.columns.total, placement.rows.total
    for name, side, n in zip(("width", "height"), (width, height), pixel_format.subsampling, strict=True):
        if side % (1 << n):
            raise UsageError(
                f"{width}x{height} is not possible in {pixel_format.name}:"
                f" the {name} must be a multiple of {1 << n}"
            )


def in_samples(clip: vs.VideoNode, to: str | float, shown: tuple[int, int]) -> str:
    """The size `to` in square pixels as a size in samples of `clip`, which a player shows in the size `shown`
    (width, height). Raises vs.Error."""
    with errors_as_vs():
        size = parse_size(to)
        assert size is not None
        pixel_format = clip_pixel_format(clip)
    aspect = Fraction(shown[0] * clip.height, shown[1] * clip.width)
    if size.factor is not None or aspect == 1:
        return str(to)
    width, height = size.box_for(shown)
    grain = grain_of(pixel_format)
    columns, rows = width / max(aspect, Fraction(1)), height * min(aspect, Fraction(1))
    return f"{round(columns / grain) * grain}x{round(rows / grain) * grain}"
