"""Ways to run a frame job; one file per runtime."""

from paragon_stream.runtimes.base import Flavour, Plane, Precision, Runtime, Session, SessionOptions
from paragon_stream.runtimes.registry import ENGINES, gpu_of, installed_engines, runtime

__all__ = [
    "ENGINES",
    "Flavour",
    "Plane",
    "Precision",
    "Runtime",
    "Session",
    "SessionOptions",
    "gpu_of",
    "installed_engines",
    "runtime",
]
