"""What is done with many files in one run."""

from __future__ import annotations

from dataclasses import dataclass

from paragon_stream.options.option import option


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """What a user may ask of a run over many files."""

    recursive: bool = option(False, "Of folders, take what is in the folders inside as well.")
    container: str | None = option(
        None,
        "Container of all videos of a folder: mkv, mp4, mov, webm, ts … (default: each source's own).",
        metavar="SUFFIX",
    )
    watch: bool = option(
        False, "Go on with new files when they have stopped growing, until Ctrl-C.", flag="--watch"
    )
