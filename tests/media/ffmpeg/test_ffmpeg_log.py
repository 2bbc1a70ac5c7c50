"""FFmpeg's messages are collected on several threads at once, and its log is quiet again afterwards."""

from __future__ import annotations

import threading
from pathlib import Path

import av
import pytest
from av import logging as av_logging

from paragon_stream.media.ffmpeg.log import captured_log


def complaints(path: Path) -> list[str]:
    with captured_log() as heard, pytest.raises(av.FFmpegError):
        av.open(str(path), format="matroska")
    return heard.lines


def test_two_at_once_leave_the_log_as_it_was(tmp_path: Path) -> None:
    """The first to begin is not the last to end."""
    before = av_logging.get_level(), av_logging.get_skip_repeated()
    began, end = threading.Event(), threading.Event()

    def first() -> None:
        with captured_log(av_logging.ERROR):
            began.set()
            end.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    began.wait(10)
    with captured_log(av_logging.INFO):
        assert av_logging.get_level() == av_logging.INFO
        end.set()
        thread.join()
        assert av_logging.get_level() == av_logging.INFO
    assert (av_logging.get_level(), av_logging.get_skip_repeated()) == before


def test_each_thread_hears_its_own(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"\x1a\x45\xdf\xa3" + bytes(4000))
    heard: dict[int, list[str]] = {}
    threads = [threading.Thread(target=lambda n=n: heard.update({n: complaints(broken)})) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(heard) == 4 and all(lines == heard[0] for lines in heard.values()) and heard[0]
