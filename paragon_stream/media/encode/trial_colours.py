"""Tests by a scratch file, before a render, which colour tags an encoder's video keeps in a container."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np

from paragon_stream.errors import FormatError, InputError
from paragon_stream.frame import Family
from paragon_stream.media.encode.encoder_job import EncoderJob, configure, encoder_frame
from paragon_stream.media.facts.containers import Container
from paragon_stream.media.facts.info import VideoInfo
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.ffmpeg.encoder_guard import guarded_opening
from paragon_stream.media.ffmpeg.errors import AV_ERRORS

logger = logging.getLogger(__name__)
_FRAMES = 3


def lost_colours(container: Container, job: EncoderJob) -> dict[str, str]:
    """The colour tags (matrix, range, transfer, primaries) that are not in the file: for each name a sentence
    if players take it as something else, or "" if they assume what it is.

    Encoders with `stores_colours` lose none; for the others a few frames are encoded and read back.
    """
    if job.encoder.stores_colours:
        return {}
    try:
        found = _read_back(container, job)
    except (*AV_ERRORS, InputError, FormatError) as error:
        logger.info("the trial of colour tags failed: %s", error)
        return {}
    names = ["range", "transfer", "primaries"]
    if job.format.pixel_format.family is Family.YUV:
        names.append("matrix")
    lost = {name: "" for name in names if name in found.guessed}
    for name in names:
        ours, theirs = (getattr(format.color, name) for format in (job.format, found.format))
        if ours != theirs:
            lost[name] = (
                f"{job.encoder.name} in {container.name} cannot store the {name} {_shown(ours)}:"
                f" players take it as {_shown(theirs)}"
            )
    return lost


def _read_back(container: Container, job: EncoderJob) -> VideoInfo:
    pixels = job.format.pixel_format
    planes = [
        np.zeros(shape, np.uint16 if pixels.depth > 8 else np.uint8) for shape in job.format.plane_shapes
    ]
    with TemporaryDirectory(prefix="paragon-stream-") as folder:
        path = Path(folder) / f"trial{container.suffixes[0]}"
        with guarded_opening(), av.open(str(path), "w", format=container.muxer) as scratch:
            stream: Any = scratch.add_stream(job.encoder.name, rate=job.rate)
            configure(stream.codec_context, job)
            for number in range(_FRAMES):
                frame = encoder_frame(planes, job.format)
                frame.time_base, frame.pts = job.tick, round(number / job.rate / job.tick)
                scratch.mux(stream.encode(frame))
            scratch.mux(stream.encode(None))
        return probe(path).video


def _shown(value: object) -> str:
    return str(getattr(value, "name", value)).lower()
