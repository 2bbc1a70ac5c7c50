"""Chooses the encoder of a video and the pixel format of its frames, if possible without a loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paragon_stream.errors import UsageError
from paragon_stream.frame import (
    PIXEL_FORMATS,
    Family,
    PixelFormat,
    planar_like,
    requested_pixel_format,
    without_alpha,
)
from paragon_stream.media.encode.encoders import NVENC, Encoder, check_pixel_format, find_encoder, nvenc_like
from paragon_stream.media.facts.containers import Container
from paragon_stream.options.output import EncodingOptions


def convertible(source: PixelFormat, wanted: PixelFormat) -> bool:
    """Whether frames of `source` can be stored as `wanted`: RGB and gray can become YUV."""
    return wanted.family in (source.family, Family.YUV)


def wanted_pixel_format(source: PixelFormat, name: str | None) -> PixelFormat | None:
    """The format that `--pix-fmt` names; None without a name.

    Raises UsageError for an unknown name, and for a format that `source` cannot be converted to.
    """
    wanted = requested_pixel_format(name)
    if wanted is not None and not convertible(source, wanted):
        raise UsageError(
            f"--pix-fmt {wanted.name} is {wanted.family}, the source is {source.family} ({source.name}):"
            " only RGB and gray can be converted, to YUV"
        )
    return wanted


def choose_encoder(
    container: Container, source: PixelFormat, options: EncodingOptions, *, side: int
) -> tuple[Encoder, PixelFormat]:
    """The encoder and the format of its frames: the requested ones, else those without a loss for `source`.

    A requested encoder that stores no format of the source gets the nearest one, with a loss. `side` is the
    shorter side of the result. Raises UsageError for an unknown encoder, and if none takes the format.
    """
    wanted = wanted_pixel_format(source, options.pix_fmt)
    if options.codec is None:
        return _default_encoder(container, source, wanted, options, side)
    if options.codec.lower() == NVENC:
        encoder = nvenc_like(_default_encoder(container, source, wanted, options, side)[0])
    else:
        encoder = find_encoder(options.codec)
    if wanted is not None:
        pixels = encoder.holds(wanted) or wanted
    else:
        formats = (*_acceptable(source), *_with_loss(source))
        nearest = (encoder.closest(each, finer=n) for each in formats for n in (False, True))
        pixels = next(filter(None, nearest), source)
    check_pixel_format(encoder, pixels)
    return encoder, pixels


def _default_encoder(
    container: Container,
    source: PixelFormat,
    wanted: PixelFormat | None,
    options: EncodingOptions,
    side: int,
) -> tuple[Encoder, PixelFormat]:
    """The container's first encoder that takes `wanted`, or else `source` without a loss."""
    every = [find_encoder(name) for name in container.encoders]
    large_enough = [encoder for encoder in every if encoder.least_side <= side] or every
    fitting = [encoder for encoder in large_enough if encoder.takes(options.crf, options.preset)]
    candidates = fitting or large_enough
    # Most hardware decodes 10-bit HEVC, but almost none 10-bit H.264.
    deep = (wanted or source).depth > 8
    playable = [encoder for encoder in candidates if not (deep and encoder.name == "libx264")]
    if wanted is not None:
        held = ((encoder, encoder.holds(wanted)) for encoder in playable)
        found = next(((encoder, pixels) for encoder, pixels in held if pixels is not None), None)
    else:
        formats = list(_acceptable(source))
        if len(candidates) < len(large_enough):  # the lossless encoder may be among the others
            formats += _shallower(source)
        found = _closest(playable, formats)
        if found is None and len(candidates) < len(every):
            found = _closest(candidates, formats, finer=True)
    if found is not None:
        return found
    names = " nor ".join(encoder.name for encoder in candidates)
    raise UsageError(
        f"neither {names} takes {(wanted or source).name} in {container.name}: "
        + ("" if container.name == "mkv" else "write to .mkv, or ")
        + ("choose another --pix-fmt, or --codec" if wanted else "choose --codec or --pix-fmt")
    )


def _closest(
    encoders: Sequence[Encoder], formats: Iterable[PixelFormat], *, finer: bool = False
) -> tuple[Encoder, PixelFormat] | None:
    """The first encoder that takes the first of `formats` that any of them takes; see `Encoder.closest`."""
    for format in formats:
        for encoder in encoders:
            if (pixels := encoder.closest(format, finer=finer)) is not None:
                return encoder, pixels
    return None


def _acceptable(source: PixelFormat) -> dict[PixelFormat, None]:
    """The formats to store without a loss, best first: the source; the source in 16 bits, and in 10 bits,
    which is the most of FFmpeg's ProRes with alpha (it decodes to 12); the source without alpha; gray as
    4:2:0."""
    formats = [source]
    if source.has_alpha and source.depth > 10:
        others = (planar_like(source, depth=depth) for depth in (16, 10))
        formats += [format for format in others if format is not None]
    formats.append(without_alpha(source))
    if source.family is Family.GRAY:
        plain = (PIXEL_FORMATS[name] for name in ("yuv420p", "yuv420p10le", "yuv420p12le"))
        formats += [format for format in plain if format.depth == source.depth]
    return dict.fromkeys(formats)


def _shallower(source: PixelFormat) -> list[PixelFormat]:
    """`source` without alpha in 12 and in 10 bits, where that is less than its depth."""
    colors = without_alpha(source)
    found = [planar_like(colors, depth=depth) for depth in (12, 10) if depth < colors.depth]
    return [format for format in found if format is not None]


def _with_loss(source: PixelFormat) -> list[PixelFormat]:
    """Formats that store less than `source`, best first: RGB of fewer bits, then YUV, in which coarser
    colours are worse than fewer bits, and those are worse than no alpha."""
    finest = (1, 1) if source.family is Family.GRAY else source.subsampling
    coarser = dict.fromkeys([finest, *([(1, 0)] if finest < (1, 0) else []), (1, 1)])
    depths = [source.depth, *(depth for depth in (12, 10, 8) if depth < source.depth)]
    alphas = (True, False) if source.has_alpha else (False,)
    like = PIXEL_FORMATS["yuv420p"]
    found = [
        planar_like(like, subsampling=subsampling, depth=depth, alpha=alpha)
        for subsampling in coarser
        for depth in depths
        for alpha in alphas
    ]
    rgb = _shallower(source) if source.family is Family.RGB else []
    return rgb + [format for format in found if format is not None]
