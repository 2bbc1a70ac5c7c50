"""Opens a file for reading, with a clear message for every reason why that can fail."""

from __future__ import annotations

import codecs
import stat
from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from paragon_stream.errors import InputError, UsageError, reason
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.mp4.boxes import is_fast_start, top_level
from paragon_stream.media.mp4.heif import heif_kind
from paragon_stream.media.source.opened import demuxer_input, is_file_here, opened_bytes
from paragon_stream.media.source.pipes import pipe_at
from paragon_stream.media.source.probing import HEADERS, Probing

_HEAD = 1 << 20
"""Bytes at the start of a file that are examined to explain why it does not open."""


_HEAD_OF_PIPE = 1 << 12
"""Bytes that are read from the beginning of a pipe, which may be slow."""

_SHOWN = 80
"""Characters of a name that a message shows."""

_TEXT_ART = ("tty", "bin", "xbin", "adf", "idf")
"""FFmpeg's demuxers that accept every *.txt and *.bin file as text art."""


_BUFFER = 1 << 16
"""Bytes that are asked of a pipe at once."""


def check_local(source: str | Path) -> None:
    """Raise UsageError if `source` is an address or standard input, which can be read only once."""
    scheme, address, _ = str(source).partition("://")
    if address or scheme == "-":
        what = f"an address ({scheme}://…)" if address else "standard input"
        raise UsageError(f"{what} cannot be read like a file: save it first, or use `paragon-stream live`")


def check_name(path: str | Path) -> None:
    """Raise InputError for a path that the system cannot look up: too long, or in a folder without access
    rights. UsageError for an empty string, which as a path is the current folder."""
    if path == "":
        raise UsageError("a file name is empty")
    try:
        Path(path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        text = str(path)
        shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 :]}"
        raise InputError(f"{shown} cannot be used: {reason(error)}") from error


def open_source(
    path: str | Path, probing: Probing = HEADERS, *, stored_times: bool = False
) -> InputContainer:
    """The demuxer of a regular file, searched for streams as far as `probing` states. The caller closes it.

    With `stored_times` packets have only presentation times from the file or the codec's parser. FFmpeg's
    `genpts`, which derives them from later decode times, is off: it is wrong with B-frames.

    Raises InputError: missing, unreadable, a folder, no regular file, empty, text, cut off before its index,
    encrypted, or in no format that FFmpeg supports.
    """
    path = Path(path)
    try:
        if is_file_here(path):
            _check_regular(path)
        with opened_bytes(path) as (file, _):
            head = file.read(_HEAD if pipe_at(path) is None else _HEAD_OF_PIPE)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from error
    if not head:
        raise InputError(f"{path} is empty")
    if kind := heif_kind(head):
        raise InputError(f"{path} is a picture in {kind}, which is not supported: convert it to PNG first")
    try:
        container = open_demuxer(path, probing, stored_times=stored_times)
    except AV_ERRORS as error:
        raise InputError(_explanation(path, head, error)) from error
    if container.format.name in _TEXT_ART:
        container.close()
        what = "a text file, not a video" if _looks_like_text(head) else "not a media file"
        raise InputError(f"{path} is {what}")
    return container


def _check_regular(path: Path) -> None:
    """Raise InputError if `path` is something else than a file; OSError if it cannot be looked up."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder, not a video file")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is a device or a pipe; only regular files can be read")


def open_demuxer(
    path: Path, probing: Probing, hwaccel: HWAccel | None = None, *, stored_times: bool
) -> InputContainer:
    """The demuxer of `path`. Its streams are decoded by `hwaccel` if it is given. Raises PyAV's
    exceptions."""
    options = probing.options
    flags = options.get("fflags", "")
    if stored_times:
        flags += "-genpts"  # which PyAV sets
    if pipe_at(path) and _has_index_first(path):
        flags += "+ignidx"  # FFmpeg looks for no further index behind the samples, at the end of the pipe
    if flags:
        options["fflags"] = flags
    file = demuxer_input(path)
    container = av.open(file, "r", options=options, hwaccel=hwaccel, buffer_size=_BUFFER)
    if probing.rewinds:
        container.seek(0, unsupported_byte_offset=True)
    return container


def _has_index_first(path: Path) -> bool:
    with opened_bytes(path) as (file, size):
        return is_fast_start(file, size)


def has_index(container: InputContainer) -> bool:
    """Whether seeking uses an index, so that it is exact even if timestamps jump."""
    return bool(set(container.format.name.split(",")) & {"mov", "matroska"})


def video_stream(container: InputContainer, index: int) -> av.VideoStream:
    """The video stream with container index `index`. Raises InputError if it is none or has no decoder."""
    found = container.streams[index] if 0 <= index < len(container.streams) else None
    if not isinstance(found, av.VideoStream) or found.codec_context is None:
        raise InputError(f"stream {index} of {container.name} is not a video stream that can be decoded")
    return found


def decoding_context(stream: av.VideoStream) -> Any:
    """The decoder context of `stream`: its own, or libvpx's for VP8 and VP9 with alpha.

    WebM stores alpha as a second stream beside each frame, which only libvpx's decoders read.
    """
    name = _ALPHA_DECODERS.get(stream.codec_context.codec.canonical_name)
    tags = {key.casefold(): value for key, value in stream.metadata.items()}
    if name is None or tags.get("alpha_mode") != "1":
        return stream.codec_context
    context: Any = av.VideoCodecContext.create(name, "r")
    context.extradata = stream.codec_context.extradata
    context.width, context.height = stream.codec_context.width, stream.codec_context.height
    return context


_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def _explanation(path: Path, head: bytes, error: BaseException) -> str:
    """A message that explains why FFmpeg refused `path`, whose first bytes are `head`."""
    if head.startswith(b"YUV4MPEG2 ") and b" Im" in head.partition(b"\n")[0]:
        return f"{path} is y4m of mixed interlaced and progressive frames (Im), which FFmpeg does not read"
    if head.startswith(b"YUV4MPEG2 "):
        return f"{path} is y4m with a header that FFmpeg does not read: {reason(error)}"
    if _looks_like_text(head):
        return f"{path} is a text file, not a video"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"moof", b"styp", b"wide", b"free"):
        if b"encv" in head or b"pssh" in head:
            return f"{path} is encrypted (DRM) and cannot be decoded"
        if not {b"moov", b"moof"} & _boxes(path):
            return f"{path} has no index (no moov box): the recording or download was cut off before its end"
        return f"{path} is a damaged MP4 or MOV file: {reason(error)}"
    return f"{path} is not a media file, or is damaged at its start or its end: {reason(error)}"


def _looks_like_text(head: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(head[:_HEAD_OF_PIPE], final=len(head) < _HEAD_OF_PIPE)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\n\r\t\f\ufeff" for character in text)


def _boxes(path: Path) -> set[bytes]:
    """The types of the whole boxes at the top of an ISO media file."""
    with opened_bytes(path) as (file, size):
        return {kind for kind, _, _ in top_level(file, size)}
