"""The connection to a Ray cluster, or a cluster of one node that is started for one render."""

from __future__ import annotations

import importlib
import ipaddress
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paragon_stream.errors import EngineError, UsageError, install_command
from paragon_stream.media.safekeeping.locks import lock, still_there
from paragon_stream.pipeline.interrupt import REQUESTS

LOCAL = "local"
_AUTO = "auto"
_ADDRESS = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
_STORE_BYTES = 128 << 20
"""Size of a local cluster's object store, which holds finished chunks and pieces of the source in transit."""

_FOLDER, _LOCK = "paragon-ray-", "paragon.lock"

_PRINTING = "print_to_stdstream"
"""Ray's function for messages of its processes (Ray 2.60)."""

_PATIENCE = 10.0
"""Seconds to wait for the answer of a host."""


logger = logging.getLogger(__name__)


def parse_address(value: str) -> str:
    """`value` if it names a cluster. Raises UsageError."""
    if value in (_AUTO, LOCAL) or (_ADDRESS.fullmatch(value) and _is_host(value.rpartition(":")[0])):
        return value
    raise UsageError(f"--cluster {value} is not an address: give auto, local or host:port")


def _is_host(name: str) -> bool:
    """Whether the parts of `name` between dots have 1 to 63 characters: others cannot be looked up."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def load_ray() -> Any:
    """The package Ray. Raises UsageError if it is not installed."""
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise UsageError(f"--cluster needs Ray: {install_command('ray')}") from None


class Connection:
    """Close it, or use `with`. `ray` is the package, `local` says that the cluster is this render's own.

    A connection that the process has already is used, and stays. Raises UsageError without Ray or for an
    address that is none, EngineError where no cluster answers.
    """

    def __init__(self, address: str, *, cpus: int | None = None) -> None:
        """`cpus` of a local cluster; all of this machine by default."""
        self.local = parse_address(address) == LOCAL
        self._folder: SessionFolder | None = None
        if self.local and "ray" not in sys.modules:  # which reads this when it is imported
            _prepare_local()
        self.ray = load_ray()
        importlib.import_module("ray.util.scheduling_strategies")
        self._ours = not self.ray.is_initialized()
        if not self._ours:
            return
        if self.local:
            options: dict[str, Any] = {
                "address": LOCAL,  # without it Ray joins a cluster that runs on this machine
                "num_cpus": cpus or _usable_cpus(),
                "object_store_memory": _STORE_BYTES,
                "include_dashboard": False,
            }
        else:
            options = {"address": address, **_interface(address)}
        handlers = _handlers()
        self._printing = _log_messages()
        try:
            if self.local:
                self._folder = SessionFolder()
                options["_temp_dir"] = str(self._folder.path)
            self.ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
            self.ray.shutdown()
            _print_messages(self._printing)
            self._remove_folder()
            raise EngineError(_sentence(address, error)) from error
        finally:
            _restore(handlers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and the cluster if this render has started it."""
        if self._ours:
            self._ours = False
            handlers = _handlers()
            self.ray.shutdown()
            _restore(handlers)
            _print_messages(self._printing)
            self._remove_folder()

    def _remove_folder(self) -> None:
        if self._folder is not None:
            self._folder.remove()


def _prepare_local() -> None:
    """Defaults of a cluster that no other program may join: Ray reads them from the environment only."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # as nice as this process, no nicer
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _log_messages() -> Any:
    """Log what Ray's processes report, such as the death of a node. Returns the function that prints it.

    Ray prints it on standard output, where a program may read the report of paragon-stream, also without
    `log_to_driver`. Each failure has a warning of its own.
    """
    worker = importlib.import_module("ray._private.worker")
    printing = worker.__dict__.get(_PRINTING)
    if printing is not None:
        setattr(worker, _PRINTING, lambda data, **_: logger.info("Ray: %s", "\n".join(data["lines"])))
    return printing


def _print_messages(printing: Any) -> None:
    """Undo `_log_messages`."""
    if printing is not None:
        setattr(importlib.import_module("ray._private.worker"), _PRINTING, printing)


class SessionFolder:
    """The folder for the sockets and logs of a local cluster, which Ray would keep for ever. `remove` it.

    A new one removes those that killed processes have left: their locks have ended with the processes.
    """

    def __init__(self) -> None:
        short = Path("/tmp")  # the paths of sockets must be short
        root = short if os.access(short, os.W_OK) else Path(tempfile.gettempdir())
        for left in root.glob(f"{_FOLDER}*/{_LOCK}"):
            with suppress(OSError), left.open("r+b") as held:
                if lock(held):
                    shutil.rmtree(left.parent, ignore_errors=True)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_FOLDER, dir=root))
            self._lock = (self.path / _LOCK).open("w+b")
            if lock(self._lock) and still_there(self._lock, self.path / _LOCK):
                break
            self._lock.close()  # another process has taken it for a leftover just now

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _interface(address: str) -> dict[str, str]:
    """The address of this machine on the network of the requested machine; Ray would take the address towards
    the internet. Raises EngineError at once if nothing listens there, where Ray would try for minutes."""
    if address == _AUTO:
        return {}
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE) as connected:
            here = str(connected.getsockname()[0])
    except (OSError, OverflowError) as error:
        raise EngineError(f"no Ray cluster answers at {address}: {error}") from error
    return {} if ipaddress.ip_address(here).is_loopback else {"_node_ip_address": here}


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _handlers() -> dict[int, Any]:
    """Ray takes SIGTERM over; a render has its own way to end."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) for number in REQUESTS}


def _restore(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None:
            signal.signal(number, handler)


def _sentence(address: str, error: Exception) -> str:
    if address == _AUTO:
        return (
            "this machine belongs to no Ray cluster: start one with `ray start --head`, "
            "give its address as host:port, or use --cluster local"
        )
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"no Ray cluster can be used at {address}: {first}"
