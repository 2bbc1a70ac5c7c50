"""The speed of engines on this machine: of one engine, or of all in a table."""

from paragon_stream.bench.engine import BenchResult, bench

__all__ = ["BenchResult", "bench"]
