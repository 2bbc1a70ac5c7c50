"""Chunks of a source that lies elsewhere: the same pictures, from a part of its bytes."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from chunk_material import LOSSLESS, planned, rendered
from clips import make_clip, read_frames

from paragon_stream.chunks.render import Here
from paragon_stream.cluster import source_pieces
from paragon_stream.cluster.source_pieces import SourcePieces
from paragon_stream.errors import EngineError
from paragon_stream.media.source import fingerprint as fingerprints
from paragon_stream.media.source import opening as sources
from paragon_stream.media.source.distant import read_elsewhere
from paragon_stream.media.source.fingerprint import fingerprint

BLOCK = 1 << 12


@pytest.fixture(autouse=True)
def small_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Smaller sizes instead of gigabytes, and a separate temporary folder."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr(source_pieces, "BLOCK", BLOCK)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for module, name, value in (
        (fingerprints, "_END", BLOCK),
        (fingerprints, "_SAMPLES", 2),
        (fingerprints, "_SAMPLE", 1 << 10),
        (sources, "_HEAD", BLOCK),
    ):
        monkeypatch.setattr(module, name, value)
    return folder


def blocks_of(data: bytes, asked: list[int] | None = None) -> Callable[[int], bytes]:
    def fetch(number: int) -> bytes:
        if asked is not None:
            asked.append(number)
        return data[number * BLOCK :][:BLOCK]

    return fetch


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_chunk_reads_a_part_of_the_file(tmp_path: Path, suffix: str, small_blocks: Path) -> None:
    source, there = tmp_path / f"in{suffix}", tmp_path / "there" / f"in{suffix}"
    options = {"g": "10", "bf": "2", "x264-params": "crf=4"}  # most of it in the packets, as in a film
    make_clip(source, frames=250, options=options, audio="aac")
    plan, folder = planned(source, tmp_path / "out.mkv", 0.8, **LOSSLESS)
    (here,) = rendered(plan, folder, [6])
    expected = read_frames(folder.path / here.file)
    content, data = fingerprint(source), source.read_bytes()
    there.parent.mkdir()
    source.rename(there)  # what opens it by its name fails
    pieces = SourcePieces(source.name, len(data), content, blocks_of(data))
    with closing(pieces), read_elsewhere(pieces.path, pieces):
        (far,) = rendered(plan, folder, [6], Here(source=pieces.path))
    assert [(pts, [p.tobytes() for p in planes]) for pts, planes in read_frames(folder.path / far.file)] == [
        (pts, [p.tobytes() for p in planes]) for pts, planes in expected
    ]
    assert far.stamps == here.stamps and far.damage == here.damage and not far.from_start
    assert 0 < pieces.fetched <= len(data)
    if suffix != ".ts":  # of which the beginning is searched for streams: all of so short a file
        assert pieces.fetched < 0.6 * len(data)
    assert not list(small_blocks.rglob("data"))


def _read_all(content: str, data: bytes, fetched: multiprocessing.Queue[int]) -> None:
    pieces = SourcePieces("in.mkv", len(data), content, blocks_of(data))
    assert pieces.read_at(0, len(data)) == data
    fetched.put(pieces.fetched)  # and ends without `close`


def test_processes_share_what_was_fetched(small_blocks: Path) -> None:
    data = bytes(range(256)) * 100 + b"end"
    asked: list[int] = []
    first = SourcePieces("in.mkv", len(data), "x", blocks_of(data, asked))
    assert first.read_at(5000, 10) == data[5000:5010] and asked == [1]
    assert first.read_at(len(data) - 3, 100) == b"end" and first.read_at(len(data), 1) == b""
    fork = multiprocessing.get_context("fork")
    queue = fork.Queue()
    other = fork.Process(target=_read_all, args=("x", data, queue))
    other.start()
    assert queue.get(timeout=30) == len(data) - BLOCK - (len(data) % BLOCK)
    other.join(30)
    assert first.read_at(0, len(data)) == data and len(asked) == 2, "the other process brought the rest"
    left = small_blocks / next(small_blocks.iterdir()) / "0123"
    left.mkdir()
    for name in ("lock", "data", "map"):  # of a process that was killed
        (left / name).touch()
    SourcePieces("b.mkv", 3, "y", blocks_of(b"abc")).close()
    assert not left.exists()
    assert first.read_at(0, 10) == data[:10], "one that is in use stays"
    first.close()
    assert [path for path in small_blocks.rglob("*") if path.is_file()] == []


def test_a_source_that_became_shorter(small_blocks: Path) -> None:
    pieces = SourcePieces("in.mkv", 3 * BLOCK, "x", blocks_of(bytes(2 * BLOCK)))
    with pytest.raises(EngineError, match="length of the source has changed"):
        pieces.read_at(2 * BLOCK, 1)
    pieces.close()
