"""Decides whether an encoder's settings have the same effect on a part as on the whole video."""

from __future__ import annotations

from paragon_stream.media.encode.abilities import codes_without_loss
from paragon_stream.media.encode.encoder_job import EncoderJob

_QUALITY = {"crf", "cq", "qp", "q", "qscale", "global_quality", "lossless", "quality"}
"""Settings of constant quality."""
_BUDGETS = ("b", "bitrate", "ab")
"""Settings of a bit rate."""
_BUFFERS = {"maxrate", "bufsize", "vbv-maxrate", "vbv-bufsize", "vbv-init"}
_PASSES = {"pass", "stats", "passlogfile", "multipass", "twopass"}
_BY_PROFILE = ("prores", "dnxhd")
"""Codecs that code every picture alone, with a size that the profile determines."""


def why_no_chunks(job: EncoderJob) -> str:
    """Why chunks encoded with `job`'s settings would differ from one encoder's result for the whole video; ""
    if they would not.

    Constant quality and lossless settings depend on each picture and its neighbours. A bit rate, a buffer and
    two passes are budgets for the whole video, and the needs of other chunks are not known in a chunk.
    """
    settings = {key.casefold(): value for key, value in job.settings.items()}
    every = {**settings, **job.library_settings}
    for key in _PASSES & every.keys():
        if every[key] not in ("", "0", "disabled"):
            return f"{key}={every[key]} is for a second pass over the whole"
    if "pass" in every.get("flags", ""):
        return f"flags={every['flags']} is for a second pass over the whole"
    for key in _BUDGETS:
        if every.get(key, "0") != "0":
            return f"{job.encoder.name} aims at a bit rate for the whole ({key}={every[key]})"
    for key in sorted(_BUFFERS & every.keys()):
        if every[key] != "0":
            return f"{key}={every[key]} fills a buffer from one chunk to the next"
    if _QUALITY & every.keys() or job.encoder.codec in _BY_PROFILE or codes_without_loss(job.encoder.name):
        return ""
    return f"without a quality {job.encoder.name} aims at a bit rate for the whole"
