"""Decoders that start in the middle of a file and return the frames that they would from its beginning."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av

from paragon_stream.media.decode.decoder import Decoder
from paragon_stream.media.facts.info import Gpu
from paragon_stream.media.ffmpeg.rational import as_fraction
from paragon_stream.media.ffmpeg.stamps import presentation_stamp
from paragon_stream.media.source.probing import HEADERS, Probing

_FURTHER_BACK = (0, 4, 30)
"""Seconds to seek back further where a key frame was not sufficient (pictures before it are missing, or
refresh is gradual); the last attempt is the beginning of the file."""

logger = logging.getLogger(__name__)


def decoder_at(
    path: Path,
    index: int,
    begin: Fraction | None,
    *,
    threads: int | None = None,
    quantisers: bool = False,
    gpu: Gpu | None = None,
    probing: Probing = HEADERS,
) -> tuple[Decoder, Iterator[av.VideoFrame]]:
    """A decoder of video stream `index`, and its frames from a time before `begin` on; None: all frames.

    `begin` is in seconds of the source's timestamps. The first frame is before it and undamaged, so every
    later one decodes as it does from the start of the file, and filters have at least one earlier frame. If
    no such start is found, the frames come from the start of the file. `threads`, `quantisers`, `gpu` and
    `probing` are `Decoder`'s. Raises InputError.
    """

    def opened() -> Decoder:
        return Decoder(path, index, threads=threads, quantisers=quantisers, gpu=gpu, probing=probing)

    if begin is not None:
        for further in _FURTHER_BACK:
            decoder = opened()
            try:
                frames = _frames_from(decoder, begin, begin - further)
            except BaseException:
                decoder.close()
                raise
            if frames is not None:
                return decoder, frames
            decoder.close()
    decoder = opened()
    return decoder, iter(decoder)


def _frames_from(decoder: Decoder, begin: Fraction, position: Fraction) -> Iterator[av.VideoFrame] | None:
    """The frames from the key frame before `position` on; None if the first one is damaged, or not before
    `begin`."""
    if not decoder.skip_to(position):
        return None
    frames = iter(decoder)
    first = next(frames, None)
    stamp = None if first is None else presentation_stamp(first)
    if first is None or stamp is None or first.is_corrupt:
        return None
    shown = stamp * as_fraction(first.time_base)
    if shown >= begin:
        return None
    logger.debug("decoding begins at %.3f s", float(shown))
    return chain([first], frames)
