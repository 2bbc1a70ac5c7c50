"""Fonts and covers that go into the header of an output, as attached files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
