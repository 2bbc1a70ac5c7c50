"""Parts of Matroska that FFmpeg neither reads nor writes: kept in Matroska files, announced for others."""

from __future__ import annotations

import re
import zlib
from fractions import Fraction
from pathlib import Path

import av
import pytest
from clip_matroska import LINKED, chapter, edition, make_matroska, mkvextract, pictures, tag
from clips import make_clip, packets
from rendering import decoded_pts, frames_of, main_video, render, sink_for

from paragon_stream.errors import LossError
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.facts.streams import matroska_facts
from paragon_stream.media.matroska import ids
from paragon_stream.media.matroska.ebml import Element, head
from paragon_stream.media.matroska.header import HeaderChange, TrackChange, display_size, write_header
from paragon_stream.media.matroska.source import MatroskaFacts
from paragon_stream.media.output.plan import OutputOptions, plan_output
from paragon_stream.media.prepare import SourceOptions, prepare
from paragon_stream.media.sink import open_sink

HIDDEN = Element.uint(ids.CHAPTER_HIDDEN, 1)
LEVEL_70 = Element.uint(ids.TARGET_VALUE, 70), Element.text(ids.TARGET_NAME, "COLLECTION")
LANGUAGES = {
    0: TrackChange(language="ja"),
    1: TrackChange(language="pt-BR"),
    2: TrackChange(language="zh-Hant", enabled=False),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds with two editions, nested and hidden chapters, names in two languages, levels of tags."""
    return make_matroska(
        tmp_path_factory.mktemp("matroska") / "in.mkv",
        frames=30,
        rate=10,
        audio="libopus",
        audio_tracks=2,
        languages=["jpn", "por", "chi"],
        attachments=[("f.ttf", "font/ttf", b"font")],
        metadata={"title": "The file"},
        tracks=LANGUAGES,
        chapters=(
            edition(
                11,
                chapter(1, 0, "Opening", "Anfang", inside=(chapter(2, 0.5, "Inside"),)),
                chapter(3, 1, "Second"),
                chapter(4, 2.5, "Secret", inside=(HIDDEN,)),
                default=True,
            ),
            edition(12, chapter(5, 0, "All of it")),
        ),
        tags=(
            tag("TITLE", "The show", *LEVEL_70),
            tag("TITLE", "The episode"),
            tag("COMMENT", "of an edition", Element.uint(ids.TAG_EDITION, 12)),
        ),
        tag_of_track={1: ("MOOD", "sad")},
    )


def test_the_header_arrives_as_it_was(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out.mkv"
    done = render(source, out, strict=True)
    assert done.warnings == []
    before, after = matroska_facts(source, "matroska"), matroska_facts(out, "matroska")
    assert before is not None and after is not None
    assert after.chapters == before.chapters
    assert [(t.language, t.enabled) for t in after.tracks] == [
        ("ja", True),
        ("pt-BR", True),
        ("zh-Hant", False),
    ]
    assert after.title == "The file"
    assert packets(out, 1) == packets(source, 1)
    assert pictures(out) == 30
    assert _tags(after, after.tracks[1].uid) == {
        (70, "TITLE", "The show"),
        (0, "TITLE", "The episode"),
        (0, "COMMENT", "of an edition"),
        ("track", "MOOD", "sad"),
    }


def test_mkvtoolnix_reads_the_same_of_both(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out.mkv"
    render(source, out)
    assert mkvextract(out, "chapters") == mkvextract(source, "chapters")
    uids = re.compile(r"<TrackUID>\d+|<String>[\d:.]+\d|Lav\w[\d.]+( \w+)*")
    assert uids.sub("", mkvextract(out, "tags")) == uids.sub("", mkvextract(source, "tags"))


def _tags(facts: MatroskaFacts, track: int) -> set[tuple[object, str, str]]:
    """(target, name, value) of all tags but those that FFmpeg writes of the file itself."""
    found = set()
    for each in facts.tags.all(ids.TAG) if facts.tags else ():
        target = each.first(ids.TARGETS)
        assert target is not None
        about = "track" if target.number_of(ids.TAG_TRACK) == track else target.number_of(ids.TARGET_VALUE)
        for simple in each.all(ids.SIMPLE_TAG):
            name, value = simple.words_of(ids.TAG_NAME), simple.words_of(ids.TAG_STRING)
            if name not in ("ENCODER", "DURATION"):
                found.add((about, name, value))
    return found


def test_a_part_has_its_own_chapters(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out.mkv"
    info = prepare(source, SourceOptions(start=0.7, end=2))
    plan = plan_output(info, out, 1, OutputOptions(preset="ultrafast"))
    with open_sink(plan, info) as sink:
        for planes, timing in frames_of(info, plan.target):
            sink.write(planes, timing)
        sink.finish()
    facts = matroska_facts(out, "matroska")
    assert facts is not None and facts.chapters is not None
    assert _outline(facts.chapters) == [
        [("Opening", 0.0, [("Inside", 0.0, [])]), ("Second", 0.3, [])],
        [("All of it", 0.0, [])],
    ]


def _outline(chapters: Element) -> list[list[object]]:
    def of(parent: Element) -> list[object]:
        return [
            (
                each.children and next(each.all(ids.CHAPTER_DISPLAY)).words_of(ids.CHAPTER_STRING),
                round(each.number_of(ids.CHAPTER_START) / 1e9, 2),
                of(each),
            )
            for each in parent.all(ids.CHAPTER)
        ]

    return [of(each) for each in chapters.all(ids.EDITION)]


def test_other_containers_say_what_is_lost(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out.mp4"
    done = render(source, out)
    said = "\n".join(done.plan.losses)
    for words in (
        "further editions",
        "chapters in chapters",
        "hidden chapters",
        "further names",
        "the tags COLLECTION/TITLE",
    ):
        assert words in said
    with av.open(str(out)) as file:
        titles = [dict(each["metadata"])["title"] for each in file.chapters()]
    assert titles == ["Opening", "Second"]
    with pytest.raises(LossError):
        plan_output(probe(source), out, 1, OutputOptions(strict=True, overwrite=True))


def test_links_to_other_files_are_announced(tmp_path: Path) -> None:
    elsewhere = Element(ids.CHAPTER_SEGMENT, LINKED)
    parts = chapter(1, 0.5, "Here", end=1), chapter(2, 0, "There", end=1, inside=(elsewhere,))
    clip = make_matroska(tmp_path / "in.mkv", chapters=(edition(1, *parts, default=True, ordered=True),))
    done = render(clip, tmp_path / "out.mkv")
    assert done.warnings == list(done.plan.losses)
    assert "1 chapter plays a part of another file" in done.plan.losses[0]
    facts = matroska_facts(tmp_path / "out.mkv", "matroska")
    assert facts is not None and facts.chapters is not None
    assert _outline(facts.chapters) == [[("Here", 0.5, [])]]
    only = next(facts.chapters.all(ids.EDITION))
    assert not only.number_of(ids.EDITION_ORDERED)


def test_ordered_chapters_of_the_file_itself_are_kept(tmp_path: Path) -> None:
    parts = chapter(1, 0.3, "Later", end=0.4), chapter(2, 0, "Earlier", end=0.2)
    clip = make_matroska(tmp_path / "in.mkv", chapters=(edition(1, *parts, default=True, ordered=True),))
    done = render(clip, tmp_path / "out.mkv", strict=True)
    assert done.warnings == []
    before, after = matroska_facts(clip, "matroska"), matroska_facts(tmp_path / "out.mkv", "matroska")
    assert before is not None and after is not None and after.chapters == before.chapters
    lost = plan_output(probe(clip), tmp_path / "out.mp4", 1).losses
    assert any("order in which the chapters are to be played" in loss for loss in lost)


def test_sound_is_chosen_by_its_whole_language_tag(tmp_path: Path) -> None:
    languages = {1: TrackChange(language="es-ES"), 2: TrackChange(language="es-419")}
    clip = make_matroska(
        tmp_path / "in.mkv", audio="libopus", audio_tracks=2, languages=["", "spa", "spa"], tracks=languages
    )
    render(clip, tmp_path / "out.mkv", audio="es-419")
    facts = matroska_facts(tmp_path / "out.mkv", "matroska")
    assert facts is not None and [track.language for track in facts.tracks[1:]] == ["es-419"]


@pytest.mark.parametrize(
    ("suffix", "flag", "lost"),
    [
        (".mov", "forced", True),
        (".mov", "comment", True),
        (".mp4", "forced", False),
        (".mp4", "original", True),
        (".mkv", "original", False),
        (".webm", "comment", True),
        (".ts", "hearing_impaired", False),
    ],
)
def test_flags_arrive_or_are_announced(tmp_path: Path, suffix: str, flag: str, lost: bool) -> None:
    value = int(av.stream.Disposition[flag])
    clip = make_clip(tmp_path / "in.mkv", audio="libopus", dispositions=[0, value], languages=["", "eng"])
    done = render(clip, tmp_path / f"out{suffix}")
    assert any("cannot store that audio stream 1" in loss for loss in done.plan.losses) is lost
    with av.open(str(tmp_path / f"out{suffix}")) as file:
        assert bool(file.streams.audio[0].disposition & value) is not lost


# ------------------------------------------------------------------------------- hostile and damaged


def test_sizes_that_cannot_be_true_are_not_believed(tmp_path: Path, source: Path) -> None:
    data = bytearray(source.read_bytes())
    at = data.rindex(b"\x10\x43\xa7\x70", 0, data.index(b"\x1f\x43\xb6\x75"))
    data[at + 4 : at + 12] = b"\x01\x00\x00\x7f\xff\xff\xff\xff"  # half a petabyte of chapters
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(data)
    facts = matroska_facts(broken, "matroska")
    assert facts is not None and facts.chapters is None and len(facts.tracks) == 3


def test_elements_in_elements_without_end_are_damage(tmp_path: Path) -> None:
    inside = b""
    for _ in range(5000):
        inside = head(ids.CHAPTER, len(inside)) + inside
    nested = head(ids.EDITION, len(inside)) + inside
    chapters = head(ids.CHAPTERS, len(nested)) + nested
    path = tmp_path / "deep.mkv"
    path.write_bytes(head(ids.EBML, 0) + head(ids.SEGMENT, len(chapters)) + chapters)
    facts = matroska_facts(path, "matroska")
    assert facts is not None and facts.chapters is None


def test_a_truncated_header_gives_what_it_has(tmp_path: Path, source: Path) -> None:
    path, data = tmp_path / "cut.mkv", source.read_bytes()
    found = []
    for cut in range(0, 3000, 37):
        path.write_bytes(data[:cut])
        facts = matroska_facts(path, "matroska")  # no exception
        found.append(0 if facts is None else len(facts.tracks))
    assert sorted(found) == found and {found[0], found[-1]} == {0, 3}


# ------------------------------------------------------------------------- sample aspect ratios


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libsvtav1", "webm"), ("libsvtav1", "mkv"), ("libvpx-vp9", "webm"), ("ffv1", "mkv")],
)
@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(8, 9)], ids=str)
@pytest.mark.parametrize("title", ["", "Der Film — Fassung ä"], ids=["untitled", "titled"])
def test_aspect_and_everything_else_come_back(
    tmp_path: Path, codec: str, suffix: str, aspect: Fraction, title: str
) -> None:
    source = make_clip(
        tmp_path / "in.mkv",
        frames=30,
        width=144,
        height=96,
        sar=aspect,
        audio="libopus",
        chapters=2,
        titles=[title, "Ton"] if title else [],
    )
    out = tmp_path / f"out.{suffix}"
    done = render(source, out, codec=codec)
    assert done.warnings == []
    with av.open(str(out)) as file:
        video = main_video(file)
        assert video.sample_aspect_ratio == aspect
        assert video.metadata.get("title", "") == title
        assert file.streams.audio[0].metadata.get("title", "") == ("Ton" if title else "")
        assert len(file.chapters()) == 2
        assert (video.codec_context.colorspace, video.codec_context.color_range) != (2, 0)
    assert probe(out).video.format.sample_aspect_ratio == aspect
    assert decoded_pts(out) == [Fraction(n, 25) for n in range(30)]
    assert packets(out, 1) == packets(source, 1)


def test_checksums_are_right(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out.mkv"
    render(source, out)
    data = out.read_bytes()
    for id in (b"\x16\x54\xae\x6b", b"\x10\x43\xa7\x70", b"\x12\x54\xc3\x67"):
        at = data.rindex(id, 0, data.index(b"\x1f\x43\xb6\x75")) + 4
        length = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + length]) & ((1 << 7 * length) - 1)
        inside = data[at + length : at + length + size]
        assert inside[:2] == b"\xbf\x84"  # CRC-32, four bytes
        assert int.from_bytes(inside[2:6], "little") == zlib.crc32(inside[6:])


def test_unfinished_files_have_it_too(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=3, width=144, height=96, sar=Fraction(4, 3))
    with sink_for(source, tmp_path / "out.mkv", codec="ffv1") as (_, plan, sink):
        for planes, timing in frames_of(probe(source), plan.target):
            sink.write(planes, timing)
        sink.abort()
    with av.open(str(tmp_path / "out.mkv.paragon" / "out.mkv")) as file:
        assert file.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_files_without_room_are_left_alone(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=3)
    before = source.read_bytes()
    change = HeaderChange(
        source=None, amend=lambda name, value: value, tracks={0: TrackChange(language="x" * 300)}
    )
    assert not write_header(source, change)
    (tmp_path / "other").write_bytes(b"no Matroska at all")
    assert not write_header(tmp_path / "other", change)
    assert source.read_bytes() == before


def test_display_size_never_shrinks() -> None:
    assert display_size(720, 576, Fraction(64, 45)) == (1024, 576)
    assert display_size(720, 480, Fraction(8, 9)) == (720, 540)
