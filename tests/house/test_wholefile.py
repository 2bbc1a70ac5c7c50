"""`whole_file`: a file is under its name as a whole, or what was there before is still there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from paragon_stream.errors import OutputError
from paragon_stream.wholefile import remove_leftovers, whole_file


def test_the_name_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "name"
    with whole_file(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_it_may_be_read_by_whom_the_user_lets_read(tmp_path: Path) -> None:
    with whole_file(tmp_path / "name"):
        pass
    (tmp_path / "plain").touch()
    assert (tmp_path / "name").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), ValueError("else")])
def test_a_failure_leaves_what_was_there(tmp_path: Path, failure: Exception) -> None:
    path = tmp_path / "name"
    path.write_bytes(b"before")
    expected = OutputError if isinstance(failure, OSError) else ValueError
    with pytest.raises(expected, match=r"the disk is full|else"), whole_file(path) as file:
        file.write(b"after")
        raise failure
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_is_taken_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "name"
    with pytest.raises(OutputError, match="exists already"), whole_file(path, overwrite=False):
        path.write_bytes(b"somebody else's")
    assert path.read_bytes() == b"somebody else's"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="absent"), whole_file(tmp_path / "absent" / "name"):
        pass


@pytest.mark.parametrize("name", ["picture.png", "ä" * 120 + ".png", "[a]*.png"])
def test_what_killed_processes_leave_is_removed(name: str, tmp_path: Path) -> None:
    path, others = tmp_path / name, [tmp_path / ".other.png.01234567.part", tmp_path / f".{name[:9]}.part"]
    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        (left,) = tmp_path.iterdir()
        content = left.name
        file.write(b"half")
        raise KeyboardInterrupt
    for each in (tmp_path / content, *others):
        each.write_bytes(b"half")
    remove_leftovers(path)
    assert sorted(tmp_path.iterdir()) == sorted(others)
