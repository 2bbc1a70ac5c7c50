"""A session whose frames come faster than they are computed, and the end of a session."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from clips import make_clip
from live_material import OPENING, FramePipe, Gate, Running, numbers, numbers_and_times
from places import SAMPLE

import paragon_stream
from paragon_stream.errors import ConsumerGone, EngineError, InputError, OutputError, UsageError
from paragon_stream.frame import FrameData, Timing
from paragon_stream.geometry import enlarged
from paragon_stream.livestream import live as live_module
from paragon_stream.livestream.session import LiveSession
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.live.live_sink import LiveSink
from paragon_stream.media.live.plan import LivePlan, plan_live
from paragon_stream.media.live.sink import open_live_sink
from paragon_stream.options.live import LiveOutputOptions
from paragon_stream.upscaler import Upscaler

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's"),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "source")
    return tmp_path / "source"


type Begin = Callable[..., tuple[Running, FramePipe]]


@pytest.fixture
def begin(source: Path) -> Iterator[Begin]:
    """Begins a session on `source`: it takes frames now, through the pipe."""
    opened: list[tuple[Running, FramePipe]] = []

    def start(*arguments: object, **options: object) -> tuple[Running, FramePipe]:
        session = Running(source, *arguments, engine="null", **options)
        opened.append((session, FramePipe(source)))
        opened[-1][1].send(*range(1, 1 + OPENING))
        assert session.begun.wait(60), session.error
        return opened[-1]

    yield start
    for session, pipe in opened:
        session.stop.set()
        pipe.close()


def test_the_newest_frame_wins(begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(10)
    gate.install(monkeypatch)
    session, pipe = begin(tmp_path / "out.nut")
    before = session.frames_in
    pipe.send(10)
    assert gate.arrived.wait(60)
    pipe.send(*range(11, 40))
    session.wait_for(lambda now: now.frames_in >= before + 30)
    gate.open()
    session.wait_for(lambda now: gate.computed[-1:] == [39])
    pipe.close()
    report = session.result()
    assert gate.computed[-2:] == [10, 39]
    assert numbers(tmp_path / "out.nut")[-1] == 39
    assert report.dropped_before_engine >= 28
    assert report.frames_in == report.frames_out + report.dropped_before_engine + report.dropped_before_output
    assert report.ended == "the source has ended"
    assert report.failure is None
    assert 0 < report.latency.median <= report.latency.percentile_95 <= report.latency.maximum


def test_times_are_the_sources(begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(100)
    gate.install(monkeypatch)
    session, pipe = begin(tmp_path / "out.nut")
    pipe.send(*range(1 + OPENING, 101))
    assert gate.arrived.wait(60)
    pipe.send(*range(101, 111))
    session.wait_for(lambda now: now.frames_in >= 10)
    gate.open()
    session.wait_for(lambda now: gate.computed[-1:] == [110])
    pipe.send(111)
    pipe.close()
    session.result()
    shown = numbers_and_times(tmp_path / "out.nut")
    assert [number for number, _ in shown if number not in gate.computed] == []
    (first, origin), *others = shown
    assert {number: time - origin for number, time in others} == pytest.approx(
        {number: (number - first) / 25 for number, _ in others}
    )
    assert shown[-1][0] == 111


def test_stopping_is_a_normal_end(begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Gate().install(monkeypatch)
    session, pipe = begin(tmp_path / "out.mkv", trace=tmp_path / "trace.json")
    pipe.send(*range(20, 30))
    session.wait_for(lambda now: now.frames_in >= 10)
    session.stop.set()
    report = session.result()
    pipe.close()
    assert report.ended == "stopped on request"
    assert report.codec == "libx264"
    assert len(numbers(tmp_path / "out.mkv")) == report.frames_out
    assert not (tmp_path / "out.mkv.paragon").exists()
    tracks = {
        event["cat"]
        for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"][1:]
        if "cat" in event
    }
    assert {"capture", "engine", "deliver", "capture to delivery"} <= tracks


def test_stopping_before_the_first_frame(source: Path, tmp_path: Path) -> None:
    session = Running(source, tmp_path / "out.mkv", engine="null")
    session.stop.set()
    with pytest.raises(KeyboardInterrupt):
        session.result()
    assert not list(tmp_path.glob("out*"))
    FramePipe(source).close()  # lets the thread go that waits in the system


def test_an_engine_that_fails_keeps_what_was_written(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    gate.broken = 50
    gate.install(monkeypatch)
    session, pipe = begin(tmp_path / "out.mkv")
    pipe.send(20)
    session.wait_for(lambda now: now.frames_out >= 1)
    pipe.send(50)
    with pytest.raises(EngineError, match="on purpose"):
        session.result()
    pipe.close()
    assert not (tmp_path / "out.mkv").exists()
    assert numbers(tmp_path / "out.mkv.paragon" / "out.mkv")


@pytest.mark.parametrize("name", ["out.mkv", "out.y4m"])
def test_an_unfinished_recording_is_not_replaced(name: str, tmp_path: Path) -> None:
    """What a killed session has recorded cannot be made again."""
    left = tmp_path / f"{name}.paragon" / name
    left.parent.mkdir()
    left.write_bytes(b"recorded")
    with pytest.raises(OutputError, match="unfinished recording"):
        paragon_stream.live(SAMPLE, tmp_path / name, engine="null", duration=0.2)
    assert left.read_bytes() == b"recorded"
    report = paragon_stream.live(SAMPLE, tmp_path / name, engine="null", duration=0.2, overwrite=True)
    assert report.failure is None and not left.parent.exists()
    assert any("left behind by an unfinished run" in warning for warning in report.warnings)


@pytest.mark.parametrize("name", ["out.mkv", "out.y4m"])
def test_a_session_without_a_picture_replaces_no_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"good")
    info = probe(SAMPLE)
    placement = enlarged(info.video.format, 2)
    plan = plan_live(info, str(tmp_path / name), placement, LiveOutputOptions(overwrite=True))
    sink = open_live_sink(plan, None, player=None, title="", reconnect=0.0)
    sink.finish()
    assert (tmp_path / name).read_bytes() == b"good"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_duration(tmp_path: Path) -> None:
    report = paragon_stream.live(SAMPLE, tmp_path / "out.mkv", engine="null", duration=1)
    assert report.ended == "the duration is over"
    assert 15 <= report.frames_in <= 25
    assert report.sound == "aac"


@pytest.mark.parametrize(("suffix", "codec"), [(".h264", "libx264"), (".m2v", "mpeg2video")])
def test_a_raw_stream_plays_at_its_rate(suffix: str, codec: str, tmp_path: Path) -> None:
    """It states no length, and that of H.264 no timestamps."""
    options = {"bf": "0"}
    clip = make_clip(tmp_path / f"in{suffix}", frames=100, rate=50, codec=codec, options=options)
    report = paragon_stream.live(clip, tmp_path / "out.mkv", engine="null")
    with av.open(str(tmp_path / "out.mkv")) as made:
        times = [float(packet.pts * packet.time_base) for packet in made.demux(video=0) if packet.size]
    assert times[-1] == pytest.approx(99 / 50, abs=0.002)
    assert report.seconds > 1.9
    assert len(times) > 50


@pytest.mark.parametrize("start", [1, 3600])
def test_picture_and_sound_continue_after_a_jump_of_the_clock(
    start: int, source: Path, tmp_path: Path
) -> None:
    """A sender that begins anew, or an advertisement: the clock is seconds behind, or an hour ahead."""
    parts = [
        make_clip(
            tmp_path / f"{second}.ts",
            pts=range(25 * second, 25 * second + 15),
            options={"bf": "0"},
            audio="aac",
            audio_delay=second,
            audio_seconds=0.6,
        )
        for second in (6, start)
    ]

    def send() -> None:
        with source.open("wb") as pipe:
            for part in parts:
                pipe.write(part.read_bytes())

    thread = threading.Thread(target=send)
    thread.start()
    report = paragon_stream.live(source, tmp_path / "out.mkv", engine="null", paced=True)
    thread.join()
    (event,) = report.events
    assert f"jump by {start - 6.6:+.1f} s"[:-4] in event
    with av.open(str(tmp_path / "out.mkv")) as made:
        video, audio = made.streams.video[0], made.streams.audio[0]
        times: dict[Any, list[float]] = {video: [], audio: []}
        for packet in made.demux():
            if packet.size and packet.dts is not None:
                times[packet.stream].append(float(packet.dts * packet.time_base))
    assert len(times[video]) >= 26
    for stamps in times.values():
        assert 1.0 < stamps[-1] - stamps[0] < 1.4
        assert max(b - a for a, b in itertools.pairwise(stamps)) < 0.2


@pytest.mark.skipif(sys.platform != "linux", reason="times of threads are Linux's")
def test_cpu_time_is_the_sessions(tmp_path: Path) -> None:
    ended = threading.Event()

    def compute() -> None:
        while not ended.is_set():
            sum(range(1000))

    other = threading.Thread(target=compute)
    other.start()
    before = time.process_time()
    try:
        report = paragon_stream.live(SAMPLE, tmp_path / "out.mkv", engine="null", duration=0.5)
        process, others = time.process_time() - before, time.clock_gettime(_clock_of(other))
    finally:
        ended.set()
        other.join()
    assert 0 < report.cpu_seconds < process - 0.8 * others


def _clock_of(thread: threading.Thread) -> int:
    assert thread.ident is not None
    return time.pthread_getcpuclockid(thread.ident)


def test_lost_depth_is_reported(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", width=64, height=48, codec="libx265", pix_fmt="yuv420p10le")
    report = paragon_stream.live(clip, tmp_path / "out.mkv", engine="null")
    assert any("10 bits become 8" in warning for warning in report.warnings)
    report = paragon_stream.live(clip, tmp_path / "out.nut", engine="null")
    assert report.target_format == "128x96 yuv420p10le"
    assert not any("bits" in warning for warning in report.warnings)


def test_an_encoder_without_4_2_0_gets_more_chroma(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", width=64, height=48)
    report = paragon_stream.live(clip, tmp_path / "out.mov", engine="null", codec="prores")
    assert report.target_format == "128x96 yuv422p10le"


def test_turned_pictures_stay_turned(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", width=64, height=48, rotation=90)
    for name in ("out.mkv", "out.mp4"):
        report = paragon_stream.live(clip, tmp_path / name, engine="null")
        assert probe(tmp_path / name).video.display_matrix == probe(clip).video.display_matrix
        assert report.warnings == ()
    for name in ("out.ts", "out.flv", "out.y4m"):
        report = paragon_stream.live(clip, tmp_path / name, engine="null")
        assert any("cannot store the rotation" in warning for warning in report.warnings)


def test_the_source_is_not_overwritten(tmp_path: Path) -> None:
    clip = shutil.copy(SAMPLE, tmp_path / "clip.mkv")
    with pytest.raises(UsageError, match="would replace the input"):
        paragon_stream.live(clip, clip, engine="null", overwrite=True)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"destination": "out.webm"}, UsageError, "a live session is written to"),
        ({"destination": "gopher://host"}, UsageError, "is not supported as an output"),
        ({"destination": "-", "codec": "libx264"}, UsageError, "raw video"),
        ({"destination": "out.mkv", "crf": 20, "bitrate": "1M"}, UsageError, "choose one of them"),
        ({"destination": "out.mkv", "bitrate": "lots"}, UsageError, "--bitrate lots is not a bit rate"),
        (
            {"destination": "out.mkv", "bitrate": "200"},
            UsageError,
            "--bitrate 200 is not a bit rate from 1k to 2000M",
        ),
        ({"destination": "out.mkv", "format": "avi"}, UsageError, "unknown format"),
        ({"destination": "udp://127.0.0.1:9", "format": "y4m"}, UsageError, "not over the network"),
        ({"destination": None, "format": "mkv"}, UsageError, "needs an output"),
        ({"destination": None, "player": "no-such-player"}, OutputError, "no-such-player is not installed"),
        ({"source": "nothing.mkv", "destination": "out.mkv"}, InputError, "nothing.mkv"),
        ({"source": "tcp://127.0.0.1:1", "destination": "out.mkv"}, InputError, "refused"),
        ({"source": "gopherx://host", "destination": "out.mkv"}, InputError, "has no gopherx; let another"),
        ({"source": ":987", "destination": "out.mkv"}, InputError, "open display"),
        ({"source": "/dev/video987", "destination": "out.mkv"}, InputError, "no device /dev/video987"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    options: dict[str, object],
    error: type[Exception],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sample = SAMPLE
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=sentence) as caught:
        paragon_stream.live(**{"source": sample, "engine": "null", **options})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_pipe_waits_until_the_engine_is_ready(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that a program writes meanwhile stays in the pipe; FFmpeg reads no frame that nothing takes."""
    written = threading.Event()
    made = Upscaler.for_format

    def slow(*arguments: object, **options: object) -> Upscaler:
        assert written.wait(60)
        feed = next(thread for thread in threading.enumerate() if thread.name == "paragon-source")
        feed.join(1)  # which would read all of it now
        return made(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Upscaler, "for_format", slow)
    session = Running(source, tmp_path / "out.nut", engine="null")
    pipe = FramePipe(source)
    pipe.send(*range(1, 31))
    written.set()
    pipe.close()
    report = session.result()
    assert report.frames_in == 30


@pytest.mark.parametrize("gone", [True, False], ids=["closed", "stopped while it is away"])
def test_an_output_that_ends_before_a_change_of_format_gets_nothing_more(gone: bool) -> None:
    """The pipeline of the next format begins all the same: its first frame was captured before."""
    calls: list[str] = []

    def write(planes: object, timing: Timing) -> None:
        calls.append("write")
        raise ConsumerGone("closed") if gone else OutputError("broke off")

    sink = SimpleNamespace(
        write=write, reopen=lambda broke: False, attach=None, finish=lambda: calls.append("finish")
    )
    feed = SimpleNamespace(stop=lambda: None)
    reader = SimpleNamespace(changes=SimpleNamespace(ended=False))
    stopping = True
    parts: Any = (feed, reader, sink, None, None, stopping)
    session = LiveSession(*parts)
    slot: Any = SimpleNamespace(timing=Timing(pts=0, duration=1, time_base=Fraction(1, 25)), outputs=[])
    slot.data = FrameData()
    upscaler: Any = SimpleNamespace(session=SimpleNamespace(in_flight=1))
    for ended in (False, True):
        reader.changes.ended = ended
        deliver = session.stages(upscaler)[-1]
        assert deliver.finish is not None
        assert deliver.work(slot) is False
        deliver.finish()
    assert calls == ["write", "finish"]


@pytest.mark.parametrize("moment", ["planned", "compiled"])
def test_a_stop_before_the_first_picture_starts_no_session(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    opened: list[object] = []
    made, planned, open_sink = Upscaler.for_format, live_module.plan_live, live_module.open_live_sink

    def compiled(*arguments: Any, **options: Any) -> Upscaler:
        if moment == "compiled":
            stop.set()
        return made(*arguments, **options)

    def plan(*arguments: Any, **options: Any) -> LivePlan:
        if moment == "planned":
            stop.set()
        return planned(*arguments, **options)

    def opening(*arguments: Any, **options: Any) -> LiveSink:
        opened.append(arguments)
        return open_sink(*arguments, **options)

    monkeypatch.setattr(Upscaler, "for_format", compiled)
    monkeypatch.setattr(live_module, "plan_live", plan)
    monkeypatch.setattr(live_module, "open_live_sink", opening)
    with pytest.raises(KeyboardInterrupt):
        paragon_stream.live(SAMPLE, tmp_path / "out.mkv", engine="null", stop=stop)
    assert len(opened) == (moment == "compiled")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [[], ["--format", "nut"]])
def test_a_reader_that_has_gone_before_the_first_picture(options: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-P", "-m", "paragon_stream", "live", str(SAMPLE), "-", "--engine", "null"]
    done = subprocess.run([*command, *options], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == 0, done.stderr
    assert "closed" in done.stderr.splitlines()[-1]
