"""The files of a run over many files, and the names of their results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from paragon_stream import QueueObserver, upscale_all
from paragon_stream.errors import InputError, UsageError
from paragon_stream.queue.files import SourceFile, find_files
from paragon_stream.queue.journal import FileFacts
from paragon_stream.queue.observer import QueueItem
from paragon_stream.queue.request import Destination, QueueRequest
from paragon_stream.queue.targets import settle_names
from paragon_stream.queue.watch import Growth


@pytest.fixture
def shows(tmp_path: Path) -> Path:
    folder = tmp_path / "shows"
    for name in (
        "a.mkv",
        "b.AVI",
        "cover.JPG",
        "notes.txt",
        ".hidden.mkv",
        "old.mkv.paragon/old.mkv",
        "s1/e1.mkv",
        "s1/deep/e2.mp4",
        "out/a.mkv",
        "odd.gif",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def relatives(folder: Path, *sources: str | Path, recursive: bool = False) -> list[str]:
    found = find_files(sources or (folder,), recursive=recursive, leave_out=folder / "out", may_be_none=False)
    return [file.relative.as_posix() for file in found.files]


def test_folders(shows: Path) -> None:
    assert relatives(shows) == ["a.mkv", "b.AVI", "cover.JPG"]
    assert relatives(shows, recursive=True) == ["a.mkv", "b.AVI", "cover.JPG", "s1/e1.mkv", "s1/deep/e2.mp4"]
    said = find_files([shows], recursive=False, leave_out=shows / "out", may_be_none=False).passed_over
    assert [sentence.split(str(shows))[1] for sentence in said] == [
        ": odd.gif",
        ": 1 folder, which --recursive takes",
    ]


def test_globs_lists_and_names(shows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert relatives(shows, f"{shows}/*/*.mkv") == ["s1/e1.mkv"]
    assert relatives(shows, f"{shows}/**/*.m*") == ["a.mkv", "s1/deep/e2.mp4", "s1/e1.mkv"]
    listed = shows / "list.txt"
    listed.write_text(f"# films\ns1/e1.mkv\n\n{shows}/s1/deep/e2.mp4\n*.avi\n".replace("*.avi", "b.*"))
    assert relatives(shows, f"@{listed}") == ["s1/e1.mkv", "e2.mp4", "b.AVI"]
    assert relatives(shows, shows / "a.mkv", shows, shows / "gone.mkv") == [
        *["a.mkv", "b.AVI", "cover.JPG"],
        "gone.mkv",  # fails when its turn comes, alone
    ]


@pytest.mark.skipif(os.name == "nt", reason="links and odd names")
def test_the_folder_of_results_under_any_name(shows: Path, tmp_path: Path) -> None:
    """Otherwise results would be upscaled again, by every run and without an end by --watch."""
    plain = relatives(shows, recursive=True)
    link = tmp_path / "link"
    link.symlink_to(shows / "out")
    for name in (link, shows / "s1" / ".." / "out"):
        for source in (shows, f"{shows}/**/*"):
            found = find_files([source], recursive=True, leave_out=name, may_be_none=False)
            assert sorted(file.relative.as_posix() for file in found.files) == sorted(plain)
    (shows / "s1" / "again").symlink_to(shows)
    said = find_files([shows], recursive=True, leave_out=link, may_be_none=False)
    assert [file.relative.as_posix() for file in said.files] == plain
    assert any("1 linked folder" in sentence for sentence in said.passed_over)


def test_pipes_are_refused(tmp_path: Path) -> None:
    """They can be read only once, and the queue reads each file before its render."""
    os.mkfifo(tmp_path / "pipe.mkv")
    with pytest.raises(InputError, match="is a pipe or a device"):
        relatives(tmp_path, tmp_path / "pipe.mkv")
    (tmp_path / "a.mkv").touch()
    assert relatives(tmp_path) == ["a.mkv"]


def test_globs_in_a_list_whose_folder_has_brackets(tmp_path: Path) -> None:
    folder = tmp_path / "[2024] x"
    (folder / "s[1]").mkdir(parents=True)
    for name in ("a.mkv", "b.mkv", "s[1]/c.mkv"):
        (folder / name).touch()
    (folder / "list.txt").write_text("*.mkv\ns[[]1]/*.mkv\n")
    assert relatives(tmp_path, f"@{folder}/list.txt") == ["a.mkv", "b.mkv", "s[1]/c.mkv"]
    (folder / "list.txt").write_text(f"{tmp_path}/[[]2024[]] x/b*\n")
    assert relatives(tmp_path, f"@{folder}/list.txt") == ["[2024] x/b.mkv"]


@pytest.mark.skipif(os.name == "nt", reason="odd names")
def test_lists_with_odd_names(shows: Path) -> None:
    odd = "part\u2028two\x0c\x85.mkv"
    (shows / odd).write_bytes(b"x")
    listed = shows / "list.txt"
    (shows / " b.mkv").write_bytes(b"x")
    listed.write_bytes(f"{odd}\r\n a.mkv \r\n b.mkv\r\n".encode())
    assert relatives(shows, f"@{listed}") == [odd, "a.mkv", " b.mkv"]
    listed.write_text("a.mkv\n", encoding="utf-16")
    with pytest.raises(InputError, match="UTF-8"):
        relatives(shows, f"@{listed}")


def test_sources_that_are_gone_for_a_while(shows: Path) -> None:
    sources = [shows / "s1", shows / "gone", f"@{shows}/gone.txt"]
    found = find_files(sources, recursive=False, leave_out=shows / "out", may_be_none=True)
    assert [file.path.name for file in found.files] == ["e1.mkv"]
    assert [sentence.rpartition("gone")[2][:5] for sentence in found.unreadable] == [" does", ".txt "]


def test_growing_files_whatever_the_clock_of_their_server_says(tmp_path: Path) -> None:
    file, now = tmp_path / "a.mkv", [1000.0]
    growth = Growth(lambda: now[0], settled=6.0)
    source = SourceFile(path=file, relative=Path(file.name))

    def look(seconds: float) -> bool:
        now[0] += seconds
        return bool(growth.settled([source]))

    def write(size: int, when: int) -> None:
        file.write_bytes(bytes(size))
        os.utime(file, (when, when))

    write(1, 0)  # the server's clock is years behind
    assert not look(0)
    write(2, 2)
    assert [look(5), look(5), look(5)] == [False, False, True]
    growth.done(file, FileFacts.of(file))
    assert not look(60)
    write(3, 1 << 32)  # or ahead
    assert [look(1), look(7)] == [False, True]
    file.unlink()
    assert not look(60)
    write(3, 1 << 32)
    assert [look(60), look(7)] == [False, True], "it may be on its way again"


def test_what_means_no_file_is_refused_at_once(shows: Path) -> None:
    for source, word in ((shows / "*.webm", "no file matches"), (shows / "empty", "holds no video")):
        (shows / "empty").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=word):
            relatives(shows, source)
    with pytest.raises(InputError, match="list"):
        relatives(shows, "@gone.txt")
    with pytest.raises(UsageError, match="address"):
        relatives(shows, "https://example.org/a.mkv")


def named(
    files: list[tuple[str, str]], container: str | None = None, given: dict[str, Path] | None = None
) -> list[str]:
    """The names of (path, relative path)."""
    sources = [SourceFile(path=Path(path), relative=Path(relative)) for path, relative in files]
    where = Destination(folder=Path("out"), container=container, picture=None)
    settled = settle_names(sources, where, (given or {}).items())
    return [settled[source].as_posix() for source in sources]


def test_names_stay_and_suffixes_that_can_be_written() -> None:
    files = [("/a/x.MKV", "x.MKV"), ("/a/s/y.avi", "s/y.avi"), ("/a/p.webp", "p.webp")]
    assert named(files) == ["x.MKV", "s/y.mkv", "p.webp"]
    assert named(files, container=".mp4") == ["x.mp4", "s/y.mp4", "p.webp"]


def test_names_that_collide_are_kept_apart() -> None:
    assert named([("/a/x.avi", "x.avi"), ("/a/x.mkv", "x.mkv"), ("/a/x.wmv", "x.wmv")]) == [
        *["x.avi.mkv", "x.mkv", "x.wmv.mkv"]
    ]
    assert named([("/a/s1/e.mkv", "e.mkv"), ("/a/s2/E.mkv", "E.mkv"), ("/b/s2/e.mkv", "e.mkv")]) == [
        *["s1/e.mkv", "a/s2/E.mkv", "b/s2/e.mkv"]
    ]
    assert named([("/x.mkv", "x.mkv"), ("/X.mkv", "X.mkv")]) == ["x.mkv", "X (2).mkv"]
    composed, apart = "\xe9.mkv", "e\u0301.mkv"  # one name on macOS
    assert named([(f"/{composed}", composed), (f"/{apart}", apart)]) == [composed, "e\u0301 (2).mkv"]


def test_names_without_the_suffix_of_media() -> None:
    assert named([("/a/show v1.2 final", "show v1.2 final"), ("/a/x.xyz", "x.xyz")]) == [
        *["show v1.2 final.mkv", "x.xyz.mkv"]
    ]


def test_every_name_that_is_kept_apart_is_listed(tmp_path: Path) -> None:
    listed: list[str] = []

    class Names(QueueObserver):
        def planned(self, items: Sequence[QueueItem], renamed: Sequence[QueueItem]) -> None:
            listed.extend(item.target.relative_to(tmp_path / "out").as_posix() for item in renamed)
            raise KeyboardInterrupt

    for name in ("s1/e.mkv", "s2/e.mkv", "s2/f.avi", "s3/v1.2 final"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    sources = [tmp_path / "s1/e.mkv", tmp_path / "s2", tmp_path / "s3/v1.2 final"]
    with pytest.raises(KeyboardInterrupt):
        upscale_all(sources, tmp_path / "out", observer=Names())
    assert listed == ["s1/e.mkv", "s2/e.mkv"]


def test_names_of_earlier_runs_stay() -> None:
    given = {"/a/x.avi": Path("x.mkv"), "/gone.mkv": Path("y.mkv")}
    files = [("/a/x.avi", "x.avi"), ("/a/x.mkv", "x.mkv"), ("/a/y.mkv", "y.mkv")]
    assert named(files, given=given) == ["x.mkv", "x (2).mkv", "y (2).mkv"]


def test_what_a_destination_may_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, word in (
        ("out.png", "is one image"),
        ("out.mkv", "frame_%06d.png"),
        ("file", "is a file"),
        ("o*t", "nor of the form"),
        ("*.gif", ".gif"),
    ):
        with pytest.raises(UsageError, match=word):
            QueueRequest(["x"], tmp_path / name).placed()
    with pytest.raises(UsageError, match="choose one of"):
        QueueRequest(["x"], tmp_path / "new", container="xyz").placed()
    assert QueueRequest(["x"], tmp_path / "*.mp4").placed().container == ".mp4"
    assert QueueRequest(["x"], tmp_path / "*.png").placed().picture == ".png"
