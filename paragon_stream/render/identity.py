"""The identity of a render: all facts that change a sample or a packet of the result, and no others.

`--resume` continues an unfinished file only if its identity equals that of the request. The engine, its
device and threads are not part of it: every engine gives the same pictures, within the error of its
precision. Options count by their effect, not by their spelling: `--strength auto` is the default,
`--start 60` is `--start 1:00`, and `--video 1` is the video that is chosen by default.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from paragon_stream import __version__
from paragon_stream.checkpoint import Weights
from paragon_stream.errors import UsageError
from paragon_stream.framejob.temporal import Temporal
from paragon_stream.geometry import Placement
from paragon_stream.media.encode.workdir import VERSIONS
from paragon_stream.media.facts.info import IMAGE_SEQUENCE, MediaInfo
from paragon_stream.media.ffmpeg.versions import versions
from paragon_stream.media.images.numbering import numbering
from paragon_stream.media.output.plan import OutputPlan
from paragon_stream.media.output.stream_plans import StreamPlan
from paragon_stream.media.source.fingerprint import fingerprint
from paragon_stream.render.upscalers import fit_of_changes
from paragon_stream.upscaler import UpscalerOptions, parse_strength


def identity_of(
    info: MediaInfo, weights: Weights, placement: Placement, options: UpscalerOptions, output: OutputPlan
) -> Mapping[str, str]:
    """Name → fact. Two renders with equal facts give the same file; the names are for messages.

    Empty for y4m and for pipes, which cannot be resumed: `--resume` raises UsageError then. Raises InputError
    if the source cannot be read.
    """
    if info.piped and output.options.resume:
        raise UsageError("--resume needs a file: a pipe cannot be resumed")
    if info.piped:
        return {}
    if output.job is None and output.image is None:
        if output.options.resume:
            raise UsageError("--resume continues video files and sequences of images; y4m cannot be resumed")
        return {}
    video, spec = info.video, weights.spec
    strength = parse_strength(options.strength)
    chosen = output.job.settings if output.job else output.options.encoder_options or {}
    settings = " ".join(f"{key}={value}" for key, value in chosen.items())
    chapters = f"chapters {output.options.chapters}"
    added = [f"{fingerprint(file.path)}: {_tracks(file.streams)}" for file in output.added]
    facts = {
        "source data": _content(info),
        "frame selection": f"video {video.index}, {info.cut}, {video.fields}, {video.average_rate} fps",
        "weights": f"{weights.sha256 or weights.name}, {spec!r}, {options.precision}",
        "video mode": Temporal.parse(options.temporal).value,
        "size settings": f"{output.target!r}, {placement}, {fit_of_changes(options)}",
        "encoder settings": f"{output.codec} {settings}",
        "tracks": "; ".join([_tracks(output.streams), *added, chapters]),
        **dict(zip(VERSIONS, (versions()["FFmpeg"], __version__), strict=True)),
    }
    if output.options.mux:
        facts["muxer settings"] = " ".join(f"{key}={value}" for key, value in output.muxer_options.items())
    if spec.conditioned:  # the strength has no effect on others
        facts["strength settings"] = "by frame" if strength is None else str(strength)
    return facts


def _tracks(streams: Iterable[StreamPlan]) -> str:
    return "; ".join(f"{stream}, {stream.sound}" if stream.sound else str(stream) for stream in streams)


def _content(info: MediaInfo) -> str:
    """A digest of the source's bytes, independent of its name and folder; of a sequence, the images' numbers.

    The images themselves do not count: a damaged one may be repaired before `--resume`, and reading all of
    them before the first frame can take hours. `--resume` compares the last done ones with their records.
    """
    sequence = numbering(info.path) if info.container == IMAGE_SEQUENCE else None
    if sequence is None:
        return fingerprint(info.path)
    numbers = sequence.numbers()
    digest = hashlib.sha256(" ".join(map(str, numbers)).encode())
    return f"{len(numbers)} images, {digest.hexdigest()}"
