"""Fonts and covers that go into the header of an output, as attached files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from paragon_stream.media.facts.info import MediaInfo, StreamKind
from paragon_stream.media.output.stream_plans import Action, RemuxPlan, StreamPlan
from paragon_stream.media.source.opening import open_source
from paragon_stream.media.source.probing import HEADERS, Probing


class Attachments:
    """Attaches streams of the source at `path` to outputs. Raises what PyAV raises."""

    def __init__(self, path: Path, probing: Probing = HEADERS) -> None:
        self._path, self._probing = path, probing
        self._covers = 0

    def attach(self, template: Any, out: Any) -> None:
        """Put `template`, an attached file or a picture, into the header of `out`."""
        tags = template.metadata
        if template.type == "attachment":
            name, mimetype, data = template.name or "unnamed", template.mimetype or "", template.data
        else:
            kind = "png" if template.codec_context.codec.canonical_name == "png" else "jpeg"
            suffix = {"png": "png", "jpeg": "jpg"}[kind]
            self._covers += 1
            number = f"_{self._covers}" if self._covers > 1 else ""
            name = tags.get("filename") or f"cover{number}.{suffix}"
            mimetype = tags.get("mimetype") or f"image/{kind}"
            data = self._picture(template.index)
        stream = out.add_attachment(name, mimetype, data)
        if tags.get("title"):
            stream.metadata["title"] = tags["title"]

    def _picture(self, index: int) -> bytes:
        """An attached picture, read through a separate demuxer, so that the position of the other one does
        not change."""
        with open_source(self._path, self._probing) as source:
            for packet in source.demux(source.streams[index]):
                if packet.size:
                    return bytes(packet)
        return b""


def without_copies(remux: RemuxPlan, info: MediaInfo) -> RemuxPlan:
    """`remux` without attached files of added files that the source, or a file before, has under the same
    name: fonts, in most cases. Raises InputError."""
    if not any(_is_file(plan) for file in remux.added for plan in file.streams):
        return remux
    seen = set(_contents(info.path, info.probing, remux.streams).values())
    added = []
    for file in remux.added:
        contents, plans = _contents(file.path, file.probing, file.streams), []
        for plan in file.streams:
            content = contents.get(plan.stream.index)
            if content is not None and content in seen:
                plan = replace(plan, action=Action.DROP, reason="the output has the same file already")
            elif content is not None:
                seen.add(content)
            plans.append(plan)
        added.append(replace(file, streams=tuple(plans)))
    return replace(remux, added=tuple(added))


def _is_file(plan: StreamPlan) -> bool:
    return plan.action is Action.ATTACH and plan.stream.kind is StreamKind.ATTACHMENT


def _contents(path: Path, probing: Probing, plans: Sequence[StreamPlan]) -> dict[int, tuple[str, bytes]]:
    """The name and the content of each attached file of `plans`, by its index."""
    wanted = [plan.stream.index for plan in plans if _is_file(plan)]
    if not wanted:
        return {}
    with open_source(path, probing) as source:
        found: list[Any] = [source.streams[index] for index in wanted]
        return {each.index: (each.name or "", bytes(each.data or b"")) for each in found}
