"""Failures of workers, nodes, the driver and the object store cost only time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from chunk_material import LOSSLESS, assert_same
from clips import make_clip

import paragon_stream
from paragon_stream.cluster import driver
from paragon_stream.errors import EngineError

pytest.importorskip("ray", reason="needs the extra [cluster]")

from cluster_material import TestCluster, kill, once, ray_cluster, render

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FRAMES = 160
PAUSE = 0.03
"""Seconds per frame, so that there is a middle of a chunk to meet."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[TestCluster]:
    with ray_cluster(tmp_path, quick_to_judge=True) as made:
        yield made


def test_a_worker_is_killed_in_the_middle_of_a_chunk(
    clip: Path, whole: Path, tmp_path: Path, cluster: TestCluster
) -> None:
    first, _ = cluster.add(seconds_per_frame=PAUSE), cluster.add(seconds_per_frame=PAUSE)
    strike = once(lambda progress: progress.frames > 30, lambda: kill(cluster.workers(first)[0]))
    report = render(clip, tmp_path / "out.mkv", cluster, on_progress=strike)
    assert strike.happened  # type: ignore[attr-defined]
    assert_same(tmp_path / "out.mkv", whole)
    assert sum(chunk.tries for chunk in report.chunks) > len(report.chunks)
    assert any("the worker process ended" in each for each in report.warnings)
    assert not (tmp_path / "out.mkv.paragon").exists()


def test_the_only_worker_hangs(
    clip: Path, whole: Path, tmp_path: Path, cluster: TestCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no other node that could take over: its process is ended, and another one is made."""
    monkeypatch.setattr(driver, "_SILENT", 4.0)
    node = cluster.add(seconds_per_frame=PAUSE)
    strike = once(
        lambda progress: progress.frames > 30, lambda: os.kill(cluster.workers(node)[0].pid, signal.SIGSTOP)
    )
    report = render(clip, tmp_path / "out.mkv", cluster, on_progress=strike)
    assert strike.happened  # type: ignore[attr-defined]
    assert_same(tmp_path / "out.mkv", whole)
    assert any("has not answered" in each for each in report.warnings)


def test_a_node_loses_its_power(
    clip: Path, whole: Path, tmp_path: Path, cluster: TestCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ray reports that with dozens of lines on standard output, where programs may read something else."""
    first, _ = cluster.add(seconds_per_frame=PAUSE), cluster.add(seconds_per_frame=PAUSE)
    strike = once(lambda progress: progress.frames > 30, lambda: cluster.kill_node(first))
    report = render(clip, tmp_path / "out.mkv", cluster, on_progress=strike)
    assert strike.happened  # type: ignore[attr-defined]
    assert_same(tmp_path / "out.mkv", whole)
    assert any("is rendered again" in each for each in report.warnings)
    assert capsys.readouterr().out == ""


def test_a_node_joins_late(clip: Path, whole: Path, tmp_path: Path, cluster: TestCluster) -> None:
    cluster.add(seconds_per_frame=0.2)
    join = once(lambda progress: progress.frames > 0, lambda: cluster.add())
    report = render(clip, tmp_path / "out.mkv", cluster, on_progress=join)
    assert_same(tmp_path / "out.mkv", whole)
    assert len({chunk.node for chunk in report.chunks}) == 2


def test_a_node_that_is_ten_times_slower(
    clip: Path, whole: Path, tmp_path: Path, cluster: TestCluster
) -> None:
    """Its last chunk is taken over: the render ends long before it would have."""
    cluster.add(seconds_per_frame=1.5)
    cluster.add(seconds_per_frame=0.15)
    begun = time.monotonic()
    report = render(clip, tmp_path / "out.mkv", cluster)
    assert_same(tmp_path / "out.mkv", whole)
    assert max(chunk.tries for chunk in report.chunks) == 2
    by_node = {chunk.node for chunk in report.chunks if chunk.tries == 2}
    quick = max(report.chunks, key=lambda chunk: -chunk.seconds).node
    assert by_node == {quick}, "the second try was on the quick node, and came first"
    assert time.monotonic() - begun < 600


def test_the_driver_is_killed_and_another_goes_on(
    clip: Path, whole: Path, tmp_path: Path, cluster: TestCluster
) -> None:
    cluster.add(seconds_per_frame=PAUSE)
    out = tmp_path / "out.mkv"
    command = [
        *(sys.executable, "-m", "paragon_stream", str(clip), str(out), "--cluster", cluster.address),
        *("--codec", "ffv1", "--precision", "fp32", "--threads", "1", "--chunk-seconds", "0.8", "--quiet"),
    ]
    driver = subprocess.Popen(command)
    chunks = tmp_path / "out.mkv.paragon" / "chunks"
    wait_for(lambda: len(list(chunks.glob("*.json"))) > 3)  # the plan, and some that are done
    driver.kill()
    driver.wait()
    wait_for(lambda: not cluster.workers())  # they do not outlive it
    kept = {path.name: path.stat().st_mtime_ns for path in chunks.glob("0*.json")}
    assert kept and not out.exists()
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 1 and "--resume continues" in refused.stderr
    seen: list[dict[str, int]] = []

    def look(progress: Any) -> None:
        now = {path.name: path.stat().st_mtime_ns for path in chunks.glob("0*.json")}
        seen.append({name: now[name] for name in kept if name in now})

    report = render(clip, out, cluster, resume=True, on_progress=look)
    assert_same(out, whole)
    assert seen[0] == kept, "what was done was not done again"
    assert report.frames_out == FRAMES


def test_the_head_is_killed(clip: Path, whole: Path, tmp_path: Path) -> None:
    """The driver ends, not at once; on another cluster --resume goes on."""
    out = tmp_path / "out.mkv"
    chunks = tmp_path / "out.mkv.paragon" / "chunks"
    with ray_cluster(tmp_path) as cluster:
        cluster.add(seconds_per_frame=PAUSE)
        command = [
            *(sys.executable, "-m", "paragon_stream", str(clip), str(out), "--cluster", cluster.address),
            *(
                "--codec",
                "ffv1",
                "--precision",
                "fp32",
                "--threads",
                "1",
                "--chunk-seconds",
                "0.8",
                "--quiet",
            ),
        ]
        driver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_for(lambda: len(list(chunks.glob("*.json"))) > 3)
        cluster.cluster.head_node.kill_gcs_server(check_alive=False)
        assert driver.wait(240) != 0
    kept = {path.name: path.stat().st_mtime_ns for path in chunks.glob("0*.json")}
    assert kept and not out.exists()
    with ray_cluster(tmp_path) as cluster:
        cluster.add()
        render(clip, out, cluster, resume=True)
    assert_same(out, whole)


def test_control_c_keeps_finished_chunks(
    clip: Path, whole: Path, tmp_path: Path, cluster: TestCluster
) -> None:
    cluster.add(seconds_per_frame=PAUSE)
    warned: list[str] = []
    stop = once(lambda progress: progress.frames > 50, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        render(clip, tmp_path / "out.mkv", cluster, on_progress=stop, on_warning=warned.append)
    assert any("--resume continues with them" in each for each in warned)
    chunks = tmp_path / "out.mkv.paragon" / "chunks"
    assert list(chunks.glob("0*.mkv"))
    assert not list(chunks.glob(".making-*")) and not list(chunks.glob(".token-*"))
    wait_for(lambda: not cluster.workers())
    render(clip, tmp_path / "out.mkv", cluster, resume=True)
    assert_same(tmp_path / "out.mkv", whole)


def test_a_worker_that_hangs(clip: Path, whole: Path, tmp_path: Path, cluster: TestCluster) -> None:
    """Its process is stopped, not ended: the other node takes over what it had."""
    first, _ = cluster.add(seconds_per_frame=PAUSE), cluster.add(seconds_per_frame=PAUSE)
    stopped: list[psutil.Process] = []

    def strike() -> None:
        stopped.extend(cluster.workers(first))
        stopped[0].suspend()

    render(
        clip, tmp_path / "out.mkv", cluster, on_progress=once(lambda progress: progress.frames > 30, strike)
    )
    assert_same(tmp_path / "out.mkv", whole)
    assert stopped


def test_a_full_object_store(clip: Path, whole: Path, tmp_path: Path, cluster: TestCluster) -> None:
    """All of the store is taken, while the source travels through it to a machine that does not see it."""
    import ray

    big = tmp_path / "big.mkv"
    noise = [("noise.bin", "application/octet-stream", np.random.default_rng(1).bytes(100 << 20))]
    make_clip(big, frames=60, audio="aac", options={"g": "20"}, attachments=noise)
    cluster.add(hidden=tmp_path)
    paragon_stream.upscale(big, tmp_path / "one.mkv", **LOSSLESS)
    ray.init(address=cluster.address, log_to_driver=False)
    held = [ray.put(np.zeros(30 << 20, np.uint8)) for _ in range(4)]
    report = render(big, tmp_path / "out.mkv", cluster)
    assert len(held) == 4 and report.frames_out == 60
    assert_same(tmp_path / "out.mkv", tmp_path / "one.mkv")


def test_a_chunk_that_ends_every_worker_ends_the_render(
    clip: Path, tmp_path: Path, cluster: TestCluster
) -> None:
    cluster.add(seconds_per_frame=PAUSE)

    def strike(progress: Any) -> None:
        if progress.frames:
            for process in cluster.workers():
                kill(process)

    with pytest.raises(EngineError, match=r"workers ended there|fails wherever it is rendered"):
        render(clip, tmp_path / "out.mkv", cluster, on_progress=strike)
    assert not (tmp_path / "out.mkv").exists()


def wait_for(condition: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.2)


def test_a_folder_of_videos_and_a_picture(tmp_path: Path, cluster: TestCluster) -> None:
    """One connection for all of them; what was finished is left alone the second time."""
    from PIL import Image

    films, out = tmp_path / "films", tmp_path / "out"
    films.mkdir()
    for name in ("a.mkv", "b.mkv"):
        make_clip(films / name, frames=60, audio="aac", options={"g": "20"})
        paragon_stream.upscale(films / name, tmp_path / name, **LOSSLESS)
    Image.new("RGB", (32, 32), (90, 80, 70)).save(films / "c.png")
    cluster.add()
    options = {"cluster": cluster.address, "chunk_seconds": 0.8, **LOSSLESS}
    report = paragon_stream.upscale_all([films], out, **options)
    assert [Path(each.destination).name for each in report.files] == ["a.mkv", "b.mkv", "c.png"]
    assert not report.failed
    for name in ("a.mkv", "b.mkv"):
        assert_same(out / name, tmp_path / name)
    again = paragon_stream.upscale_all([films], out, **options)
    assert {str(each.outcome) for each in again.files} == {"left alone"}
