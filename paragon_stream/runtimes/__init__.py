"""The runtimes, which compile and run frame jobs: one file for each."""

from paragon_stream.runtimes.base import Flavour, Plane, Precision, Runtime, Session, SessionOptions
from paragon_stream.runtimes.registry import CPU_ENGINES, ENGINES, gpu_of, installed_engines, runtime

__all__ = [
    "CPU_ENGINES",
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
