"""Keeps upscalers compiled between the renders of many files: one per format, weights and size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Any, Protocol, Self

from paragon_stream.checkpoint import Weights
from paragon_stream.device import DevicePicture
from paragon_stream.frame import ColorSpec, FrameFormat, PixelFormat
from paragon_stream.geometry import Placement
from paragon_stream.runtimes import Flavour, Plane
from paragon_stream.runtimes.base import DeviceBound
from paragon_stream.upscaler import Upscaler, UpscalerOptions

_CAPACITY = 4
"""Upscalers kept; the least recently used is closed first. Each holds memory of its device."""


class OpenUpscaler(Protocol):
    """A function that makes an upscaler: `Upscaler.for_format` or `KeptUpscalers.open`."""

    def __call__(
        self,
        source: FrameFormat,
        options: UpscalerOptions,
        *,
        pixel_format: PixelFormat | None = None,
        color: ColorSpec | None = None,
        network: tuple[Weights, Placement] | None = None,
        flavour: Flavour = Flavour.LATENCY,
    ) -> Upscaler: ...


class KeptUpscaler(Upscaler):
    """An upscaler that `close` marks as unused. `give_up` closes it.

    Planes and pictures of earlier renders are used again, because a device keeps them until its session is
    closed.
    """

    _in_use: bool
    _reruns_before: int
    _spare: list[tuple[tuple[Plane, ...], tuple[Plane, ...]]]
    _lent: list[tuple[tuple[Plane, ...], tuple[Plane, ...]]]
    _spare_pictures: list[DevicePicture]
    _lent_pictures: list[DevicePicture]

    def _open(self, *arguments: Any, **keywords: Any) -> None:
        self._in_use, self._reruns_before, self._spare, self._lent = True, 0, [], []
        self._spare_pictures, self._lent_pictures = [], []
        super()._open(*arguments, **keywords)

    @property
    def unused(self) -> bool:
        return not self._in_use

    def reuse(self) -> None:
        """Begin another render."""
        self._in_use, self._reruns_before = True, super().reruns

    def allocate(self) -> tuple[tuple[Plane, ...], tuple[Plane, ...]]:
        """See `Upscaler.allocate`."""
        planes = self._spare.pop() if self._spare else super().allocate()
        self._lent.append(planes)
        return planes

    @property
    def device_results(self) -> tuple[int, Callable[[], DevicePicture]] | None:
        """See `Upscaler.device_results`."""
        room = super().device_results
        if room is None:
            return None
        ordinal, allocate = room

        def take() -> DevicePicture:
            picture = self._spare_pictures.pop() if self._spare_pictures else allocate()
            self._lent_pictures.append(picture)
            return picture

        return ordinal, take

    @property
    def reruns(self) -> int:
        """The reruns of this render; see `Upscaler.reruns`."""
        return super().reruns - self._reruns_before

    def close(self) -> None:
        self._in_use = False
        if isinstance(self.session, DeviceBound):
            self._spare += self._lent
        self._lent.clear()
        self._spare_pictures += self._lent_pictures
        self._lent_pictures.clear()

    def give_up(self) -> None:
        super().close()


class KeptUpscalers:
    """The upscalers of many renders, one render after another. Close it, or use `with`."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._all: OrderedDict[Hashable, KeptUpscaler] = OrderedDict()
        self.compiled = 0
        """The number of upscalers that were compiled."""

    def open(
        self,
        source: FrameFormat,
        options: UpscalerOptions,
        *,
        pixel_format: PixelFormat | None = None,
        color: ColorSpec | None = None,
        network: tuple[Weights, Placement] | None = None,
        flavour: Flavour = Flavour.LATENCY,
    ) -> Upscaler:
        """`Upscaler.for_format`, or an unused upscaler of an earlier render with the same arguments."""
        weights, placement = network or (None, None)
        known = weights and (weights.sha256 or id(weights), weights.spec)
        key = (known, placement, source, pixel_format, color, options, flavour)
        found = self._all.get(key)
        if found is not None and found.unused:
            self._all.move_to_end(key)
            found.reuse()
            return found
        upscaler = KeptUpscaler.for_format(
            source, options, pixel_format=pixel_format, color=color, network=network, flavour=flavour
        )
        self.compiled += 1
        self._all[key if found is None else (key, id(upscaler))] = upscaler
        self._trim(self._capacity)
        return upscaler

    def clear(self) -> None:
        """Close all unused upscalers, for example after a failure of the engine."""
        self._trim(0)

    def _trim(self, keep: int) -> None:
        for key in [key for key, each in self._all.items() if each.unused]:
            if len(self._all) <= keep:
                return
            self._all.pop(key).give_up()

    close = clear

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
