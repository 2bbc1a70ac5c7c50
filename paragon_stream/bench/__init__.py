"""How fast engines are on this machine: one of them, or all in a table."""

from paragon_stream.bench.engine import BenchResult, bench
from paragon_stream.bench.stills import StillsResult, bench_stills

__all__ = ["BenchResult", "StillsResult", "bench", "bench_stills"]
