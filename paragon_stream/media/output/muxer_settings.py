"""Options of FFmpeg's muxers, from the container and from `--mux`."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping

import av

from paragon_stream.errors import UsageError, reason
from paragon_stream.media.facts.containers import CRASH_SAFE_MP4, Container
from paragon_stream.media.facts.info import StreamKind
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.output.stream_plans import RemuxPlan

_FLAGS = "movflags"
_FAST_START = "faststart"
_TRIAL_CODECS = {"webm": "vp9", "mpegts": "h264"}
"""A codec that muxers accept without extradata."""


def muxer_settings(container: Container, remux: RemuxPlan, wanted: Mapping[str, str]) -> dict[str, str]:
    """The container's own options and those that are `wanted`, which come last; `movflags` are joined.

    MP4 and MOV are crash-safe only if FFmpeg's final file is still correct. With more than pictures and sound
    it is not: a cover leaves an empty track, the chapter track becomes unreadable, and subtitles may shift at
    the borders of fragments. If a track begins late, everything before would be in memory.

    Raises UsageError for options that the muxer does not have or refuses.
    """
    options = dict(container.options)
    others = remux.kinds - {StreamKind.AUDIO, StreamKind.VIDEO}
    if container.name in ("mp4", "mov") and not others and not remux.chapters and not remux.begins_late:
        options |= CRASH_SAFE_MP4
    given = {key: str(value) for key, value in wanted.items()}
    flags = given.pop(_FLAGS, "")
    if flags:
        if container.name not in ("mp4", "mov"):
            raise UsageError(f"--mux {_FLAGS}={flags}: only MP4 and MOV have it")
        signed = flags if flags[0] in "+-" else f"+{flags}"
        for sign in "+-":
            signed = signed.replace(f"{sign}{_FAST_START}", "")  # `fast_start.py` moves the index, not FFmpeg
        if signed:
            given[_FLAGS] = options.get(_FLAGS, "") + signed
    if given:
        _check(container, given, " ".join(f"{key}={value}" for key, value in wanted.items()))
    return options | given


def wants_fast_start(container: Container, wanted: Mapping[str, str]) -> bool:
    """Whether the index of an MP4 or MOV goes before the pictures: the default, unless `--mux` disables
    it."""
    return container.name in ("mp4", "mov") and f"-{_FAST_START}" not in str(wanted.get(_FLAGS, ""))


def _check(container: Container, given: Mapping[str, str], text: str) -> None:
    """Write a header with the options to find those that FFmpeg refuses or PyAV reports as unused."""
    unused = _Unused()
    log = logging.getLogger("av.container.output")
    log.addHandler(unused)
    propagates, log.propagate = log.propagate, False
    try:
        with av.open(io.BytesIO(), "w", format=container.muxer, options=dict(given)) as scratch:
            scratch.add_mux_stream(_TRIAL_CODECS.get(container.muxer, "mjpeg"), width=16, height=16)
            scratch.start_encoding()
    except AV_ERRORS as error:
        raise UsageError(f"--mux {text} is refused by {container.muxer}: {reason(error)}") from error
    finally:
        log.removeHandler(unused)
        log.propagate = propagates
    if unused.found:
        raise UsageError(f"the {container.muxer} muxer does not have all of the options --mux {text}")


class _Unused(logging.Handler):
    """Notes whether PyAV warned of options that were not used."""

    found = False

    def emit(self, record: logging.LogRecord) -> None:
        self.found = True
