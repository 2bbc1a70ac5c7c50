"""Accelerators: one small interface to a CUDA device; what schedules work on it runs without one too."""

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
