"""What the scheduler needs of an accelerator. Every CUDA call of this package is one of these methods.

`CudaDevice` (cuda.py) is the real thing; the tests' `FakeDevice` computes in host memory, keeps a virtual
clock, fails where a test demands it, and notices misuse. Whatever runs on one runs on the other unchanged.

Streams are queues: what is put into one runs in order, different streams run at the same time unless an
event holds one back. All methods may be called from any thread that is inside `current()`, and raise
EngineError for whatever the driver refuses (DeviceMemoryError where memory is short). Pointers are device
addresses as plain ints.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

type Size3 = tuple[int, int, int]

type Argument = int | np.int32 | np.uint32 | np.float32
"""A kernel's argument: a plain int is a 64-bit pointer, NumPy scalars are 32-bit values."""


@dataclass(frozen=True, kw_only=True)
class DeviceInfo:
    """Which device it is. `driver` is the version of CUDA that the driver speaks: "13.0"."""

    name: str
    ordinal: int
    compute_capability: tuple[int, int]
    memory: int
    multiprocessors: int
    driver: str

    @property
    def is_cuda(self) -> bool:
        """Whether pictures of decoders and encoders on the same GPU can be shared."""
        return True

    @property
    def sm(self) -> int:
        """The architecture's number, as in sm_89."""
        return 10 * self.compute_capability[0] + self.compute_capability[1]

    @property
    def label(self) -> str:
        """What `--device` calls it."""
        return f"cuda:{self.ordinal}"

    def __str__(self) -> str:
        return f"{self.label}: {self.name} (sm_{self.sm}, {self.memory / 2**30:.0f} GiB)"


@dataclass(frozen=True, kw_only=True)
class DevicePlane:
    """A plane in device memory: `rows` rows of `row_bytes` bytes, `pitch` bytes from one to the next."""

    pointer: int
    pitch: int
    row_bytes: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class DevicePicture:
    """A picture in device memory: a decoder's, made by work in the default stream, or one to be written."""

    planes: tuple[DevicePlane, ...]
    owner: object
    """What keeps the memory: a decoder's may be written again once this is let go of."""


class Resource(Protocol):
    """What `Device.release` gives back: memory, streams, events, graphs, modules."""

    @property
    def handle(self) -> int:
        """The driver's handle, or the address; what foreign libraries such as TensorRT are handed."""
        ...


class Memory(Resource, Protocol):
    """Device memory; `handle` is its address, a multiple of 256."""

    @property
    def size(self) -> int: ...


class HostMemory(Resource, Protocol):
    """Page-locked host memory, which devices copy from and to without the host's help. Zeroed at first."""

    @property
    def array(self) -> NDArray[np.uint8]:
        """All of it, one-dimensional."""
        ...


class Stream(Resource, Protocol): ...


class Event(Resource, Protocol): ...


class Graph(Resource, Protocol): ...


class Module(Resource, Protocol): ...


class Kernel(Protocol):
    """A function of a module; lives as long as the module."""

    @property
    def name(self) -> str: ...


class Device(Protocol):
    """One accelerator, through its primary context, which other libraries of the process may share."""

    info: DeviceInfo

    def current(self) -> AbstractContextManager[None]:
        """Inside the block this thread's calls go to this device; nests, and leaves the thread as it was."""
        ...

    def free_memory(self) -> int:
        """Bytes of device memory that are free now."""
        ...

    # What lasts. Everything here is given back with `release`.

    def allocate(self, size: int) -> Memory:
        """Uninitialised device memory of `size` > 0 bytes. Raises DeviceMemoryError."""
        ...

    def allocate_host(self, size: int) -> HostMemory:
        """Page-locked memory of `size` > 0 bytes. Raises EngineError where the host has too little."""
        ...

    def stream(self, name: str) -> Stream:
        """A stream that does not wait for the default stream; `name` is for people and traces."""
        ...

    def default_stream(self) -> Stream:
        """The stream of libraries that were given none, such as FFmpeg. It is not released."""
        ...

    def event(self, *, timed: bool = False) -> Event:
        """An event. Only timed ones can be handed to `elapsed`; they cost a little more."""
        ...

    def load(self, image: bytes) -> Module:
        """The kernels of a cubin, or of PTX that ends with a NUL, which the driver compiles now."""
        ...

    def kernel(self, module: Module, name: str, *, shared_bytes: int = 0) -> Kernel:
        """The kernel called `name`, allowed to use `shared_bytes` of dynamic shared memory."""
        ...

    def release(self, resource: Resource) -> None:
        """Give `resource` back. Nothing on the device may use it any more."""
        ...

    # What is queued. Host arrays are C-contiguous; page-locked ones are copied while the host goes on.

    def upload(self, source: NDArray[Any], target: DevicePlane, stream: Stream) -> None:
        """Copy rows of a host array, of shape (rows, …), to the device."""
        ...

    def download(self, source: DevicePlane, target: NDArray[Any], stream: Stream) -> None:
        """Copy rows from the device to a host array of shape (rows, …)."""
        ...

    def move(self, source: DevicePlane, target: DevicePlane, stream: Stream) -> None:
        """Copy rows from one place on the device to another, which do not overlap."""
        ...

    def clear(self, pointer: int, words: int, stream: Stream) -> None:
        """Set `words` 32-bit words to 0."""
        ...

    def launch(
        self,
        kernel: Kernel,
        *,
        grid: Size3,
        block: Size3,
        shared_bytes: int,
        arguments: Sequence[Argument],
        stream: Stream,
    ) -> None: ...

    def record(self, event: Event, stream: Stream) -> None:
        """`event` happens when everything that is in `stream` now is done."""
        ...

    def wait(self, event: Event, stream: Stream) -> None:
        """What is put into `stream` from now on runs after `event`, as it was recorded last."""
        ...

    # Graphs: a recorded piece of one stream, launched at once ever after.

    def begin_capture(self, stream: Stream) -> None:
        """Record what is put into `stream` instead of running it."""
        ...

    def end_capture(self, stream: Stream) -> Graph: ...

    def launch_graph(self, graph: Graph, stream: Stream) -> None: ...

    # What the host asks: the first call waits, the others do not.

    def synchronize(self, event: Event) -> None:
        """Wait until `event` has happened. Raises EngineError if anything before it went wrong."""
        ...

    def elapsed(self, start: Event, end: Event) -> float:
        """Seconds between two timed events that have happened."""
        ...

    def has_happened(self, event: Event) -> bool:
        """Whether `event` has, as recorded last. Raises EngineError if anything before it went wrong."""
        ...

    def close(self) -> None:
        """Let go of the device; what was not released is lost. Harmless twice."""
        ...
