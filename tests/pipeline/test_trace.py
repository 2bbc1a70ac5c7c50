"""Traces: what a viewer needs, spans of every stage and frame, and written whatever happens."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from places import SAMPLE

import paragon_stream
from paragon_stream.cli.main import run
from paragon_stream.errors import ParagonError
from paragon_stream.pipeline.pipeline import Pipeline
from paragon_stream.pipeline.slot import Slot
from paragon_stream.pipeline.stage import Stage
from paragon_stream.pipeline.trace import Trace


def events(text: str) -> tuple[dict[int, str], list[dict]]:
    """Names of the tracks by number, and the spans; checks the form that Perfetto and Chrome read."""
    document = json.loads(text)
    names: dict[int, str] = {}
    spans = []
    for event in document["traceEvents"]:
        assert event["pid"] == 1 and event["ph"] in ("M", "X")
        if event["ph"] == "M":
            if event["name"] == "thread_name":
                names[event["tid"]] = event["args"]["name"]
        else:
            assert event["ts"] >= 0 and event["dur"] >= 0 and event["name"]
            spans.append(event)
    assert all(span["tid"] in names for span in spans)
    assert [span["ts"] for span in spans] == sorted(span["ts"] for span in spans)
    return names, spans


def test_every_stage_and_frame_is_drawn() -> None:
    class Later:
        def __init__(self) -> None:
            self.done = threading.Event()
            threading.Timer(0.002, self.done.set).start()

        def wait(self) -> None:
            assert self.done.wait(10)

    trace, numbers = Trace(), iter(range(5))

    def start(slot: Slot) -> None:
        slot.completion = Later()

    stages = [
        Stage(name="read", work=lambda slot: next(numbers, None) is not None),
        Stage(name="compute", work=start),
        Stage(name="write", work=lambda slot: None, finish=lambda: None),
    ]
    Pipeline([Slot((), ()) for _ in range(3)], stages, trace).run()
    names, spans = events(trace.to_json())
    drawn = [(names[span["tid"]], span["name"]) for span in spans]
    assert list(names.values())[:3] == ["read", "compute", "write"]
    for stage in ("compute", "write"):
        assert [name for track, name in drawn if track == stage][:5] == [f"frame {n}" for n in range(5)]
    assert ("write", "finish") in drawn
    flights = [(track, name) for track, name in drawn if track.startswith("compute, in flight, slot")]
    assert sorted(name for _, name in flights) == [f"frame {n}" for n in range(5)]
    for span in (s for s in spans if names[s["tid"]].startswith("compute, in flight")):
        assert span["dur"] >= 1000, "the completion takes 2 ms"


def test_a_render_is_traced(tmp_path: Path) -> None:
    path, trace = tmp_path / "out.mkv", tmp_path / "trace.json"
    code = run(
        [str(SAMPLE), str(path), "--engine", "null", "--duration", "0.3", "--quiet", "--trace", str(trace)]
    )
    assert code == 0 and path.exists()
    names, spans = events(trace.read_text())
    assert list(names.values())[:3] == ["decode", "engine", "encode"]
    assert len([s for s in spans if names[s["tid"]] == "encode"]) >= 7


def test_a_failed_render_is_traced_too(tmp_path: Path) -> None:
    def stop(progress: object) -> None:
        raise ParagonError("enough")

    trace = tmp_path / "trace.json"
    with pytest.raises(ParagonError, match="enough"):
        paragon_stream.upscale(
            SAMPLE, tmp_path / "out.mkv", engine="null", duration=0.3, trace=trace, on_progress=stop
        )
    assert events(trace.read_text())[1]


def test_spans_of_many_threads() -> None:
    trace = Trace()

    def work(number: int) -> None:
        for turn in range(50):
            with trace.span(f"track {number}", str(turn)):
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    names, spans = events(trace.to_json())
    assert len(names) == 4 and len(spans) == 200
