"""A cache of compiled sessions for this process.

mpv runs a filter's script again at every seek and every file; compiling each time would freeze the picture.
So sessions outlive the filters that use them: `SESSIONS` keeps those that were used last.
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
    """The facts that a session is compiled for. Requests with the same `key` share one session."""

    weights: Weights
    source: FrameFormat
    placement: Placement | None = None
    """Size and position of the picture in the result; None for the scale of the weights."""
    temporal: bool = False
    """Whether the job is that of the video mode (`framejob.temporal`); `source` is the format of the frames
    themselves."""
    engine: str = "auto"
    options: SessionOptions = field(default_factory=SessionOptions)

    @property
    def key(self) -> Hashable:
        """Weights without a file have no digest; their `id` distinguishes them."""
        weights = self.weights.sha256 or id(self.weights)
        shape = self.source, self.placement, self.temporal
        return weights, self.weights.spec, *shape, self.engine, self.options


def compile_request(request: SessionRequest) -> Session:
    """Raises FormatError, UsageError or EngineError."""
    job = build_job(request.weights, request.source, placement=request.placement, temporal=request.temporal)
    return runtime(request.engine).compile(job, request.options)


@dataclass(eq=False)
class _Entry:
    """`users` counts the frames that run in the session now. `request` keeps the weights alive, so that their
    `id` stays unique."""

    request: SessionRequest
    session: Future[Session] = field(default_factory=Future)
    users: int = 0


class SessionCache:
    """Keeps up to `capacity` sessions and closes the least recently used ones. Thread-safe.

    The first caller compiles a session, and concurrent callers wait for it. All of them get the error of a
    failed compilation; the next call tries again.
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
        """The session for `request`, compiled if necessary; it is not closed while the block runs.

        Raises the errors of `compile_request`.
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
        """Whether `session(request)` would return at once. Starts a thread that compiles it if there is none.

        Raises the error of that thread, once.
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
        """The entry of `request`, now the most recently used one, and whether it is new."""
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
        """Close idle sessions, the least recently used first, until `keep` (default: the capacity) are
        left."""
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
