"""The options of a run over many files."""

from __future__ import annotations

from dataclasses import dataclass

from paragon_stream.options.option import option


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """Options of a run over many files."""

    recursive: bool = option(False, "Include the subfolders of a folder.")
    container: str | None = option(
        None,
        "Container of all videos of a folder: mkv, mp4, mov, webm, ts … (default: each source's own).",
        metavar="SUFFIX",
    )
    watch: bool = option(
        False, "Wait for new files and upscale them when they are complete, until Ctrl-C.", flag="--watch"
    )
