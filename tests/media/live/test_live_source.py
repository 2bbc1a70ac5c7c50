"""The names of sources, the options for FFmpeg, and the requests that are refused before anything is
opened."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from paragon_stream.errors import UsageError
from paragon_stream.media.live.connection import Connection
from paragon_stream.media.live.feed import LiveFeed
from paragon_stream.media.live.names import shown_name
from paragon_stream.media.live.source import CaptureOptions, Kind, find_source


@pytest.mark.parametrize(
    ("said", "platform", "kind", "url", "format"),
    [
        ("screen", "linux", Kind.SCREEN, "", "x11grab"),
        (":0.0", "linux", Kind.SCREEN, ":0.0", "x11grab"),
        ("host:1", "linux", Kind.SCREEN, "host:1", "x11grab"),
        ("screen", "win32", Kind.SCREEN, "desktop", "gdigrab"),
        ("screen", "darwin", Kind.SCREEN, "Capture screen 0:none", "avfoundation"),
        ("/dev/video2", "linux", Kind.DEVICE, "/dev/video2", "v4l2"),
        ("camera", "linux", Kind.DEVICE, "/dev/video0", "v4l2"),
        ("camera:1", "linux", Kind.DEVICE, "/dev/video1", "v4l2"),
        ("video=USB Camera", "win32", Kind.DEVICE, "video=USB Camera", "dshow"),
        (
            "/dev/v4l/by-id/usb-A:1-video-index0",
            "linux",
            Kind.DEVICE,
            "/dev/v4l/by-id/usb-A:1-video-index0",
            "v4l2",
        ),
        ("camera", "darwin", Kind.DEVICE, "0:none", "avfoundation"),
        ("rtmp://host/app/key", "linux", Kind.NETWORK, "rtmp://host/app/key", None),
        ("https://host/live.m3u8", "linux", Kind.NETWORK, "https://host/live.m3u8", None),
        ("-", "linux", Kind.PIPE, "pipe:0", None),
        ("film.mkv", "linux", Kind.FILE, str(Path("film.mkv").absolute()), None),
        (Path("a b%#.mkv").absolute().as_uri(), "linux", Kind.FILE, str(Path("a b%#.mkv").absolute()), None),
    ],
)
def test_names(said: str, platform: str, kind: Kind, url: str, format: str | None) -> None:
    source = find_source(said, CaptureOptions(), platform)
    assert (source.kind, source.url, source.format) == (kind, url, format)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_named_pipe_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert find_source(str(tmp_path / "pipe"), CaptureOptions(), "linux").kind is Kind.PIPE


@pytest.mark.skipif(sys.platform != "linux", reason="character devices are video sources on Linux")
def test_a_link_to_a_device_is_a_device(tmp_path: Path) -> None:
    link = tmp_path / "webcam"
    link.symlink_to("/dev/null")
    source = find_source(str(link), CaptureOptions(input_size="1280x720"), "linux")
    assert (source.kind, source.url, source.format) == (Kind.DEVICE, str(link), "v4l2")


def test_a_file_by_its_address_is_played_once() -> None:
    source = find_source("FILE://localhost/tmp/film.mkv", CaptureOptions(reconnect=5), "linux")
    assert (source.kind, source.reconnect) == (Kind.FILE, 0)
    assert source.name == str(Path("/tmp/film.mkv")), "also compared with the output"


@pytest.mark.parametrize("scheme", ["http", "rtsp", "ftp", "RTMP", "tcp"])
def test_servers_whose_files_begin_again(scheme: str) -> None:
    source = find_source(f"{scheme}://host/film", CaptureOptions(), "linux")
    with_length = cast(Connection, SimpleNamespace(ends=True))
    assert LiveFeed(source)._is_file(with_length) is (scheme in ("http", "rtsp", "ftp"))


def test_a_region_of_the_screen() -> None:
    wanted = CaptureOptions(region="640x360+10+20", fps=60, cursor=False)
    chosen = find_source("screen", wanted, "linux").options
    assert chosen["video_size"] == "640x360"
    assert (chosen["grab_x"], chosen["grab_y"], chosen["framerate"], chosen["draw_mouse"]) == (
        "10",
        "20",
        "60",
        "0",
    )
    chosen = find_source("screen", wanted, "win32").options
    assert (chosen["offset_x"], chosen["offset_y"]) == ("10", "20")


def test_a_device_is_asked_for_a_format() -> None:
    options = {"standard": "PAL"}
    wanted = CaptureOptions(input_size="1280x720", fps="60", input_pix_fmt="mjpeg", input_options=options)
    chosen = find_source("camera", wanted, "linux").options
    assert chosen == {"video_size": "1280x720", "framerate": "60", "input_format": "mjpeg", **options}


def test_only_the_network_is_tried_again_unasked() -> None:
    assert find_source("udp://host:1", CaptureOptions(), "linux").reconnect > 0
    assert find_source("udp://host:1", CaptureOptions(reconnect=0), "linux").reconnect == 0
    assert find_source("camera", CaptureOptions(), "linux").reconnect == 0
    assert find_source("camera", CaptureOptions(reconnect=5), "linux").reconnect == 5
    assert find_source("film.mkv", CaptureOptions(reconnect=5), "linux").reconnect == 0


@pytest.mark.parametrize(
    ("said", "wanted", "sentence"),
    [
        ("file://server/film.mkv", CaptureOptions(), "names no file of this machine"),
        ("file:///film.mkv", CaptureOptions(input_size="64x48"), "--input-size is for screens"),
        ("film.mkv", CaptureOptions(region="10x10"), "--region is for screens"),
        ("screen", CaptureOptions(region="10x"), "not a region"),
        ("screen", CaptureOptions(region="0x10+0+0"), "not a region"),
        ("screen", CaptureOptions(input_size="10x10"), "--region"),
        ("camera", CaptureOptions(cursor=False), "--no-cursor is for screens"),
        ("camera", CaptureOptions(input_size="big"), "not a region"),
        ("rtmp://host/app", CaptureOptions(fps=30), "--fps is for screens"),
        ("film.mkv", CaptureOptions(listen=True), "--listen is for"),
        ("rtsp://host/", CaptureOptions(listen=True), "--listen is for"),
        ("udp://host:1", CaptureOptions(reconnect=-1), "--reconnect"),
        ("udp://host:1", CaptureOptions(reconnect=float("nan")), "--reconnect"),
        ("udp://host:1", CaptureOptions(timeout=0), "--timeout"),
        ("udp://host:1", CaptureOptions(timeout=float("nan")), "--timeout"),
        ("video=Camera", CaptureOptions(), "on Linux"),
    ],
)
def test_what_makes_no_sense_is_refused(said: str, wanted: CaptureOptions, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        find_source(said, wanted, "linux")


@pytest.mark.skipif(os.name == "nt", reason="FFmpeg's list of options is out of reach there")
def test_options_that_ffmpeg_does_not_have() -> None:
    names = (
        "rtsp_transport",
        "user_agent",
        "overrun_nonfatal",
        "probesize",
        "draw_mouse",
        "listen",
        "tls_verify",
    )
    for name in names:  # of a demuxer, of protocols, of all formats, of a device
        find_source("rtsp://host/", CaptureOptions(input_options={name: "1"}), "linux")
    with pytest.raises(UsageError, match=r"--input-option rtsp_transports: .*did you mean rtsp_transport\?"):
        find_source("rtsp://host/", CaptureOptions(input_options={"rtsp_transports": "tcp"}), "linux")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtmp://live.host/app/stream_key_1", "rtmp://live.host/app/…"),
        ("rtmps://live.host:443/app/key?token=1", "rtmps://live.host:443/app/…"),
        ("rtsp://user:word@10.0.0.1/stream", "rtsp://…@10.0.0.1/stream"),
        ("rtsp://admin:p@ssw0rd@10.0.0.1/s@t", "rtsp://…@10.0.0.1/s@t"),  # FFmpeg takes the last "@"
        ("http://host?user=a@b", "http://host?…"),
        ("https://host/live.m3u8?token=secret", "https://host/live.m3u8?…"),
        ("udp://127.0.0.1:1234", "udp://127.0.0.1:1234"),
        ("what?.mkv", "what?.mkv"),
    ],
)
def test_names_are_shown_without_their_secrets(url: str, shown: str) -> None:
    assert shown_name(url) == shown
