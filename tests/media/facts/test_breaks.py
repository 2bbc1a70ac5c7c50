"""Holes in files: counted where the container's own structure breaks off, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import make_clip

from paragon_stream.media.facts.info import Damage
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.prepare import SourceOptions, prepare

CODECS = {"mkv": ("mpeg4", "libmp3lame"), "avi": ("mpeg4", "libmp3lame"), "flv": ("flv", "aac")}
CODECS |= {"mpg": ("mpeg2video", "mp2"), "ogv": ("libvpx", "libopus"), "wmv": ("wmv2", "libmp3lame")}

PAL = {"width": 720, "height": 576, "options": {"g": "1"}}
OTHERS: dict[str, dict[str, Any]] = {
    "in.nut": {"audio": "aac"},
    "no_index.nut": {"container_options": {"write_index": "0"}},
    "in.mxf": {"codec": "mpeg2video", "audio": "pcm_s16le"},
    "opatom.mxf": {"codec": "dnxhd", "format": "mxf_opatom", "width": 256, "height": 128, "frames": 4}
    | {"pix_fmt": "yuv422p", "options": {"profile": "dnxhr_sq"}},
    "in.gxf": {"codec": "mpeg2video", **PAL},
    "in.rm": {"codec": "rv20", "width": 176, "height": 144},
    "in.dv": {"codec": "dvvideo", "audio": "pcm_s16le", "frames": 4, **PAL},
    "in.ivf": {"codec": "libvpx"},
    "in.obu": {"codec": "libsvtav1", "options": {"preset": "12"}},
    "in.gif": {"codec": "gif", "pix_fmt": "gray"},
    "in.mjpeg": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "in.y4m": {"codec": "wrapped_avframe", "format": "yuv4mpegpipe"},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}, "options": {"g": "3"}},
}
"""Further containers with a structure of their own."""
TRANSPORTS = [("in.ts", "mpegts", {}), ("in.m2ts", "mpegts", {"mpegts_m2ts_mode": "1"})]


@pytest.fixture(scope="module", params=CODECS)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec, audio = CODECS[request.param]
    path = tmp_path_factory.mktemp("breaks") / f"in.{request.param}"
    options = {"g": "10", "b": "600000"}
    return make_clip(path, frames=200, width=160, height=128, codec=codec, audio=audio, options=options)


def damage(path: Path, **part: object) -> tuple[Damage, int, list[str]]:
    """The damage, the number of frames, and the warnings."""
    info = prepare(path, SourceOptions(**part)) if part else probe(path)  # type: ignore[arg-type]
    with VideoReader(info) as reader:
        planes = [np.empty(shape, np.uint8) for shape in info.video.format.plane_shapes]
        while reader.read_into(planes) is not None:
            pass
        return reader.damage, reader.frames, reader.warnings


def holed(path: Path, begin: float, length: int) -> Path:
    data = bytearray(path.read_bytes())
    at = int(len(data) * begin)
    data[at : at + length] = bytes(length)
    broken = path.with_name(f"hole_{begin}{path.suffix}")
    broken.write_bytes(data)
    return broken


def test_a_hole_is_counted_and_said(clip: Path) -> None:
    found, frames, said = damage(holed(clip, 0.4, clip.stat().st_size // 8))
    assert found.broken_places == 1 and frames < 195
    assert any("the file is broken at 1 place" in line for line in said)


def test_a_whole_file_has_none(clip: Path) -> None:
    found, frames, said = damage(clip)
    assert (found, frames, said) == (Damage(), 200, [])


@pytest.mark.parametrize("download", [False, True], ids=["recording", "download"])
def test_what_broke_off_is_no_hole(clip: Path, download: bool) -> None:
    """Downloads may reserve their space at the beginning, as zeros."""
    whole = clip.read_bytes()
    at = len(whole) * 2 // 3 + 100
    cut = clip.with_name(f"cut{clip.suffix}")
    cut.write_bytes(whole[:at] + bytes(len(whole) - at) * download)
    found, frames, said = damage(cut)
    assert (found.broken_places, found.missing_ends) == (0, 1) and frames < 150
    assert "the file is cut off: the pictures or sound of its end are missing" in said
    if clip.suffix != ".flv":  # FLV without an index is read from its beginning
        assert damage(cut, end=2)[0] == Damage()


@pytest.mark.parametrize("name", OTHERS)
def test_every_container_has_an_end(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / name, **{"frames": 25, **OTHERS[name]})
    data = clip.read_bytes()
    assert damage(clip)[0] == Damage()
    for size in (len(data) * 6 // 10 + 17, len(data) * 9 // 10 + 5):
        clip.write_bytes(data[:size])
        found, _, said = damage(clip)
        assert found.missing_ends == 1, size
        assert "the file is cut off: the pictures or sound of its end are missing" in said


def test_an_index_that_is_cut_off_is_no_loss(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.nut", audio="aac")
    clip.write_bytes(clip.read_bytes()[:-9])
    assert damage(clip)[0] == Damage()


def test_zeros_after_fragments(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "fragments.mp4", frames=25, **OTHERS["fragments.mp4"])
    data = clip.read_bytes()
    last = data.rindex(b"moof") - 4
    clip.write_bytes(data[:last] + bytes(9000))
    assert damage(clip)[0].missing_ends == 1


@pytest.mark.parametrize(("name", "format", "options"), TRANSPORTS)
@pytest.mark.parametrize("end", ["", "part of a packet", "zeros"])
def test_ends_of_transport_streams(
    tmp_path: Path, name: str, format: str, options: dict[str, str], end: str
) -> None:
    clip = make_clip(
        tmp_path / name, frames=50, audio="mp2", codec="mpeg2video", format=format, container_options=options
    )
    data = clip.read_bytes()
    missing = {"": 0, "part of a packet": 4000, "zeros": 20_000}[end]
    clip.write_bytes(data[: len(data) - missing] + bytes(missing) * (end == "zeros"))
    assert damage(clip)[0].missing_ends == bool(end)


def test_the_end_of_an_mp4_with_its_index_before(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=50, container_options={"movflags": "faststart"})
    assert damage(clip)[0] == Damage()
    clip.write_bytes(clip.read_bytes()[:-2000])
    assert damage(clip)[0].missing_ends == 1


@pytest.mark.parametrize("tag", [b"TAG" + b"0" * 125, b"APETAGEX" + bytes(100)], ids=["id3", "ape"])
def test_foreign_tags_behind_an_mp4(tmp_path: Path, tag: bytes) -> None:
    clip = make_clip(tmp_path / "in.mp4")
    clip.write_bytes(clip.read_bytes() + tag)
    assert damage(clip)[0] == Damage()


def test_only_the_part_that_is_read_counts(clip: Path) -> None:
    if clip.suffix == ".flv":
        pytest.skip("FLV without an index is read from its beginning")
    assert damage(holed(clip, 0.8, 9000), end=2)[0].broken_places == 0


def test_clusters_without_sizes_are_no_damage(tmp_path: Path) -> None:
    """Files as some programs record them from live streams."""
    path = make_clip(
        tmp_path / "in.mkv", frames=60, audio="libopus", container_options={"cluster_time_limit": "500"}
    )
    data, at = bytearray(path.read_bytes()), 0
    while (at := data.find(b"\x1f\x43\xb6\x75", at) + 4) > 4:
        length = 9 - data[at].bit_length()
        data[at : at + length] = ((1 << 7 * length + 1) - 1).to_bytes(length)
    path.write_bytes(data)
    assert damage(path)[:2] == (Damage(), 60)


def test_gaps_in_time_are_no_damage(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mkv", pts=[0, 1, 2, 3, 400, 401, 900])
    assert damage(path)[0] == Damage()


def test_pages_that_are_missing_are_counted(tmp_path: Path) -> None:
    """Ogg numbers its pages: nothing need be broken around a hole."""
    clip = make_clip(tmp_path / "in.ogv", frames=100, codec="libvpx", audio="libopus")
    pages = clip.read_bytes().split(b"OggS")[1:]
    middle = len(pages) // 2
    clip.write_bytes(b"".join(b"OggS" + page for page in pages[:middle] + pages[middle + 3 :]))
    assert damage(clip)[0].broken_places >= 1
