"""The journal of a render: what it remembers, and what it does not take for data."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paragon_stream.frame import Timing
from paragon_stream.media.safekeeping import journal as journals
from paragon_stream.media.safekeeping.frame_log import FrameRecord
from paragon_stream.media.safekeeping.journal import Journal
from paragon_stream.media.safekeeping.packet_log import PacketFacts
from paragon_stream.media.safekeeping.spool import FrameSpool


def record(number: int) -> FrameRecord:
    timing = Timing(pts=number, duration=1, time_base=Fraction(1, 25))
    return FrameRecord(timing=timing, strength=0.25, sample=7, disturbed=False, pts=40 * number, duration=40)


def planes(number: int) -> tuple[Any, ...]:
    return np.full((6, 8), number, np.uint8), np.full((3, 4), number + 100, np.uint8)


def written(folder: Path, order: list[int], frames: int) -> None:
    """A journal of `frames` frames and of the packets of those in `order`."""
    found = Journal(folder)
    found.begin(file=folder / "out.mkv")
    for number in range(frames):
        found.frame(record(number), planes(number))
    for number in order:
        found.packet(PacketFacts(40 * number, None, 40, 5, number == 0), b"%05d" % number)
    found.close()


@pytest.mark.parametrize(
    ("order", "closed"), [([], 0), ([0, 1, 2], 3), ([0, 4, 2, 1], 1), ([0, 4, 2, 1, 3], 5), ([1, 0], 2)]
)
def test_a_render_goes_on_where_all_frames_before_have_packets(
    tmp_path: Path, order: list[int], closed: int
) -> None:
    written(tmp_path, order, 6)
    again = Journal(tmp_path)
    assert again.done == closed and len(again.frames) == 6
    assert again.frames[3] == record(3)
    again.begin(file=tmp_path / "out.mkv")
    assert [(serial, bytes(data)) for serial, data in again.packets.bytes_from(0)] == [
        (place, b"%05d" % number) for place, number in enumerate(order[:closed])
    ]
    again.close()


def test_a_file_that_has_lost_its_end(tmp_path: Path) -> None:
    """What is left of it is continued by the next run: the first packets stay in the journal."""
    written(tmp_path, list(range(10)), 10)
    (tmp_path / "packets-0000000000").unlink()  # they were in the file
    found = Journal(tmp_path)
    assert found.done == 10
    found.begin(file=tmp_path / "out.mkv", before=tmp_path / "before.mkv")
    assert found.shorten(6) == 6
    found.close()
    again = Journal(tmp_path)
    assert again.done == len(again.frames) == len(again.packets.facts) == 6


@pytest.mark.parametrize("name", ["frames", "index", "packets-0000000000"])
@pytest.mark.parametrize("loss", [8, 30, 100])
@pytest.mark.parametrize("zeros", [False, True])
def test_bytes_that_are_lost_are_not_taken_for_data(
    tmp_path: Path, name: str, loss: int, zeros: bool
) -> None:
    written(tmp_path, list(range(20)), 20)
    path = tmp_path / name
    data = path.read_bytes()
    path.write_bytes(data[:-loss] + bytes(loss if zeros else 0))
    again = Journal(tmp_path)
    assert 10 < again.done < 20
    again.begin(file=tmp_path / "out.mkv")
    assert [data for _, data in again.packets.bytes_from(0)] == [b"%05d" % n for n in range(again.done)]
    again.close()


def test_spooled_frames_are_checked(tmp_path: Path) -> None:
    spool = FrameSpool(tmp_path)
    spool.put(3, Fraction(1, 8), planes(3))
    again, room = FrameSpool(tmp_path), planes(0)
    assert not again.take(4, Fraction(1, 8), room) and not again.take(3, Fraction(1, 4), room)
    assert again.take(3, Fraction(1, 8), room) and all(map(np.array_equal, room, planes(3)))
    path = next(tmp_path.iterdir())
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert not FrameSpool(tmp_path).take(3, Fraction(1, 8), room)


def test_frames_are_spooled_when_the_encoder_holds_too_much_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "AT_RISK", -1.0)
    written(tmp_path, [0, 1], 5)
    assert sorted(path.name for path in tmp_path.glob("frame-*")) == [f"frame-{n:010}" for n in (2, 3, 4)]
    again, room = Journal(tmp_path), planes(0)
    assert again.done == 2 and again.take(4, record(4).time, room)
    assert all(map(np.array_equal, room, planes(4)))


def test_without_room_for_frames_the_render_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journals, "AT_RISK", -1.0)
    monkeypatch.setattr(FrameSpool, "put", full)
    found = Journal(tmp_path)
    found.begin(file=tmp_path / "out.mkv")
    for number in range(3):
        found.frame(record(number), planes(number))
    found.close()
    assert len(found.warnings) == 1 and "the disk is full" in found.warnings[0]
    assert list(tmp_path.glob("frame-*")) == []
