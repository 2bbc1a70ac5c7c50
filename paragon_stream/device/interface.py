"""The interface to an accelerator. Every CUDA call of this package goes through one of these methods.

`CudaDevice` (cuda.py) and `WebGpuDevice` (webgpu.py) are real devices; the tests' `FakeDevice` computes in
host memory, has a virtual clock, injects failures, and detects misuse.

Streams are queues: the operations of one stream run in order, different streams run concurrently unless an
event makes one wait. All methods may be called from any thread inside `current()`, and raise EngineError if
the driver reports an error (DeviceMemoryError if memory is short). Pointers are device addresses as plain
ints.
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
    """Facts of a device. `driver` is the CUDA version of the driver: "13.0"."""

    name: str
    ordinal: int
    compute_capability: tuple[int, int]
    memory: int
    multiprocessors: int
    driver: str

    @property
    def is_cuda(self) -> bool:
        """Whether decoders and encoders on the same GPU can share its memory."""
        return True

    @property
    def sm(self) -> int:
        """The architecture's number, as in sm_89."""
        return 10 * self.compute_capability[0] + self.compute_capability[1]

    @property
    def label(self) -> str:
        """The value of `--device` for this device."""
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
    """The object that keeps the memory; a decoder may reuse it after this reference is dropped."""


class Resource(Protocol):
    """Something that `Device.release` releases: memory, streams, events, graphs, modules."""

    @property
    def handle(self) -> int:
        """The driver's handle, or the address, for other libraries such as TensorRT."""
        ...


class Memory(Resource, Protocol):
    """Device memory; `handle` is its address, a multiple of 256."""

    @property
    def size(self) -> int: ...


class HostMemory(Resource, Protocol):
    """Page-locked host memory, which devices access directly. Zeroed at first."""

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
    """One accelerator, through its primary context, which other libraries of the process can share."""

    info: DeviceInfo

    def current(self) -> AbstractContextManager[None]:
        """Inside the block this thread's calls go to this device. It nests, and restores the thread's
        device."""
        ...

    def free_memory(self) -> int:
        """Bytes of device memory that are free now."""
        ...

    # Resources. All of them are released by `release`.

    def allocate(self, size: int) -> Memory:
        """Uninitialised device memory of `size` > 0 bytes. Raises DeviceMemoryError."""
        ...

    def allocate_host(self, size: int) -> HostMemory:
        """Page-locked memory of `size` > 0 bytes. Raises EngineError where the host has too little."""
        ...

    def stream(self, name: str) -> Stream:
        """A stream that does not wait for the default stream; `name` appears in traces."""
        ...

    def default_stream(self) -> Stream:
        """The default stream, which libraries such as FFmpeg use. It is not released."""
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
        """Release `resource`. No work on the device may use it any more."""
        ...

    # Queued work. Host arrays are C-contiguous; page-locked ones are copied asynchronously.

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
        """Record `event`, which happens when all work that is in `stream` now is done."""
        ...

    def wait(self, event: Event, stream: Stream) -> None:
        """Work that is queued into `stream` from now on runs after the last recording of `event`."""
        ...

    # Graphs: recorded work of one stream, which is launched as a whole.

    def begin_capture(self, stream: Stream) -> None:
        """Record the work that is queued into `stream` instead of running it."""
        ...

    def end_capture(self, stream: Stream) -> Graph: ...

    def launch_graph(self, graph: Graph, stream: Stream) -> None: ...

    # Queries of the host: the first call waits, the others do not.

    def synchronize(self, event: Event) -> None:
        """Wait until `event` has happened. Raises EngineError if earlier work failed."""
        ...

    def elapsed(self, start: Event, end: Event) -> float:
        """Seconds between two timed events that have happened."""
        ...

    def has_happened(self, event: Event) -> bool:
        """Whether the last recording of `event` has happened. Raises EngineError if earlier work failed."""
        ...

    def close(self) -> None:
        """Close the device; resources that were not released are lost. May be called twice."""
        ...
