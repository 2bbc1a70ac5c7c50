"""The worker process of a cluster: it opens one session and renders the chunks that it is assigned.

The class is an actor's, made by Ray from its name: no code travels, and arguments and results are plain data.
If this machine can access the folder of chunks, files are written there; otherwise they return in the result.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from paragon_stream.chunks.folder import ChunkFolder, scratch_in
from paragon_stream.chunks.plan import ChunkPlan
from paragon_stream.chunks.render import ChunkRenderer, Here
from paragon_stream.cluster.source_pieces import SourcePieces, fetch_block
from paragon_stream.errors import EngineError, InputError, Interrupted, ParagonError, reason
from paragon_stream.media.images.numbering import numbering
from paragon_stream.media.source.distant import read_elsewhere
from paragon_stream.media.source.fingerprint import fingerprint
from paragon_stream.render.progress import RenderProgress
from paragon_stream.runtimes.disk_cache import temporary_folder


class Order(TypedDict):
    """The arguments that every worker of a render receives."""

    plan: str
    """`ChunkPlan.to_json`."""
    token: tuple[str, str]
    """Name and content of a file in the folder of chunks: machines that read it there see that folder."""
    weights: tuple[str, bytes] | None
    """Name and content of the file of weights, if it is not a shipped one."""
    source_bytes: int
    """The size of the source, if it is a file."""
    threads: int | None
    device: str | None
    """The device of the engine, if it is not the plan's."""


class Outcome(TypedDict):
    """The result of a call. `error` is a sentence, or "" without an error."""

    error: str
    wants_source: bool
    """This machine does not see the source: call `open` again with an object that reads it."""
    record: str
    """`ChunkRecord.to_json`, of a chunk."""
    data: bytes | None
    """The chunk's file, from a machine that does not see the folder of chunks."""


class ChunkWorker:
    """One session on one machine. Ray calls `open` first, then `render`; `done` and `stop` at any time."""

    def __init__(self, name: str, order: Order) -> None:
        """`name` is the machine's name in reports."""
        self._name, self._order = name, order
        self._plan = ChunkPlan.from_json(order["plan"])
        self._folder = ChunkFolder(self._plan.destination)
        self._opened = ExitStack()
        self._renderer: ChunkRenderer | None = None
        self._shared = False
        self._scratch = Path()
        self._pieces: SourcePieces | None = None
        self._fetched = 0
        """Bytes of the source that were brought here for the chunks that are done."""
        self._now = (-1, 0)
        """The number of the chunk that is being rendered, and how many of its frames are done."""
        self._stopping = threading.Event()

    def open(self, server: Any = None) -> Outcome:
        """Find the files and compile the engine. `server`, the actor of a `BlockServer`, has the source."""
        try:
            if server is None and not self._sees_source():
                return _outcome(wants_source=True)
            self._open(server)
        except ParagonError as error:
            self._opened.close()
            return _outcome(error=str(error))
        return _outcome()

    def render(self, number: int) -> Outcome:
        """Render chunk `number`."""
        assert self._renderer is not None, "it was opened"
        self._stopping.clear()
        self._now = number, 0
        try:
            record, file = self._renderer.render(number, self._note)
            if self._pieces is not None:
                record = replace(record, fetched_bytes=self._pieces.fetched - self._fetched)
                self._fetched = self._pieces.fetched
            data = None
            if self._shared:
                self._folder.take(record, file)
            elif file is not None:
                data = file.read_bytes()
            return _outcome(record=record.to_json(), data=data)
        except ParagonError as error:
            return _outcome(error=str(error))
        finally:
            self._now = -1, 0

    def done(self) -> tuple[int, int]:
        """The number of the chunk that is being rendered (−1: none), and how many of its frames are done."""
        return self._now

    def stop(self, number: int) -> None:
        """Cancel chunk `number`, if it is being rendered."""
        if self._now[0] == number:
            self._stopping.set()

    def close(self) -> None:
        """Remove unfinished files."""
        self._opened.close()

    def _open(self, server: Any) -> None:
        name, content = self._order["token"]
        token = self._folder.path / name
        self._shared = token.is_file() and token.read_text("utf-8") == content
        # Beside the chunks a file in the making is renamed; elsewhere it is on this machine's own disk.
        where = self._folder.path if self._shared else _own_disk()
        self._scratch = self._opened.enter_context(scratch_in(where))
        weights = None
        if self._order["weights"] is not None:
            file, data = self._order["weights"]
            weights = self._scratch / file
            weights.write_bytes(data)
        here = Here(
            source=None if server is None else self._distant_source(server),
            weights=weights,
            threads=self._order["threads"],
            device=self._order["device"],
        )
        self._renderer = ChunkRenderer(self._plan, self._scratch, here, node=self._name)
        self._opened.callback(self._renderer.close)

    def _sees_source(self) -> bool:
        """Whether the source is here, under its name; images of a sequence always are."""
        source = Path(self._plan.request.source)
        try:
            return numbering(source) is not None or fingerprint(source) == self._plan.identity["source data"]
        except InputError:
            return False

    def _distant_source(self, server: Any) -> Path:
        """The name under which the source is read, piece by piece, from the machine that has it."""
        name, content = Path(self._plan.request.source).name, self._plan.identity["source data"]
        fetch = partial(fetch_block, server)
        self._pieces = SourcePieces(name, self._order["source_bytes"], content, fetch)
        self._opened.callback(self._pieces.close)
        self._opened.enter_context(read_elsewhere(self._pieces.path, self._pieces))
        return self._pieces.path

    def _note(self, progress: RenderProgress) -> None:
        self._now = self._now[0], progress.frames
        if self._stopping.is_set():
            raise Interrupted("the chunk was given up")


def _own_disk() -> Path:
    try:
        return temporary_folder()
    except OSError as error:
        raise EngineError(f"there is no folder for temporary files: {reason(error)}") from error


def _outcome(
    *, error: str = "", wants_source: bool = False, record: str = "", data: bytes | None = None
) -> Outcome:
    return {"error": error, "wants_source": wants_source, "record": record, "data": data}
