"""Compiled things on disk: found again, never half there, made once, remade when damaged."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from paragon_stream.runtimes.disk_cache import DiskCache

FACTS = {"graph": "abc", "gpu": "Fake sm_89"}


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "engines", ".engine")


def test_what_was_put_is_found_by_equal_facts(cache: DiskCache) -> None:
    assert cache.get(FACTS) is None and cache.entries() == []
    cache.put(FACTS, b"line\nline\n")
    assert cache.get(dict(reversed(FACTS.items()))) == b"line\nline\n"
    assert cache.get({**FACTS, "gpu": "Fake sm_90"}) is None
    (entry,) = cache.entries()
    assert entry.facts == FACTS and entry.size > 10
    assert [path.name for path in cache.folder.iterdir()] == [entry.path.name]
    assert cache.clear() == 1 and cache.entries() == []


@pytest.mark.parametrize("position", [2, -3, None], ids=["head", "content", "cut short"])
def test_damage_is_noticed_and_mended(
    cache: DiskCache, position: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put(FACTS, bytes(1000))
    path = cache.path(FACTS)
    raw = bytearray(path.read_bytes())
    if position is None:
        raw = raw[:-100]
    else:
        raw[position] ^= 0x41
    path.write_bytes(raw)
    with caplog.at_level(logging.WARNING):
        content, found = cache.get_or_make(FACTS, lambda: b"new")
    assert (content, found) == (b"new", False) and "damaged" in caplog.text
    assert cache.get_or_make(FACTS, lambda: b"unused") == (b"new", True)


def test_a_failed_make_leaves_nothing(cache: DiskCache) -> None:
    def fail() -> bytes:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.get_or_make(FACTS, fail)
    assert cache.entries() == []
    assert cache.get_or_make(FACTS, lambda: b"x") == (b"x", False)


def test_without_a_place_to_write_it_still_makes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache = DiskCache(tmp_path / "file" / "engines", ".engine")
    with caplog.at_level(logging.WARNING):
        assert cache.get_or_make(FACTS, lambda: b"x") == (b"x", False)
    assert "nothing can be stored" in caplog.text


def make_slowly(folder: Path, log: Path) -> None:
    def make() -> bytes:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.5)
        return b"made"

    assert DiskCache(folder, ".engine").get_or_make(FACTS, make)[0] == b"made"


def test_several_processes_make_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=make_slowly, args=(tmp_path / "engines", tmp_path / "log")) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len((tmp_path / "log").read_text().splitlines()) == 1
