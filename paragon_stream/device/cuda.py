"""NVIDIA devices, through the driver's own interface (`cuda-bindings`), in the primary context."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from cuda.bindings import driver
from numpy.typing import NDArray

from paragon_stream.device.interface import (
    Argument,
    DeviceInfo,
    DevicePlane,
    Event,
    Graph,
    Kernel,
    Module,
    Resource,
    Size3,
    Stream,
)
from paragon_stream.errors import DeviceMemoryError, EngineError

_SHARED_BYTES_UNASKED = 48 << 10
"""Dynamic shared memory that every kernel may use; more has to be requested."""

_C_TYPES: dict[type, Any] = {
    int: ctypes.c_void_p,
    np.int32: ctypes.c_int32,
    np.uint32: ctypes.c_uint32,
    np.float32: ctypes.c_float,
}


@dataclass(frozen=True, eq=False)
class _Handle:
    """A handle of the driver; `free` is the driver's function that releases it."""

    handle: int
    raw: Any
    free: Any


@dataclass(frozen=True, eq=False)
class _Memory(_Handle):
    size: int


@dataclass(frozen=True, eq=False)
class _HostMemory(_Handle):
    array: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Kernel:
    name: str
    raw: Any


class CudaDevice:
    """See `Device`."""

    def __init__(self, ordinal: int = 0) -> None:
        """Raises EngineError without a driver, or without a device of that number."""
        _initialise()
        count = device_count()
        if not 0 <= ordinal < count:
            raise EngineError(f"there is no device cuda:{ordinal}; this machine has {count}, counted from 0")
        self._device = _call(driver.cuDeviceGet, ordinal)
        self.info = _info(self._device, ordinal)
        _, active = _call(driver.cuDevicePrimaryCtxGetState, self._device)
        if not active:  # else another library has set the flags
            # FFmpeg requires this flag of the primary context. It also makes threads sleep while they wait
            # for the GPU.
            blocking = driver.CUctx_flags.CU_CTX_SCHED_BLOCKING_SYNC
            _call(driver.cuDevicePrimaryCtxSetFlags, self._device, blocking)
        self._context: Any = _call(driver.cuDevicePrimaryCtxRetain, self._device)

    @contextmanager
    def current(self) -> Iterator[None]:
        if self._context is None:
            raise EngineError("the device is closed")
        _call(driver.cuCtxPushCurrent, self._context)
        try:
            yield
        finally:
            _call(driver.cuCtxPopCurrent)

    def free_memory(self) -> int:
        return int(_call(driver.cuMemGetInfo)[0])

    def allocate(self, size: int) -> _Memory:
        raw = _call(driver.cuMemAlloc, size)
        return _Memory(int(raw), raw, driver.cuMemFree, size)

    def allocate_host(self, size: int) -> _HostMemory:
        # Portable: page-locked for every context, so that slots can be shared between devices.
        try:
            pointer = int(_call(driver.cuMemHostAlloc, size, driver.CU_MEMHOSTALLOC_PORTABLE))
        except DeviceMemoryError as error:
            # CUDA has one status for both, but smaller frames on the GPU do not help here.
            raise EngineError(
                f"the system has no {size / 2**20:.0f} MiB of page-locked host memory: {error}"
            ) from error
        array = np.frombuffer((ctypes.c_uint8 * size).from_address(pointer), np.uint8)
        array[:] = 0
        return _HostMemory(pointer, pointer, driver.cuMemFreeHost, array)

    def stream(self, name: str) -> _Handle:
        raw = _call(driver.cuStreamCreate, driver.CUstream_flags.CU_STREAM_NON_BLOCKING)
        return _Handle(int(raw), raw, driver.cuStreamDestroy)

    def default_stream(self) -> _Handle:
        raw = driver.CUstream(driver.CU_STREAM_LEGACY)
        return _Handle(int(raw), raw, None)

    def event(self, *, timed: bool = False) -> _Handle:
        # Waiting threads sleep, so that others can use the core.
        flags = driver.CUevent_flags.CU_EVENT_BLOCKING_SYNC.value
        if not timed:
            flags |= driver.CUevent_flags.CU_EVENT_DISABLE_TIMING.value
        raw = _call(driver.cuEventCreate, flags)
        return _Handle(int(raw), raw, driver.cuEventDestroy)

    def load(self, image: bytes) -> _Handle:
        raw = _call(driver.cuModuleLoadData, image)
        return _Handle(int(raw), raw, driver.cuModuleUnload)

    def kernel(self, module: Module, name: str, *, shared_bytes: int = 0) -> _Kernel:
        raw = _call(driver.cuModuleGetFunction, _raw(module), name.encode())
        if shared_bytes > _SHARED_BYTES_UNASKED:
            attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            _call(driver.cuFuncSetAttribute, raw, attribute, shared_bytes)
        return _Kernel(name, raw)

    def release(self, resource: Resource) -> None:
        assert isinstance(resource, _Handle)
        _call(resource.free, resource.raw)

    def upload(self, source: NDArray[Any], target: DevicePlane, stream: Stream) -> None:
        host = _host(source, target)
        if target.pitch == target.row_bytes:
            _call(driver.cuMemcpyHtoDAsync, target.pointer, host, source.nbytes, _raw(stream))
            return
        copy = _rectangle(target)
        copy.srcMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_HOST
        copy.srcHost, copy.srcPitch = host, target.row_bytes
        copy.dstMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_DEVICE
        copy.dstDevice, copy.dstPitch = target.pointer, target.pitch
        _call(driver.cuMemcpy2DAsync, copy, _raw(stream))

    def download(self, source: DevicePlane, target: NDArray[Any], stream: Stream) -> None:
        host = _host(target, source)
        if source.pitch == source.row_bytes:
            _call(driver.cuMemcpyDtoHAsync, host, source.pointer, target.nbytes, _raw(stream))
            return
        copy = _rectangle(source)
        copy.srcMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_DEVICE
        copy.srcDevice, copy.srcPitch = source.pointer, source.pitch
        copy.dstMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_HOST
        copy.dstHost, copy.dstPitch = host, source.row_bytes
        _call(driver.cuMemcpy2DAsync, copy, _raw(stream))

    def move(self, source: DevicePlane, target: DevicePlane, stream: Stream) -> None:
        assert (source.rows, source.row_bytes) == (target.rows, target.row_bytes)
        copy = _rectangle(target)
        copy.srcMemoryType = copy.dstMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_DEVICE
        copy.srcDevice, copy.srcPitch = source.pointer, source.pitch
        copy.dstDevice, copy.dstPitch = target.pointer, target.pitch
        _call(driver.cuMemcpy2DAsync, copy, _raw(stream))

    def clear(self, pointer: int, words: int, stream: Stream) -> None:
        _call(driver.cuMemsetD32Async, pointer, 0, words, _raw(stream))

    def launch(
        self,
        kernel: Kernel,
        *,
        grid: Size3,
        block: Size3,
        shared_bytes: int,
        arguments: Sequence[Argument],
        stream: Stream,
    ) -> None:
        assert isinstance(kernel, _Kernel)
        plain = tuple(each if isinstance(each, int) else each.item() for each in arguments)
        types = tuple(_C_TYPES[type(each)] for each in arguments)
        _call(driver.cuLaunchKernel, kernel.raw, *grid, *block, shared_bytes, _raw(stream), (plain, types), 0)

    def record(self, event: Event, stream: Stream) -> None:
        _call(driver.cuEventRecord, _raw(event), _raw(stream))

    def wait(self, event: Event, stream: Stream) -> None:
        _call(driver.cuStreamWaitEvent, _raw(stream), _raw(event), 0)

    def begin_capture(self, stream: Stream) -> None:
        # Thread-local: calls of other threads do not affect this capture.
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        _call(driver.cuStreamBeginCapture, _raw(stream), mode)

    def end_capture(self, stream: Stream) -> _Handle:
        recorded = _call(driver.cuStreamEndCapture, _raw(stream))
        try:
            raw = _call(driver.cuGraphInstantiate, recorded, 0)
        finally:
            _call(driver.cuGraphDestroy, recorded)
        return _Handle(int(raw), raw, driver.cuGraphExecDestroy)

    def launch_graph(self, graph: Graph, stream: Stream) -> None:
        _call(driver.cuGraphLaunch, _raw(graph), _raw(stream))

    def synchronize(self, event: Event) -> None:
        _call(driver.cuEventSynchronize, _raw(event))

    def elapsed(self, start: Event, end: Event) -> float:
        return float(_call(driver.cuEventElapsedTime, _raw(start), _raw(end))) / 1000

    def has_happened(self, event: Event) -> bool:
        answer = driver.cuEventQuery(_raw(event))
        if answer[0] == driver.CUresult.CUDA_ERROR_NOT_READY:
            return False
        _call(lambda: answer)
        return True

    def close(self) -> None:
        if self._context is not None:
            self._context = None
            _call(driver.cuDevicePrimaryCtxRelease, self._device)


def device_count() -> int:
    """The number of CUDA devices of this machine. Raises EngineError without a driver."""
    _initialise()
    return int(_call(driver.cuDeviceGetCount))


def device_infos() -> list[DeviceInfo]:
    """All CUDA devices of this machine. Raises EngineError without a driver."""
    return [_info(_call(driver.cuDeviceGet, ordinal), ordinal) for ordinal in range(device_count())]


def _initialise() -> None:
    try:
        answer = driver.cuInit(0)
    except Exception as error:  # cuda-bindings' own, without libcuda
        raise EngineError("there is no NVIDIA driver on this machine") from error
    _call(lambda: answer)


def _info(device: Any, ordinal: int) -> DeviceInfo:
    def attribute(name: str) -> int:
        which = getattr(driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(_call(driver.cuDeviceGetAttribute, which, device))

    version = int(_call(driver.cuDriverGetVersion))
    return DeviceInfo(
        name=_call(driver.cuDeviceGetName, 256, device).split(b"\0")[0].decode(),
        ordinal=ordinal,
        compute_capability=(attribute("COMPUTE_CAPABILITY_MAJOR"), attribute("COMPUTE_CAPABILITY_MINOR")),
        memory=int(_call(driver.cuDeviceTotalMem, device)),
        multiprocessors=attribute("MULTIPROCESSOR_COUNT"),
        driver=f"{version // 1000}.{version % 1000 // 10}",
    )


def _raw(resource: Resource) -> Any:
    assert isinstance(resource, _Handle)
    return resource.raw


def _host(array: NDArray[Any], plane: DevicePlane) -> int:
    """The address of `array`, after a check that it has as many bytes as `plane`, which CUDA does not
    check."""
    assert array.flags.c_contiguous and array.nbytes == plane.rows * plane.row_bytes
    return array.ctypes.data


def _rectangle(plane: DevicePlane) -> Any:
    copy = driver.CUDA_MEMCPY2D()
    copy.WidthInBytes, copy.Height = plane.row_bytes, plane.rows
    return copy


def _call(function: Any, *arguments: Any) -> Any:
    """The results of a driver's function without its status: None, one value, or a tuple."""
    try:
        status, *values = function(*arguments)
    except RuntimeError as error:  # cuda-bindings' own, for a function that the driver lacks
        raise EngineError(f"CUDA: this driver is too old: {error}") from error
    if status == driver.CUresult.CUDA_SUCCESS:
        return values[0] if len(values) == 1 else tuple(values)
    _, text = driver.cuGetErrorString(status)
    what = text.decode() if text else "an unknown error"
    is_short = status == driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY
    raise (DeviceMemoryError if is_short else EngineError)(f"CUDA: {what} ({status.name})")
