"""Everything that can be wrong with an input: one clear sentence each."""

from __future__ import annotations

import os
from pathlib import Path

import av
import pytest
from clip_damage import text_file, truncated
from clips import jpeg, make_clip

from paragon_stream.errors import InputError, ParagonError
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.source.opening import open_source


def complaint(path: Path) -> str:
    with pytest.raises(ParagonError) as caught:
        probe(path)
    assert isinstance(caught.value, InputError)
    said = str(caught.value)
    assert "\n" not in said and "Errno" not in said and path.name in said
    return said


def test_missing(tmp_path: Path) -> None:
    assert "does not exist" in complaint(tmp_path / "none.mkv")


def test_below_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    text_file(tmp_path / "file.txt")
    assert "part of the path is not a folder" in complaint(tmp_path / "file.txt" / "clip.mkv")


def test_folder(tmp_path: Path) -> None:
    assert "is a folder" in complaint(tmp_path)


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.mkv").touch()
    assert "is empty" in complaint(tmp_path / "empty.mkv")


@pytest.mark.parametrize("name", ["prose.mkv", "prose.mp4", "prose.txt", "prose"])
def test_text_by_any_name(tmp_path: Path, name: str) -> None:
    assert "is a text file" in complaint(text_file(tmp_path / name))


def test_text_in_another_alphabet_cut_inside_a_character(tmp_path: Path) -> None:
    (tmp_path / "prose.mkv").write_bytes(("это не видео\n" * 500).encode()[:6001])
    assert "is a text file" in complaint(tmp_path / "prose.mkv")


@pytest.mark.parametrize("size", [100, 5000])
def test_bytes_that_are_no_characters_are_no_text(tmp_path: Path, size: int) -> None:
    (tmp_path / "in.mkv").write_bytes(b"\xff" * size)
    assert "is not a media file" in complaint(tmp_path / "in.mkv")


@pytest.mark.parametrize("name", ["noise.bin", "noise.mkv", "noise"])
def test_random_bytes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(256)) * 40)
    assert "is not a media file" in complaint(tmp_path / name)


def test_mp4_without_its_index(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    assert "no index (no moov box)" in complaint(truncated(clip, tmp_path / "cut.mp4"))


@pytest.mark.parametrize("missing", [100, 400])
def test_mp4_with_half_an_index(tmp_path: Path, missing: int) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    clip.write_bytes(clip.read_bytes()[:-missing])
    assert "cut off" in complaint(clip)


def test_mp4_with_a_broken_index(tmp_path: Path) -> None:
    data = bytearray(make_clip(tmp_path / "clip.mp4").read_bytes())
    at = data.index(b"mdhd")
    data[at : at + 200] = bytes(200)
    (tmp_path / "broken.mp4").write_bytes(data)
    complaint(tmp_path / "broken.mp4")


def test_encrypted_mp4(tmp_path: Path) -> None:
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "00" * 16, "encryption_kid": "11" * 16}
    clip = make_clip(tmp_path / "drm.mp4", container_options=key)
    assert "is encrypted (DRM)" in complaint(clip)


def test_sound_only(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", audio="aac")
    with av.open(str(clip)) as source, av.open(str(tmp_path / "sound.m4a"), "w", format="ipod") as out:
        track = out.add_stream_from_template(source.streams.audio[0], opaque=True)
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = track
                out.mux(packet)
    assert "has no video stream, only audio" in complaint(tmp_path / "sound.m4a")


def test_sound_with_a_cover_picture_only(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song.mka"), "w", format="matroska") as out:
        out.add_attachment("cover.jpg", "image/jpeg", jpeg())
        track = out.add_stream("flac", rate=48000, layout="stereo")
        frame = av.AudioFrame(format="s16", layout="stereo", samples=4096)
        frame.sample_rate, frame.pts = 48000, 0
        out.mux([*track.encode(frame), *track.encode(None)])
    assert "only a cover picture" in complaint(tmp_path / "song.mka")


def test_video_that_never_decodes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = b"\xff" * (end - start)
    clip.write_bytes(data)
    assert "no frame of the video" in complaint(clip)


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=2)
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # root reads everything: let the system call refuse

        def refuse(self: Path, *_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "open", refuse)
    else:
        clip.chmod(0)
    assert "permission denied" in complaint(clip)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no named pipes")
def test_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mkv")
    assert "only regular files" in complaint(tmp_path / "pipe.mkv")


def test_strings_are_paths_too(tmp_path: Path) -> None:
    with open_source(str(make_clip(tmp_path / "clip.mkv", frames=2))) as container:
        assert container.format.name == "matroska,webm"


def test_y4m_that_ffmpeg_does_not_read_is_no_text_file(tmp_path: Path) -> None:
    path = tmp_path / "im.y4m"
    path.write_bytes(b"YUV4MPEG2 W16 H16 F25:1 Im A1:1 C420jpeg\nFRAME\n" + bytes(384))
    assert "mixed interlaced" in complaint(path)
