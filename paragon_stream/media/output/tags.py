"""The selection of a source's tags for an output, and their names there."""

from __future__ import annotations

import re
from collections.abc import Mapping

from paragon_stream.media.facts.languages import language_code

# Facts about the old file or its tools, which the new file replaces or which are no longer true.
_STALE = re.compile(
    r"(?i)(?:BPS|DURATION|NUMBER_OF_FRAMES|NUMBER_OF_BYTES|SOURCE_ID|_STATISTICS_.*)(?:-[a-z]{2,3})?"
    r"|major_brand|minor_version|compatible_brands|vendor_id|rotate|encoder|software"
)
# Written by muxers for tracks without a name.
_NO_NAME = re.compile(
    r"(?i)\W*(?:video|sound|subtitle|data|gpac iso .*|core media .*|.*iso media file.*)\s*handler?\W*"
)
_CREATED = "creation_time"
_NO_TIME = "1970-01-01T00:00:00"


def file_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of a whole file that are worth carrying over."""
    kept = {key: value for key, value in tags.items() if not is_stale(key)}
    created = kept.pop(_CREATED, "").split(";")[0]  # FFmpeg joins the two times of a QuickTime file
    return kept | ({_CREATED: created} if created and not created.startswith(_NO_TIME) else {})


def is_stale(key: str) -> bool:
    """Whether the tag describes only the old file."""
    return _STALE.fullmatch(key) is not None


def stream_tags(tags: Mapping[str, str], *, muxer: str, language: str = "") -> dict[str, str]:
    """The tags of one stream for a file of kind `muxer`: titles under one name, without statistics.

    MP4's demuxer calls a track's title `name`; a meaningful handler name is kept in MP4 and MOV. `language`
    replaces that of the tags.
    """
    kept = file_tags(tags)
    by_name = {key.casefold(): key for key in kept}
    title = kept.get(by_name.get("title", ""), "")
    name = kept.pop(by_name["name"]) if "name" in by_name else ""
    handler = kept.pop(by_name["handler_name"]) if "handler_name" in by_name else ""
    if not title and name:
        kept["title"] = name
    if handler and muxer in ("mp4", "mov") and not _NO_NAME.fullmatch(handler):
        kept["handler_name"] = handler
    key = by_name.get("language")
    if key and kept[key] == "und":
        del kept[key]
    if language:
        bibliographic = language_code(language) if muxer == "mov" else None  # FFmpeg writes no others in MOV
        kept["language"] = bibliographic or language
    return kept
