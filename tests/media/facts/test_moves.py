"""Pictures that move to another PID of a transport stream."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import make_clip

from paragon_stream.errors import LossError
from paragon_stream.media.facts.probe import probe
from paragon_stream.render.plan import plan_render
from paragon_stream.render.request import RenderRequest


def part(folder: Path, pid: int, begin: int, codec: str = "libx264") -> bytes:
    path = folder / f"{pid}_{begin}.ts"
    options = {"mpegts_start_pid": str(pid)}
    times = list(range(begin, begin + 50))
    make_clip(path, frames=50, pts=times, codec=codec, audio="mp2", container_options=options)
    return path.read_bytes()


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize(
    "pids", [(256, 512), (256, 512, 256), (256, 512, 256, 512), (256, 512, 256, 512, 256)]
)
def test_a_move_is_announced(tmp_path: Path, codec: str, pids: tuple[int, ...]) -> None:
    codecs = {256: "libx264", 512: codec}
    parts = [part(tmp_path, pid, 50 * number, codecs[pid]) for number, pid in enumerate(pids)]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))
    info = probe(joined)
    assert info.video.index == 0 and info.continued_in == (2,)
    with pytest.raises(LossError, match=r"the picture continues in video stream 2 .*: render .* --video 2"):
        plan_render(RenderRequest(source=str(joined), destination=str(tmp_path / "out.mkv"), strict=True))


def test_packets_with_times(tmp_path: Path) -> None:
    plain = part(tmp_path, 256, 0) + part(tmp_path, 512, 50)
    joined = tmp_path / "joined.m2ts"
    joined.write_bytes(b"".join(bytes(4) + plain[at : at + 188] for at in range(0, len(plain), 188)))
    assert probe(joined).continued_in == (2,)


def test_videos_beside_each_other_are_no_move(tmp_path: Path) -> None:
    beside = tmp_path / "beside.ts"
    make_clip(beside, frames=50, audio="mp2", second_video=True)
    assert probe(beside).continued_in == ()
    long, short = part(tmp_path, 256, 0), part(tmp_path, 512, 0)
    packets = [[file[at : at + 188] for at in range(0, len(file), 188)] for file in (long, short)]
    beside.write_bytes(b"".join(one + two for one, two in zip(*packets, strict=False)))
    assert probe(beside).continued_in == ()
    same = tmp_path / "same.ts"
    same.write_bytes(part(tmp_path, 256, 0) + part(tmp_path, 256, 50))
    assert probe(same).continued_in == ()
