"""Compiled things on disk: found again, never half there, made once, remade when damaged."""

from __future__ import annotations

import logging
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from paragon_stream.runtimes.disk_cache import DiskCache, default_cache_folder, temporary_folder

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


def test_a_damaged_entry_of_a_read_only_cache_is_no_error(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put(FACTS, b"content")
    cache.path(FACTS).write_bytes(b"damaged")

    def refused(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refused)
    assert cache.get(FACTS) is None


@pytest.mark.skipif(os.name == "nt", reason="POSIX's access rights")
@pytest.mark.parametrize("home", ["~/.cache/paragon-stream", RuntimeError("no home")])
def test_a_user_without_a_home_folder(home: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In containers. Entries are kept in a folder that no other user can write into, or not at all."""

    def user_cache_dir(*_: object, **__: object) -> str:
        if isinstance(home, Exception):
            raise home
        return str(home)

    monkeypatch.setattr(platformdirs, "user_cache_dir", user_cache_dir)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = default_cache_folder("kernels")
    assert folder == temporary_folder() / "cache" / "kernels"
    assert [(path.parent, path.stat().st_mode & 0o77) for path in (temporary_folder(),)] == [(tmp_path, 0)]
    temporary_folder().chmod(0o777)
    with pytest.raises(PermissionError, match="other users"):
        temporary_folder()
    cache = DiskCache(default_cache_folder("kernels"), ".cubin")
    assert cache.get_or_make(FACTS, lambda: b"made") == (b"made", False)
    assert cache.entries() == [] and cache.clear() == 0
