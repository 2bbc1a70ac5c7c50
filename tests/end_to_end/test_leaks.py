"""Two hundred renders in one process: no descriptor, no thread and no memory is left behind."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import make_clip

import paragon_stream
from paragon_stream.errors import EngineError
from paragon_stream.upscaler import Upscaler

RENDERS, SETTLED = 200, 50
"""Renders; after so many of them, memory and caches have what they need."""
MOST_GROWTH = 12 << 20
"""Bytes, from the first third of the renders after that to the last. A hundred frames have more."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def resident() -> int:
    text = Path("/proc/self/smaps_rollup").read_text()
    return 1024 * next(
        int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_Dirty:")
    )


def assert_no_leak(render: Callable[[int], object], renders: int, settled: int) -> None:
    sizes = []
    for number in range(renders):
        render(number)
        if number == settled:
            gc.collect()
            open_files, threads = descriptors(), threading.active_count()
        if number >= settled:
            sizes.append(resident())
    gc.collect()
    assert descriptors() <= open_files and threading.active_count() <= threads
    # Allocators give memory back now and then: the least of each end counts.
    part = len(sizes) // 3
    growth = min(sizes[-part:]) - min(sizes[:part])
    assert growth < MOST_GROWTH, f"{growth} bytes in {len(sizes) - part} renders"


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs /proc")
def test_two_hundred_renders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all kinds: codecs, containers, pictures, and every tenth one fails."""
    source = make_clip(tmp_path / "in.mkv", width=96, height=64, frames=6, audio="aac", subtitles="subrip")
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("out.mkv", {"codec": "libx264", "preset": "ultrafast"}),
        ("out.mp4", {"codec": "libx264", "preset": "ultrafast"}),
        ("out.mkv", {"codec": "ffv1", "temporal": "adaptive"}),
        ("out.y4m", {}),
        ("%03d.png", {}),
    ]
    run = Upscaler.run

    def failing(self: Any, *arguments: Any) -> Any:
        raise EngineError("no memory")

    def upscale(name: str, options: dict[str, Any], fails: bool) -> None:
        try:
            paragon_stream.upscale(
                source,
                tmp_path / name,
                variant="realtime",
                threads=1,
                overwrite=True,
                on_warning=lambda sentence: None,  # pytest would keep what is logged
                **options,
            )
        except EngineError:
            assert fails

    def render(number: int) -> None:
        name, options = kinds[number % len(kinds)]
        fails = number % 10 == 9
        with monkeypatch.context() as patch:
            patch.setattr(Upscaler, "run", failing if fails else run)
            upscale(name, options, fails)

    monkeypatch.setattr("paragon_stream.render.run.PAUSE", 0.0)
    assert_no_leak(render, RENDERS, SETTLED)


def test_leaks_are_seen(tmp_path: Path) -> None:
    kept: list[Any] = []
    for leak in (
        lambda number: kept.append(np.ones(1_000_000, np.uint8)),
        lambda number: kept.append((tmp_path / str(number)).open("wb")),
    ):
        with pytest.raises(AssertionError):
            assert_no_leak(leak, 40, 10)
    for file in kept:
        if not isinstance(file, np.ndarray):
            file.close()
