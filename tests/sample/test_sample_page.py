"""Samples: which pieces, which versions, and the page in a real browser."""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from chromium import PROGRAM, Chromium
from clips import make_clip

from paragon_stream.cli.main import run
from paragon_stream.errors import UsageError
from paragon_stream.media.browser import footage
from paragon_stream.media.prepare import prepare
from paragon_stream.options.source import SourceOptions
from paragon_stream.sample.comparison import command_line, labels, parse_comparison
from paragon_stream.sample.moments import choose_moments
from paragon_stream.sample.runner import make_sample


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds; the first half is black."""
    folder = tmp_path_factory.mktemp("film")
    clip = make_clip(folder / "scene.mkv", frames=100, audio="aac")
    film = folder / "film.mkv"
    with av.open(str(clip)) as source, av.open(str(film), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            if number < 50:
                for plane, value in zip(frame.planes, (16, 128, 128), strict=True):
                    plane.update(bytes([value]) * plane.buffer_size)
            frame.pict_type = 0
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return film


@pytest.fixture(scope="module")
def page(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("page") / "sample.html"
    arguments = ["--seconds", "0.6", "--compare", "weights=fidelity", "--compare", "crf=40,to=288x192"]
    moments = ["--at", "2.2", "--at", "3", "--threads", "1", "--quiet"]
    assert run(["sample", str(film), str(page), *arguments, *moments, "--montage", str(page) + ".png"]) == 0
    return page


def test_versions() -> None:
    assert parse_comparison("variant=stream,crf=20") == {"variant": "stream", "crf": 20.0}
    both = parse_comparison("-x=g=1,encoder_options=bf=0,add=a.srt,add=b.srt")
    assert both == {"encoder_options": {"g": "1", "bf": "0"}, "add": ["a.srt", "b.srt"]}
    lists = parse_comparison("-x=x264-params=me=dia,-x=x264-params=bframes=0")
    assert lists == {"encoder_options": {"x264-params": "me=dia:bframes=0"}}
    with pytest.raises(UsageError, match="KEY=VALUE"):
        parse_comparison("encoder_options=x")
    assert command_line("-in.mkv", "-out.mkv", {}) == "paragon-stream ./-in.mkv ./-out.mkv"
    assert parse_comparison("--audio-codec=flac, scale=3") == {"audio_codec": "flac", "scale": 3}
    for text, word in (("crff=2", "did you mean crf"), ("crf", "needs a value"), ("crf=x", "cannot be x")):
        with pytest.raises(UsageError, match=word):
            parse_comparison(text)
    with pytest.raises(UsageError, match="no option start"):
        parse_comparison("start=3")
    options: dict[str, Any] = {"crf": 20.0, "encoder_options": {"g": "5"}, "ivtc": True}
    words = shlex.split(command_line("a film.mkv", "out.mkv", options))
    assert words[:3] == ["paragon-stream", "a film.mkv", "out.mkv"]
    assert sorted(words[3:]) == sorted(["--crf", "20", "-x", "g=5", "--ivtc"])
    options = {"audio": ["eng", 2], "subtitles": [], "chapters": True, "attachments": False, "ivtc": False}
    words = shlex.split(command_line("a.mkv", "b.mkv", options | {"add": ["a.srt", "b.srt"]}))[3:]
    assert sorted(words) == sorted(
        ["--audio", "eng,2", "--no-subs", "--no-attachments", "--add", "a.srt", "--add", "b.srt"]
    )
    assert labels([{"crf": 20.0, "threads": 1}, {"threads": 1}]) == ["crf 20", "default crf"]
    assert labels([{"crf": 20.0}]) == ["crf 20"]


def test_pieces_with_detail_are_chosen(film: Path) -> None:
    info = prepare(film, SourceOptions())
    (moment,) = choose_moments(info, 1, 0.5)
    assert 2.0 <= moment < 3.6
    assert len(choose_moments(info, 3, 0.5)) == 3
    assert choose_moments(info, 3, 10.0) == [0.0]


def test_versions_of_different_frame_rates_are_compared_at_one_moment(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=100)
    methods = ("bwdif", "bwdif-2x")
    single, double = (
        footage(prepare(clip, SourceOptions(deinterlace=method)), 96, 64, 2.0) for method in methods
    )
    assert (single.frames, double.frames) == (100, 200)
    distance = np.abs(single.still.astype(float) - double.still).mean()
    before = footage(prepare(clip, SourceOptions()), 96, 64, 1.96)
    assert distance < np.abs(single.still.astype(float) - before.still).mean() / 4
    sample = make_sample(
        clip, [{"deinterlace": method, "engine": "null"} for method in methods], at=[1], seconds=1.0
    )
    for version, take in zip(sample.versions, sample.pieces[0].takes, strict=True):
        assert version.size == 4 * take.bytes_out, "a piece of a second of four"


def test_only_pictures_count_in_the_size(tmp_path: Path) -> None:
    """A cover is in the whole film once, not in each piece."""
    clip = make_clip(tmp_path / "clip.mkv", frames=50)
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\n" + 5000 * "words ")
    with av.open(str(clip)) as source, av.open(str(tmp_path / "more.mkv"), "w") as out:
        stream = out.add_stream_from_template(source.streams[0], opaque=True)
        out.add_attachment("cover.jpg", "image/jpeg", b"\xff\xd8\xff" + bytes(50_000))
        for packet in source.demux():
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    version = {"engine": "null", "add": [str(tmp_path / "a.srt")]}
    sizes = [
        make_sample(each, [options], at=[1], seconds=0.5).versions[0].size
        for each, options in ((clip, {"engine": "null"}), (tmp_path / "more.mkv", version))
    ]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)


def test_wrong_requests(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code, word in (
        (["out.txt"], 2, ".html"),
        (["gone/out.html"], 1, "not a folder"),
        (["out.html", "--compare", "nonsense=1"], 2, "no option nonsense"),
        (["out.html", "--seconds", "0"], 2, "0.2 to 60"),
    ):
        assert run(["sample", str(film), str(tmp_path / arguments[0]), *arguments[1:]]) == code
        assert word in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_montage(page: Path) -> None:
    with av.open(str(page.with_name(page.name + ".png"))) as file:
        (picture,) = file.decode(video=0)
    assert (picture.width, picture.height) == (3 * (288 + 6) - 6, 2 * (48 + 192 + 6) - 6)
    pixels = picture.to_ndarray(format="gray")
    for left in (0, 294, 588):
        for top in (4, 24, 250, 270):  # each line of each caption has white letters on black
            line = pixels[top : top + 20, left : left + 288]
            assert line.max() > 230 and 0.02 < (line > 128).mean() < 0.3


@pytest.mark.skipif(PROGRAM is None, reason="needs Chromium")
@pytest.mark.timeout(280)
def test_the_page_in_a_browser(page: Path, tmp_path: Path) -> None:
    text = page.read_text("utf-8")
    # With the colon: four letters occur by chance in megabytes of base64.
    assert not re.search("https?:", text.replace("http://www.w3.org/2000/svg", ""))
    with Chromium(tmp_path) as browser:
        browser.open(page)
        loaded = (
            "[...document.querySelectorAll('#stage img')].every(i => i.complete && i.naturalWidth === 288)"
        )
        browser.wait_for(loaded)
        assert browser.evaluate("document.title") == "Sample of film.mkv"
        box = browser.evaluate(
            "(({x, y, width, height}) => [x, y, width, height])($('stage').getBoundingClientRect())"
        )
        middle = (box[0] + box[2] / 2, box[1] + box[3] / 2)

        def clipped() -> str:
            return str(browser.evaluate("getComputedStyle($('right')).clipPath"))

        assert clipped() == "inset(0px 0px 0px 50%)"
        browser.drag(middle, (box[0] + box[2] / 4, middle[1]))
        assert clipped() == "inset(0px 0px 0px 25%)"
        browser.key("ArrowRight")
        assert browser.evaluate("$('handle').getAttribute('aria-valuenow')") == "26"

        browser.wheel(middle, -120)
        browser.wait_for("state.zoom > 1")
        before = browser.evaluate("state.x")
        browser.drag(middle, (middle[0] + 20, middle[1]))
        assert browser.evaluate("state.x") == pytest.approx(before + 20, abs=1)
        browser.key("0")
        assert browser.evaluate("state.zoom") == 1

        browser.key("b")
        widths = browser.evaluate("[...document.querySelectorAll('.pane')].map(p => p.clientWidth)")
        assert widths[0] == pytest.approx(box[2] / 2, abs=4) and widths[0] == pytest.approx(widths[1], abs=1)
        browser.key("d")
        assert browser.evaluate("getComputedStyle($('right')).mixBlendMode") == "difference"
        browser.key("s")
        browser.key("2")
        assert browser.evaluate("$('choose-right').selectedOptions[0].textContent") == "crf 40, to 288x192"
        browser.key("]")
        assert browser.evaluate("state.piece") == 1

        browser.key(" ")
        videos = "[...document.querySelectorAll('#stage video')]"
        browser.wait_for(f"{videos}.length === 2")
        browser.wait_for(f"{videos}.every(v => v.currentTime > 0.1 && !v.paused && v.videoWidth === 288)")
        browser.key(" ")
        assert browser.evaluate("document.querySelectorAll('video').length") == 0

        browser.evaluate("document.querySelector('td.command button').click()")
        browser.wait_for("document.querySelector('td.command button').textContent === 'Copied'")
        assert browser.evaluate("document.querySelectorAll('polyline').length") == 4
        points = browser.evaluate(
            "document.querySelector('polyline').getAttribute('points').split(' ').length"
        )
        assert points == 15
        assert "--weights fidelity" in browser.evaluate(
            "document.querySelector('td.command code').textContent"
        )
        assert (browser.requests, browser.complaints) == ([], [])


def test_clips_play_everywhere(page: Path) -> None:
    found = re.search(r'id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    for piece in data["pieces"]:
        for take in piece["takes"]:
            clip = base64.b64decode(take["clip"].partition(",")[2])
            with av.open(io.BytesIO(clip)) as file:
                stream = file.streams.video[0]
                frames = list(file.decode(stream))
                assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
                assert (len(frames), frames[0].pts) == (15, 0)
