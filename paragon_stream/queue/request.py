"""The request for a run over many files, and the request of each file in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from paragon_stream.errors import UsageError
from paragon_stream.media.facts.containers import container_for, is_video_name
from paragon_stream.media.facts.image_kinds import is_image_name, kind_for
from paragon_stream.media.source.fingerprint import fingerprint
from paragon_stream.media.source.opening import check_name
from paragon_stream.options.cluster import ClusterOptions
from paragon_stream.options.folder import FolderOptions
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.option import described, option, part
from paragon_stream.options.output import OutputOptions, StorageOptions
from paragon_stream.options.source import SourceOptions
from paragon_stream.pictures.job import PictureOutput
from paragon_stream.queue.decision import CONTENTS
from paragon_stream.render.request import RenderRequest

_SAME_RESULT = (
    *("overwrite", "resume", "accept_upgrade", "strict"),
    *("engine", "threads", "device", "hwaccel", "reuse_duplicates"),
)
"""Options without influence on the samples and packets of a result."""


@dataclass(frozen=True, kw_only=True)
class QueueRequest(ClusterOptions, FolderOptions, OutputOptions, SourceOptions, UpscalerOptions):
    """The request for a run over many files."""

    sources: str | Path | Sequence[str | Path] = field(
        kw_only=False, metadata=described("Files, folders, globs, and lists of them: @list.txt.")
    )
    destination: str | Path = field(
        kw_only=False, metadata=described("A folder, FOLDER/*.png for pictures or FOLDER/*.mkv for videos.")
    )
    verify: bool = option(False, "Compare every video with its source afterwards.")

    def placed(self) -> Destination:
        """The place of the results. Raises UsageError for a destination that is one file, and for a container
        that cannot be written."""
        target = Path(self.destination)
        check_name(self.destination)
        container, picture = self.container and f".{self.container.lstrip('.')}", None
        if container is not None and container != ".y4m":
            container_for(Path(f"x{container}"))
        if "*" in target.name:
            if target.name != f"*{target.suffix}":
                raise UsageError(f"the destination {target} is neither a folder nor of the form FOLDER/*.png")
            if is_video_name(target):
                container = target.suffix
            else:
                kind_for(Path("x" + target.suffix))
                picture = target.suffix
            return Destination(folder=target.parent, container=container, picture=picture)
        if target.is_dir():
            return Destination(folder=target, container=container, picture=None)
        if not is_folder_name(self.destination):
            if is_image_name(target):
                raise UsageError(f"{target} is one image, but there may be many to write: give a folder")
            if is_video_name(target) or str(target) == "-":
                raise UsageError(
                    f"{target} is one video, but there may be many to write: give a folder (images become "
                    "one video by a pattern such as frame_%06d.png)"
                )
        if target.exists():
            raise UsageError(f"{target} is a file: give a folder for the results")
        return Destination(folder=target, container=container, picture=None)

    def doubts(self, videos: int) -> list[str]:
        """A warning for each option that is accepted but unusual in a run over `videos` videos."""
        if not self.add or (videos < 2 and not self.watch):
            return []
        files = "the same file" if len(self.add) == 1 else "the same files"
        return [f"--add puts {files} into {'every video' if self.watch else f'all {videos} videos'}"]

    def of_video(self, source: Path, destination: Path, *, resume: bool, overwrite: bool) -> RenderRequest:
        """The request of one video."""
        names = {each.name for each in fields(RenderRequest)} - {"source", "destination"}
        chosen = {name: getattr(self, name) for name in names}
        chosen |= {"resume": resume, "overwrite": overwrite}
        return RenderRequest(source, destination, **chosen)

    def of_picture(self, *, overwrite: bool, alone: bool) -> PictureOutput:
        """The storage of pictures. If there are also videos (not `alone`), the pixel format and the encoder's
        options apply to the videos only."""
        storage = part(self, StorageOptions)
        if not alone:
            storage = replace(storage, pix_fmt=None, encoder_options=None)
        return PictureOutput.of(part(self, UpscalerOptions), storage, overwrite=overwrite, strict=self.strict)

    @property
    def choices(self) -> dict[str, Any]:
        """The options that influence the results, in JSON types, without defaults. `CONTENTS` is the content
        of the files among them. Raises InputError for files that cannot be read."""
        kept = {each.name for each in fields(RenderRequest)} - {"source", "destination", *_SAME_RESULT}
        facts = self.of_video(Path(), Path(), resume=False, overwrite=False).to_plain()
        contents: dict[str, Any] = {}
        if self.weights is not None and Path(self.weights).is_file():
            contents["weights"] = fingerprint(Path(self.weights))
        if self.add and all(Path(each).is_file() for each in self.add):
            contents["add"] = [fingerprint(Path(each)) for each in self.add]
        return {name: value for name, value in facts.items() if name in kept} | (
            {CONTENTS: contents} if contents else {}
        )


def is_folder_name(path: str | Path) -> bool:
    """Whether `path` ends with a slash, which a `Path` has lost."""
    return str(path).endswith(("/", os.sep))


@dataclass(frozen=True, kw_only=True)
class Destination:
    """`folder`, and the suffixes of results there: of videos and of pictures; None keeps the source's."""

    folder: Path
    container: str | None
    picture: str | None
