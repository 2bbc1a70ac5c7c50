"""What makes one render another: all that changes a sample or a packet of the result, and nothing else.

`--resume` continues an unfinished file only if its identity is that of the request. The engine, its device
and threads are left out: every engine gives the same pictures, within its precision's promise. Choices count
by what they come to, not by how they are written: `--strength auto` is the default, `--start 60` is
`--start 1:00`, and `--video 1` is the video that would have been chosen anyway.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from paragon_stream import __version__
from paragon_stream.checkpoint import Weights
from paragon_stream.errors import UsageError
from paragon_stream.framejob.temporal import Temporal
from paragon_stream.geometry import Placement
from paragon_stream.media.decode.abilities import versions
from paragon_stream.media.encode.workdir import VERSIONS
from paragon_stream.media.facts.fingerprint import fingerprint
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.images.numbering import numbering
from paragon_stream.media.images.sequence_reader import CONTAINER
from paragon_stream.media.output.plan import OutputPlan
from paragon_stream.render.upscalers import fit_of_changes
from paragon_stream.upscaler import UpscalerOptions, parse_strength


def identity_of(
    info: MediaInfo, weights: Weights, placement: Placement, options: UpscalerOptions, output: OutputPlan
) -> Mapping[str, str]:
    """Name → fact. Two renders with equal facts give the same file; the names are for messages.

    Empty for y4m and for sources that are pipes, which begin anew; then `--resume` raises UsageError. Raises
    InputError where the source cannot be read.
    """
    if info.piped and output.options.resume:
        raise UsageError("--resume needs a file: a pipe begins anew")
    if info.piped:
        return {}
    if output.job is None and output.image is None:
        if output.options.resume:
            raise UsageError("--resume continues video files and sequences of images; y4m begins anew")
        return {}
    video, spec = info.video, weights.spec
    strength = parse_strength(options.strength)
    chosen = output.job.settings if output.job else output.options.encoder_options or {}
    settings = " ".join(f"{key}={value}" for key, value in chosen.items())
    chapters = f"chapters {output.options.chapters}"
    added = [f"{fingerprint(file.path)}: {', '.join(map(str, file.streams))}" for file in output.added]
    facts = {
        "source data": _content(info),
        "frame selection": f"video {video.index}, {info.cut}, {video.fields}, {video.average_rate} fps",
        "weights": f"{weights.sha256 or weights.name}, {spec!r}, {options.precision}",
        "video mode": Temporal.parse(options.temporal).value,
        "size settings": f"{output.target!r}, {placement}, {fit_of_changes(options)}",
        "encoder settings": f"{output.codec} {settings}",
        "tracks": "; ".join([*map(str, output.streams), *added, chapters]),
        **dict(zip(VERSIONS, (versions()["FFmpeg"], __version__), strict=True)),
    }
    if output.options.mux:
        facts["muxer settings"] = " ".join(f"{key}={value}" for key, value in output.muxer_options.items())
    if spec.conditioned:  # others compute the same at every strength
        facts["strength settings"] = "by frame" if strength is None else str(strength)
    return facts


def _content(info: MediaInfo) -> str:
    """The source's bytes, whatever it is called and wherever it lies."""
    sequence = numbering(info.path) if info.container == CONTAINER else None
    if sequence is None:
        return fingerprint(info.path)
    numbers = sequence.numbers()
    digest = hashlib.sha256()
    for number in numbers:
        digest.update(f"{number} {fingerprint(sequence.path(number))}\n".encode())
    return f"{len(numbers)} images, {digest.hexdigest()}"
