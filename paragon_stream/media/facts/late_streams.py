"""Finds streams that begin late, before a render and at its end.

Most containers list their streams in a header. MPEG transport and program streams and FLV do not: a stream
appears with its first packet, or with a new program map. In recordings and on DVDs a second sound track or
subtitles often begin late. All readers of a file must find the same streams under the same numbers, so
`settle_probing` decides the search length once, and `MediaInfo.probing` keeps it.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from paragon_stream.media.facts.streams import describe_stream
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.log import captured_log
from paragon_stream.media.source.opened import opened_bytes, source_size
from paragon_stream.media.source.opening import open_source
from paragon_stream.media.source.probing import HEADERS, Probing

_WITHOUT_LIST = frozenset({"mpegts", "mpeg", "flv"})
"""FFmpeg's names of the containers that do not list their streams in a header."""
_REWOUND = frozenset({"mpegts", "mpeg"})
"""The containers of `_WITHOUT_LIST` that can be read from any byte position."""

DEFAULT_SIZE = 100_000_000
"""Bytes that are searched in such containers: a minute or more of broadcasts and DVDs, 0.7 s of one core."""
_WINDOWS = 24
"""Positions after that which are searched in a larger file; the last is its end."""
_WINDOW_SIZE = 1 << 20
_LAST_WINDOW_SIZE = 8 << 20


def settle_probing(path: Path, size: int | None = None) -> Probing:
    """The `Probing` that finds all streams of `path`.

    `size` is the number of bytes to search; None searches as far as necessary. The search costs time only if
    the header does not list the streams; later readers repeat a longer search only if it found more. Raises
    InputError.
    """
    with open_source(path) as container:
        name = container.format.name
        if name not in _WITHOUT_LIST:
            return HEADERS
        found = _facts(container)
    length = source_size(path)
    # FFmpeg goes back to the start of a file whose size it can ask for.
    rewinds = name in _REWOUND and length < sys.maxsize
    longer = Probing(size=min(size or DEFAULT_SIZE, length), rewinds=rewinds)
    if size is not None:
        return longer
    with open_source(path, longer) as container:
        further = _reaching_further(container, path, longer)
        return HEADERS if further == longer and _facts(container) == found else further


def streams_since(container: Any) -> list[str]:
    """FFmpeg's descriptions of the streams that appeared in `container` since it was opened.

    PyAV lists only the streams that were found on opening.
    """
    with captured_log(av.logging.INFO):  # without this level FFmpeg lists nothing
        listed = _LISTED.findall(container.dumps_format())
    return [words.strip() for index, words in listed if int(index) >= len(container.streams)]


_LISTED = re.compile(r"(?m)^ *Stream #0:(\d+)[^:]*: (.*)$")


def _facts(container: InputContainer) -> list[tuple[int, str, str]]:
    described = [(stream.id, describe_stream(stream)) for stream in container.streams]
    return [(number, stream.kind, stream.detail) for number, stream in described]


def _reaching_further(container: InputContainer, path: Path, probing: Probing) -> Probing:
    """`probing`, with which `container` was opened, or a longer one if streams begin after its range."""
    length = source_size(path)
    rest = length - probing.size
    if not probing.rewinds or rest <= 0:
        return probing
    known = _complete(container)
    reach = probing.size
    with opened_bytes(path) as (file, _):
        for number in range(1, _WINDOWS + 1):
            size = _LAST_WINDOW_SIZE if number == _WINDOWS else _WINDOW_SIZE
            begin = max(probing.size, probing.size + rest * number // _WINDOWS - size)
            file.seek(begin)
            new = _stream_ids(file.read(size), container.format.name) - known
            if new:
                known |= new
                reach = min(length, begin + size + _LAST_WINDOW_SIZE)
    return Probing(size=reach, rewinds=True)


def _complete(container: InputContainer) -> set[int]:
    """Identifiers of the streams that have packets: the program map alone does not describe the sound."""
    return {s.id for s in container.streams if s.type not in ("audio", "video") or _has_parameters(s)}


def _has_parameters(stream: Any) -> bool:
    context = stream.codec_context
    if context is None:
        return False
    return bool(context.width if stream.type == "video" else context.sample_rate)


def _stream_ids(data: bytes, format: str) -> set[int]:
    """Identifiers of the streams in a piece of a file."""
    try:
        with av.open(io.BytesIO(data), "r", format=format, options={"scan_all_pmts": "1"}) as piece:
            return _complete(piece)
    except AV_ERRORS:
        return set()
