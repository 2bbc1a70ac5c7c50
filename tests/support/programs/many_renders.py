"""Two hundred renders in this process; prints as JSON what is left behind. Run it with MALLOC_ARENA_MAX=1.

Of all kinds: codecs, containers, pictures, and every tenth one fails. glibc gives threads heaps of their own,
and threads of codecs come and go: free memory would be spread over more and more heaps.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clips import make_clip

import paragon_stream
import paragon_stream.render.run as run_module
from paragon_stream.errors import EngineError
from paragon_stream.upscaler import Upscaler

RENDERS, SETTLED = 200, 50
"""Renders; after this number, caches have what they need."""
KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("out.mkv", {"codec": "libx264", "preset": "ultrafast"}),
    ("out.mp4", {"codec": "libx264", "preset": "ultrafast"}),
    ("out.mkv", {"codec": "ffv1", "temporal": "adaptive"}),
    ("out.y4m", {}),
    ("%03d.png", {}),
)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def resident() -> int:
    """Bytes that only this process has, without what is free in its heaps."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    text = Path("/proc/self/smaps_rollup").read_text()
    return 1024 * next(
        int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_Dirty:")
    )


def left_behind(work: Callable[[int], object], repeats: int, settled: int) -> dict[str, int]:
    """Descriptors, threads and bytes that `work` leaves behind from call `settled` to the last one."""
    for number in range(repeats):
        work(number)
        if number == settled:
            files, threads, bytes_before = descriptors(), threading.active_count(), resident()
    return {
        "descriptors": descriptors() - files,
        "threads": threading.active_count() - threads,
        "bytes": resident() - bytes_before,
    }


def main(folder: Path) -> None:
    source = make_clip(folder / "in.mkv", width=96, height=64, frames=6, audio="aac", subtitles="subrip")
    run = Upscaler.run
    run_module.PAUSE = 0.0

    def failing(self: Any, *arguments: Any) -> Any:
        raise EngineError("no memory")

    def render(number: int) -> None:
        name, options = KINDS[number % len(KINDS)]
        fails = number % 10 == 9
        Upscaler.run = failing if fails else run  # type: ignore[method-assign]
        try:
            paragon_stream.upscale(
                source, folder / name, variant="realtime", threads=1, overwrite=True, **options
            )
        except EngineError:
            assert fails

    print(json.dumps(left_behind(render, RENDERS, SETTLED)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
