"""Accelerators: one small interface to a GPU; its schedulers also run on a fake device."""

from paragon_stream.device.interface import (
    Argument,
    Device,
    DeviceInfo,
    DevicePicture,
    DevicePlane,
    Event,
    Graph,
    HostMemory,
    Kernel,
    Memory,
    Module,
    Resource,
    Size3,
    Stream,
)

__all__ = [
    "Argument",
    "Device",
    "DeviceInfo",
    "DevicePicture",
    "DevicePlane",
    "Event",
    "Graph",
    "HostMemory",
    "Kernel",
    "Memory",
    "Module",
    "Resource",
    "Size3",
    "Stream",
]
