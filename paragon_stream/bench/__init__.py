"""How fast engines are on this machine: one of them, or all in a table."""

from paragon_stream.bench.engine import BenchResult, bench

__all__ = ["BenchResult", "bench"]
