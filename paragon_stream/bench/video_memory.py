"""Measures the GPU memory of a session."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from paragon_stream.device import Device
from paragon_stream.errors import EngineError
from paragon_stream.runtimes.gpu.compilation import open_device
from paragon_stream.runtimes.registry import gpu_of


class VideoMemory:
    """The free memory before the session minus the least free memory while it runs.

    All engines keep what they have allocated, so a sample after every frame shows the peak. Other programs
    on the same GPU are counted too. Close it, or use `with`; `taken` stays.
    """

    def __init__(self, device: Device | None) -> None:
        """`device` None: there is no GPU to measure."""
        self._device = device
        self._before = self._least = self._free()

    @classmethod
    def of(
        cls, engine: str, device: str | None, open_it: Callable[[int], Device] = open_device
    ) -> VideoMemory:
        """A meter of the GPU on which `engine` runs with the option `device`."""
        number = gpu_of(engine, device)
        if number is None:
            return cls(None)
        try:
            return cls(open_it(number))
        except EngineError:  # which the engine itself reports
            return cls(None)

    def sample(self) -> None:
        """Call it while the session is open."""
        self._least = min(self._least, self._free())

    @property
    def taken(self) -> int | None:
        """Bytes; None without a GPU."""
        return None if self._device is None else self._before - self._least

    def _free(self) -> int:
        if self._device is None:
            return 0
        with self._device.current():
            return self._device.free_memory()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._device is not None:
            self._device.close()
