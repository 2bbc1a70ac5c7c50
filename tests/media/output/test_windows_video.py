"""Further videos whose codec Matroska has no name of its own for are copied by Windows' name."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from clips import make_clip, packets, scene
from rendering import render

from paragon_stream.media.output.stream_plans import Action


def with_second(path: Path, codec: str, pix_fmt: str) -> Path:
    """A clip whose second video is in `codec`; each in its own order of frames."""
    first = make_clip(path.with_name("first.mkv"), frames=20, codec="mpeg4")
    with av.open(str(first)) as a, av.open(str(path), "w") as b:
        video = b.add_stream_from_template(a.streams[0], opaque=True)
        other = b.add_stream(codec, rate=25)
        other.width, other.height, other.pix_fmt = 96, 64, pix_fmt
        for number, packet in enumerate(p for p in a.demux(0) if p.size):
            frame = av.VideoFrame.from_ndarray(scene(number, 96, 64, "rgb24")[0], format="rgb24")
            packet.stream = video
            b.mux([packet, *other.encode(frame.reformat(format=pix_fmt))])
        b.mux(other.encode(None))
    return path


def pictures(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray().tobytes() for frame in file.decode(video=1)]


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [("utvideo", "yuv420p"), ("utvideo", "yuv444p"), ("huffyuv", "yuv422p"), ("msmpeg4", "yuv420p")],
)
def test_they_are_copied(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    source = with_second(tmp_path / "in.avi", codec, pix_fmt)
    done = render(source, tmp_path / "out.mkv", strict=True)
    assert [plan.action for plan in done.plan.streams] == [Action.COPY] and done.warnings == []
    assert packets(tmp_path / "out.mkv", 1) == packets(source, 1)
    assert pictures(tmp_path / "out.mkv") == pictures(source) != []
    assert render(tmp_path / "out.mkv", tmp_path / "again.mkv", strict=True).warnings == []
    assert pictures(tmp_path / "again.mkv") == pictures(source)
