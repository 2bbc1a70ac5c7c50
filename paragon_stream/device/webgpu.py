"""A GPU of any brand through WebGPU (wgpu-py): Vulkan, Metal or Direct3D 12.

WebGPU has one queue and no pointers. So streams are only names, and all work runs in the order in which it is
queued; addresses are virtual, with a separate range for each buffer. Uploads copy the host's memory at once.
Downloads end in a mappable buffer, and are copied to the host's memory when the host waits for the event
after them.

Workarounds for wgpu 0.32:

- A validation error at a submit can end the process. Addresses, sizes and grids are checked before anything
  is queued; what is queued is submitted before a buffer is given back, and bind groups that have one are made
  no use of afterwards.
- What comes back, and waiting for it: see webgpu_reading.py.
- Layouts made by themselves leave out what a text declares and does not use. They are read off the text.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import wgpu
from numpy.typing import NDArray

from paragon_stream.device.interface import Argument, DeviceInfo, DevicePlane, Size3
from paragon_stream.device.webgpu_adapters import HALF, adapter_info, adapters, errors, open_adapters
from paragon_stream.device.webgpu_reading import Reading, Readings, Stamp, seconds_per_tick
from paragon_stream.errors import DeviceMemoryError, EngineError

_PAUSE = 2e-4  # seconds between two polls for a download
_PATIENCE = 60.0  # seconds without an answer after which a GPU counts as lost
_GAP = 1 << 20  # between the virtual addresses of two buffers
_ALIGNMENT = 256
_LIMITS = (
    "max-buffer-size",
    "max-storage-buffer-binding-size",
    "max-compute-workgroup-storage-size",
    "max-storage-buffers-per-shader-stage",
)
"""Limits that are requested at the adapter's maximum; all others stay at WebGPU's defaults."""

_BINDING = re.compile(r"@group\(0\) @binding\((\d+)\) var<([a-z_, ]+)>")
_BINDINGS = {
    "storage, read": "read-only-storage",
    "storage, read_write": "storage",
    "uniform": "uniform",
}
"""Declarations of buffers in WGSL → their types in layouts."""


@dataclass(eq=False)
class _Memory:
    handle: int
    size: int
    buffer: Any


@dataclass(eq=False)
class _HostMemory:
    handle: int
    array: NDArray[np.uint8]


@dataclass(eq=False)
class _Stream:
    handle: int
    name: str
    downloads: list[Reading] = field(default_factory=list)
    """Downloads after which no event has been recorded yet."""


@dataclass(eq=False)
class _Event:
    handle: int
    stamp: Stamp | None = None
    """The time stamp of a timed event."""
    downloads: tuple[Reading, ...] = ()
    """Readings that are complete when the event has happened."""


@dataclass(eq=False)
class _Module:
    handle: int
    shader: Any
    layout: Any
    """Types of its bindings."""


@dataclass(eq=False)
class _Kernel:
    name: str
    pipeline: Any
    layout: Any
    groups: dict[tuple[Argument, ...], tuple[Any, Any]] = field(default_factory=dict)
    """Arguments → the bind group, and the uniform buffer of the 32-bit numbers."""
    releases: int = 0
    """Number of buffers that the device had released when `groups` were made."""


class WebGpuDevice:
    """See `Device`. WebGPU has no graphs and no dynamic shared memory; these calls raise errors."""

    def __init__(self, ordinal: int = 0) -> None:
        """Opens GPU `ordinal` of `adapters()`. Raises EngineError."""
        found = open_adapters()
        if ordinal >= len(found):
            names = "; ".join(map(str, adapters())) or "WebGPU finds no GPU"
            raise EngineError(f"there is no gpu:{ordinal}: {names}")
        adapter = found[ordinal]
        self.info: DeviceInfo = adapter_info(ordinal, adapter)
        with errors("opening the GPU"):
            self._device = adapter.request_device_sync(
                required_features=[name for name in (HALF, Stamp.FEATURE) if name in adapter.features],
                required_limits={name: adapter.limits[name] for name in _LIMITS},
            )
        self._limits = self._device.limits
        self._readings = Readings(self._device)
        self._tick = seconds_per_tick(self._device.queue)
        self._lock = threading.RLock()
        self._encoder: Any = None
        self._numbers, self._address = itertools.count(1), _GAP
        self._memories: list[_Memory] = []
        self._releases = 0
        self._default = _Stream(next(self._numbers), "default")
        self._closed = False

    def current(self) -> AbstractContextManager[None]:
        return nullcontext()

    def free_memory(self) -> int:
        """Unknown: WebGPU does not report it."""
        return 1 << 62

    def allocate(self, size: int) -> _Memory:
        room = -(-size // 4) * 4
        for name in ("max-buffer-size", "max-storage-buffer-binding-size"):
            if room > self._limits[name]:
                most, needed = self._limits[name] / 2**20, room / 2**20
                raise DeviceMemoryError(f"{self.info} supports buffers of {most:.0f} MiB, not {needed:.0f}")
        usage = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC | wgpu.BufferUsage.COPY_DST
        with self._lock, errors("allocating memory"):
            buffer = self._device.create_buffer(size=room, usage=usage)
            memory = _Memory(self._address, room, buffer)
            self._address += -(-(room + _GAP) // _ALIGNMENT) * _ALIGNMENT
            self._memories.append(memory)
            return memory

    def allocate_host(self, size: int) -> _HostMemory:
        """Ordinary memory: uploads copy it at once, so page-locking has no advantage."""
        array = np.zeros(size, np.uint8)
        return _HostMemory(array.ctypes.data, array)

    def stream(self, name: str) -> _Stream:
        return _Stream(next(self._numbers), name)

    def default_stream(self) -> _Stream:
        return self._default

    def event(self, *, timed: bool = False) -> _Event:
        """Raises EngineError for a timed one where the GPU has no clock."""
        with self._lock, errors("making an event"):
            return _Event(next(self._numbers), Stamp(self._device) if timed else None)

    def load(self, image: bytes) -> _Module:
        """`image` is WGSL."""
        with self._lock, errors("compiling a shader"):
            text = image.decode()
            shader = self._device.create_shader_module(code=text)
            entries = [
                {
                    "binding": int(n),
                    "visibility": wgpu.ShaderStage.COMPUTE,
                    "buffer": {"type": _BINDINGS[kind]},
                }
                for n, kind in _BINDING.findall(text)
            ]
            layout = self._device.create_bind_group_layout(entries=entries)
            return _Module(next(self._numbers), shader, layout)

    def kernel(self, module: Any, name: str, *, shared_bytes: int = 0) -> _Kernel:
        with self._lock, errors("compiling a shader"):
            layout = self._device.create_pipeline_layout(bind_group_layouts=[module.layout])
            compute = {"module": module.shader, "entry_point": name}
            pipeline = self._device.create_compute_pipeline(layout=layout, compute=compute)
            return _Kernel(name, pipeline, module.layout)

    def release(self, resource: Any) -> None:
        if isinstance(resource, _Memory):
            with self._lock, errors("giving memory back"):
                self._flush()
                self._memories.remove(resource)
                self._releases += 1
                resource.buffer.destroy()

    def upload(self, source: NDArray[Any], target: DevicePlane, stream: Any) -> None:
        if target.pitch != target.row_bytes and target.rows > 1:
            raise EngineError("WebGPU uploads only rows without gaps")
        memory, offset = self._find(target.pointer, target.rows * target.row_bytes)
        flat = source.reshape(-1).view(np.uint8)
        whole = flat.size // 4 * 4
        with self._lock, errors("copying to the GPU"):
            self._flush()
            if whole:
                self._device.queue.write_buffer(memory.buffer, offset, flat[:whole])
            if whole < flat.size:  # only whole words can be written
                rest = np.zeros(4, np.uint8)
                rest[: flat.size - whole] = flat[whole:]
                self._device.queue.write_buffer(memory.buffer, offset + whole, rest)

    def download(self, source: DevicePlane, target: NDArray[Any], stream: Any) -> None:
        size = -(-source.rows * source.pitch // 4) * 4
        memory, offset = self._find(source.pointer, size)
        with self._lock, errors("copying from the GPU"):
            encoder = self._commands()
            stream.downloads.append(
                self._readings.start(encoder, memory.buffer, offset, size, source.pitch, target)
            )

    def move(self, source: DevicePlane, target: DevicePlane, stream: Any) -> None:
        raise EngineError("frames cannot stay on the GPU between WebGPU and others")

    def clear(self, pointer: int, words: int, stream: Any) -> None:
        memory, offset = self._find(pointer, 4 * words)
        with self._lock, errors("clearing memory"):
            self._commands().clear_buffer(memory.buffer, offset, 4 * words)

    def launch(
        self,
        kernel: Any,
        *,
        grid: Size3,
        block: Size3,
        shared_bytes: int,
        arguments: Sequence[Argument],
        stream: Any,
    ) -> None:
        """Pointers are bound in order to @binding(0) …; the 32-bit numbers are a uniform buffer after
        them."""
        if max(grid) > self._limits["max-compute-workgroups-per-dimension"]:
            raise EngineError(f"{self.info} does not support a grid of {grid} workgroups")
        with self._lock, errors("queueing work"):
            group = self._bound(kernel, tuple(arguments))
            work = self._commands().begin_compute_pass()
            work.set_pipeline(kernel.pipeline)
            work.set_bind_group(0, group)
            work.dispatch_workgroups(*grid)
            work.end()

    def record(self, event: Any, stream: Any) -> None:
        with self._lock, errors("queueing work"):
            if event.stamp is not None:  # the stream's downloads are for the event that is waited for
                event.downloads = (event.stamp.queue(self._commands(), self._readings),)
                return
            self._flush()
            event.downloads, stream.downloads = tuple(stream.downloads), []

    def wait(self, event: Any, stream: Any) -> None:
        """Nothing to do: there is one queue, which runs in order."""

    def begin_capture(self, stream: Any) -> None:
        raise EngineError("WebGPU records no graphs")

    def end_capture(self, stream: Any) -> Any:
        raise EngineError("WebGPU records no graphs")

    def launch_graph(self, graph: Any, stream: Any) -> None:
        raise EngineError("WebGPU records no graphs")

    def synchronize(self, event: Any) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not self.has_happened(event):
            if time.monotonic() > deadline:
                raise EngineError(f"{self.info} no longer responds")
            time.sleep(_PAUSE)
        downloads, event.downloads = event.downloads, ()
        with errors("copying from the GPU"):
            for each in downloads:
                self._readings.bring(each)
                with self._lock:
                    if not self._closed:
                        self._readings.give_back(each)

    def elapsed(self, start: Any, end: Any) -> float:
        for each in (start, end):
            if each.stamp is None:
                raise EngineError("only timed events say when they happened")
            self.synchronize(each)
        return (int(end.stamp.ticks[0]) - int(start.stamp.ticks[0])) * self._tick

    def has_happened(self, event: Any) -> bool:
        with errors("waiting for the GPU"):
            if self._closed:
                raise EngineError("the GPU is closed")
            with self._lock:
                if not all(each.is_submitted for each in event.downloads):
                    self._flush()
                self._readings.poll()
        return all(each.is_done for each in event.downloads)

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._readings.close()
                self._device.destroy()

    def _commands(self) -> Any:
        if self._encoder is None:
            self._encoder = self._device.create_command_encoder()
        return self._encoder

    def _flush(self) -> None:
        """Submit the queued work: later writes to buffers would otherwise run before it."""
        if self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            self._device.queue.submit([encoder.finish()])
            self._readings.submitted()

    def _bound(self, kernel: _Kernel, arguments: tuple[Argument, ...]) -> Any:
        """The bind group of these arguments, created at their first use."""
        if kernel.releases != self._releases:
            kernel.groups.clear()
            kernel.releases = self._releases
        if arguments in kernel.groups:
            return kernel.groups[arguments][0]
        entries: list[dict[str, Any]] = []
        for pointer in (each for each in arguments if isinstance(each, int)):
            memory, offset = self._find(pointer, 4)
            resource = {"buffer": memory.buffer, "offset": offset, "size": memory.size - offset}
            entries.append({"binding": len(entries), "resource": resource})
        numbers = [each for each in arguments if not isinstance(each, int)]
        uniform = None
        if numbers:
            # Uniforms are of whole 16 bytes.
            packed = np.array([*numbers, *[0] * (-len(numbers) % 4)], np.int32)
            uniform = self._device.create_buffer_with_data(data=packed, usage=wgpu.BufferUsage.UNIFORM)
            resource = {"buffer": uniform, "offset": 0, "size": uniform.size}
            entries.append({"binding": len(entries), "resource": resource})
        group = self._device.create_bind_group(layout=kernel.layout, entries=entries)
        kernel.groups[arguments] = group, uniform
        return group

    def _find(self, pointer: int, size: int) -> tuple[_Memory, int]:
        """The buffer of a virtual address, and the offset in it. Raises EngineError for an invalid address,
        where WebGPU would abort."""
        for memory in self._memories:
            offset = pointer - memory.handle
            if 0 <= offset < memory.size:
                if offset % 4 or offset + size > -(-memory.size // 4) * 4:
                    break
                return memory, offset
        raise EngineError(f"{size} bytes at {pointer:#x} are not in the memory of {self.info}")
