"""`plan_render`: what is announced is what is done."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest
from clips import make_clip

import paragon_stream
from paragon_stream.cli.main import run
from paragon_stream.render.plan import plan_render
from paragon_stream.render.request import RenderRequest


def animation(path: Path) -> Path:
    """A GIF of three frames."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("gif", rate=10, width=48, height=32, pix_fmt="rgb8")
        for number in range(3):
            frame = av.VideoFrame(48, 32, "rgb24")
            frame.planes[0].update(bytes([80 * number]) * frame.planes[0].buffer_size)
            file.mux(stream.encode(frame.reformat(format="rgb8")))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_probe_announces_what_is_made_of_an_animation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    source = animation(tmp_path / "in.gif")
    assert run(["probe", str(source), "--container", suffix, "--json"]) == 0
    announced = json.loads(capsys.readouterr().out)["plan"]["streams"][0]
    request = RenderRequest(source=source, destination=tmp_path / f"out.{suffix}")
    report = paragon_stream.run(plan_render(request))
    assert report.target_format in announced and report.codec in announced
    with av.open(str(tmp_path / f"out.{suffix}")) as file:
        made = file.streams.video[0]
        assert made.codec_context.pix_fmt == "yuv420p" and " yuv420p," in announced


def test_planning_writes_nothing(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=4)
    plan = plan_render(RenderRequest(source=source, destination=tmp_path / "out.mkv"))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]
    assert plan.weights.name == "video" and plan.placement.columns.total == 2 * plan.source.video.format.width
    assert plan.follows_strength and not plan.losses
