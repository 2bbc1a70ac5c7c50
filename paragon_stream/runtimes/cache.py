"""Compiled sessions, shared by everything in this process that asks for the same one.

mpv runs a filter's script again at every seek and every file; compiling then would freeze the picture each
time. So sessions outlive the filters that use them: `SESSIONS` keeps the few that were used last.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from paragon_stream.checkpoint import Weights
from paragon_stream.frame import FrameFormat
from paragon_stream.framejob import build_job
from paragon_stream.geometry import Placement
from paragon_stream.runtimes import Session, SessionOptions, runtime

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SessionRequest:
    """What to compile. Requests with the same `key` share one session."""

    weights: Weights
    source: FrameFormat
    placement: Placement | None = None
    """Where the picture goes; None enlarges it as the weights do."""
    temporal: bool = False
    """Whether frames come through `framejob.temporal`; `source` is what they are before."""
    engine: str = "auto"
    options: SessionOptions = field(default_factory=SessionOptions)

    @property
    def key(self) -> Hashable:
        """Weights that came from no file have no digest; their identity distinguishes them."""
        weights = self.weights.sha256 or id(self.weights)
        shape = self.source, self.placement, self.temporal
        return weights, self.weights.spec, *shape, self.engine, self.options


def compile_request(request: SessionRequest) -> Session:
    """Raises FormatError, UsageError or EngineError."""
    job = build_job(request.weights, request.source, placement=request.placement, temporal=request.temporal)
    return runtime(request.engine).compile(job, request.options)


@dataclass(eq=False)
class _Entry:
    """`users` counts the frames that run in the session right now. `request` keeps its weights' id taken."""

    request: SessionRequest
    session: Future[Session] = field(default_factory=Future)
    users: int = 0


class SessionCache:
    """Keeps up to `capacity` sessions; beyond that, closes those that have rested longest. Thread-safe.

    A session is compiled once, by the first caller; callers that come meanwhile wait for it. A failed
    compilation is raised to all callers that wait, then forgotten: the next call tries again.
    """

    def __init__(
        self, capacity: int = 4, build: Callable[[SessionRequest], Session] = compile_request
    ) -> None:
        self._capacity = capacity
        self._build = build
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def session(self, request: SessionRequest) -> Iterator[Session]:
        """The session for `request`, compiled now if need be; it is not closed while the block runs.

        Raises what `compile_request` raises.
        """
        entry, is_new = self._enter(request, users=1)
        try:
            if is_new:
                self._compile(entry)
            try:
                session = entry.session.result()
            except Exception:
                self._forget(entry)
                raise
            yield session
        finally:
            with self._lock:
                entry.users -= 1
            self._trim()

    def ready(self, request: SessionRequest) -> bool:
        """Whether `session(request)` would return at once. If nothing compiles it yet, a thread starts to.

        Raises what went wrong in that thread, once.
        """
        entry, is_new = self._enter(request, users=0)
        if is_new:
            threading.Thread(target=self._compile, args=(entry,), name="paragon-compile", daemon=True).start()
            return False
        if not entry.session.done():
            return False
        error = entry.session.exception()
        if error is not None:
            self._forget(entry)
            raise error
        return True

    def clear(self) -> None:
        """Close every session that is not in use."""
        self._trim(keep=0)

    def _enter(self, request: SessionRequest, *, users: int) -> tuple[_Entry, bool]:
        """The entry of `request`, now the most recently used one, and whether it was made just now."""
        with self._lock:
            entry = self._entries.get(request.key)
            is_new = entry is None
            if entry is None:
                entry = self._entries[request.key] = _Entry(request)
            self._entries.move_to_end(request.key)
            entry.users += users
        return entry, is_new

    def _compile(self, entry: _Entry) -> None:
        try:
            session = self._build(entry.request)
        except BaseException as error:
            entry.session.set_exception(error)
            if not isinstance(error, Exception):
                self._forget(entry)
                raise
        else:
            logger.info("compiled %s with %s on %s", entry.request.source, session.engine, session.device)
            entry.session.set_result(session)

    def _forget(self, entry: _Entry) -> None:
        with self._lock:
            if self._entries.get(entry.request.key) is entry:
                del self._entries[entry.request.key]

    def _trim(self, keep: int | None = None) -> None:
        """Close idle sessions, the longest rested first, until `keep` (default: the capacity) are left."""
        keep = self._capacity if keep is None else keep
        with self._lock:
            if len(self._entries) <= keep:
                return
            idle = [e for e in self._entries.values() if e.users == 0 and e.session.done()]
            surplus = idle[: max(0, len(self._entries) - keep)]
            for entry in surplus:
                del self._entries[entry.request.key]
        for entry in surplus:
            if entry.session.exception() is None:
                entry.session.result().close()


SESSIONS = SessionCache()
"""The one cache of this process."""
