"""MP4 and MOV: the index before the pictures, options of the muxer, and which tracks are enabled."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import pytest
from av.stream import Disposition
from clips import make_clip
from rendering import frames_of, render, sink_for, tracks

from paragon_stream.errors import UsageError
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.mp4.fast_start import with_later_positions
from paragon_stream.media.output.plan import OutputOptions, plan_output


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(
        tmp_path_factory.mktemp("fast") / "in.mkv", frames=60, audio="aac", subtitles="subrip", chapters=2
    )


def kinds(path: Path) -> list[str]:
    """The boxes of a file, in order."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        found.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at + 8 : at + 16]) if size == 1 else size
    return found


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("bare", [True, False], ids=["crash-safe", "with texts"])
def test_the_index_comes_first(tmp_path: Path, clip: Path, suffix: str, bare: bool) -> None:
    """And points to the same packets as one at the end."""
    options = {"subtitles": "none", "chapters": False} if bare else {}
    fast, slow = tmp_path / f"fast{suffix}", tmp_path / f"slow{suffix}"
    done = render(clip, fast, **options)
    render(clip, slow, mux={"movflags": "-faststart"}, **options)
    assert done.warnings == [] or not bare
    assert kinds(fast).index("moov") < kinds(fast).index("mdat")
    assert kinds(slow).index("moov") > kinds(slow).index("mdat")
    assert tracks(fast) == tracks(slow)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_what_is_unfinished_keeps_its_index_where_it_was_written(tmp_path: Path, clip: Path) -> None:
    with sink_for(clip, tmp_path / "out.mp4", subtitles="none", chapters=False) as (info, plan, sink):
        for planes, timing in frames_of(info, plan.target):
            sink.write(planes, timing)
        sink.abort()
    kept = tmp_path / "out.mp4.paragon" / "out.mp4"
    assert kinds(kept)[-1] == "moov" and len(tracks(kept)[0].payloads) > 30


def test_positions_beyond_four_gigabytes_get_wide_tables(tmp_path: Path) -> None:
    def index(kind: bytes, table: bytes) -> bytes:
        inside = table
        for each in (kind, b"stbl", b"minf", b"mdia", b"trak", b"moov"):
            inside = struct.pack(">I4s", len(inside) + 8, each) + inside
        return inside

    places = [44, 0xFFFFFFF0]
    before = index(b"stco", struct.pack(">II2I", 0, 2, *places))
    moved = with_later_positions(before, len(before))
    assert moved == index(b"co64", struct.pack(">II2Q", 0, 2, *(place + len(moved) for place in places)))


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("default", [True, False])
def test_subtitles_are_enabled_only_if_the_source_says_so(tmp_path: Path, suffix: str, default: bool) -> None:
    flags = [0, 0, int(Disposition.default) * default]
    clip = make_clip(
        tmp_path / "in.mkv", frames=60, audio="aac", subtitles="subrip", chapters=2, dispositions=flags
    )
    out = tmp_path / f"out{suffix}"
    render(clip, out)
    with av.open(str(out)) as file:
        assert bool(file.streams.subtitles[0].disposition & Disposition.default) is default
        assert file.streams.audio[0].disposition & Disposition.default  # else QuickTime is silent
        assert file.streams.video[0].disposition & Disposition.default


def test_options_of_the_muxer(tmp_path: Path, clip: Path) -> None:
    render(clip, tmp_path / "out.mkv", mux={"cluster_time_limit": "500"})
    render(clip, tmp_path / "plain.mkv")
    sign = b"\x1f\x43\xb6\x75"
    assert (tmp_path / "out.mkv").read_bytes().count(sign) > (tmp_path / "plain.mkv").read_bytes().count(sign)


@pytest.mark.parametrize(
    ("name", "mux", "said"),
    [
        ("a.mkv", {"nonsense": "1"}, "does not have"),
        ("a.mkv", {"cluster_time_limit": "x"}, "is refused by matroska"),
        ("a.mkv", {"movflags": "faststart"}, "only MP4 and MOV"),
        ("a.mp4", {"movflags": "nonsense"}, "--mux movflags=nonsense is refused by mp4"),
        ("a.y4m", {"brand": "x"}, "leave --mux out"),
    ],
)
def test_options_that_a_muxer_does_not_have(
    tmp_path: Path, clip: Path, name: str, mux: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        plan_output(probe(clip), tmp_path / name, 1, OutputOptions(mux=mux))
