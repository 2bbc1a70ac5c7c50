"""A render on several nodes of a Ray cluster is one machine's render, whatever happens to the nodes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chunk_material import assert_same

import paragon_stream
from paragon_stream.errors import UsageError

pytest.importorskip("ray", reason="needs the extra [cluster]")

from cluster_material import TestCluster, ray_cluster, render

FRAMES = 120


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[TestCluster]:
    with ray_cluster(tmp_path) as made:
        yield made


def test_two_nodes_and_one_of_another_version(
    clip: Path, whole: Path, tmp_path: Path, cluster: TestCluster
) -> None:
    cluster.add(seconds_per_frame=0.02)
    cluster.add(seconds_per_frame=0.02)
    cluster.add(pyav="1.2.3")
    seen = []
    report = render(clip, tmp_path / "out.mkv", cluster, on_progress=seen.append)
    assert_same(tmp_path / "out.mkv", whole)
    assert len({chunk.node for chunk in report.chunks}) == 2
    assert len(report.chunks) == 6 and all(chunk.tries >= 1 for chunk in report.chunks)
    assert any("PyAV 1.2.3 instead of" in each and "does not take part" in each for each in report.warnings)
    assert max(len(progress.nodes) for progress in seen) >= 2
    assert any(progress.frames for progress in seen)
    assert not (tmp_path / "out.mkv.paragon").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_workers_get_a_gpu_each(clip: Path, whole: Path, tmp_path: Path, cluster: TestCluster) -> None:
    """Two of them, as Ray counts them, and four CPUs: two workers. The engine computes on the CPU."""
    import ray

    cluster.add(cpus=4, gpus=2, seconds_per_frame=0.02)
    taken: set[tuple[float, float]] = set()
    most = 0

    def look(progress: Any) -> None:
        nonlocal most
        left = ray.available_resources()
        taken.add((2 - left.get("GPU", 0.0), 4 - left.get("CPU", 0.0)))
        most = max(most, len(cluster.workers()))

    render(clip, tmp_path / "out.mkv", cluster, on_progress=look, threads=None)
    assert_same(tmp_path / "out.mkv", whole)
    assert (2.0, 4.0) in taken, "each has one GPU and half of the CPUs"
    assert most == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_local_cluster_beside_another_one(
    clip: Path, whole: Path, tmp_path: Path, cluster: TestCluster
) -> None:
    """Ray joins a cluster that runs on the machine, unless it is asked for a new one. Nothing of it stays."""
    folders = set(Path("/tmp").glob("paragon-ray-*"))
    options = [*("--cluster", "local", "--codec", "ffv1", "--precision", "fp32", "--threads", "1", "--quiet")]
    words = [sys.executable, "-m", "paragon_stream", str(clip), str(tmp_path / "out.mkv"), *options]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert set(Path("/tmp").glob("paragon-ray-*")) <= folders
    assert_same(tmp_path / "out.mkv", whole)


def test_what_cannot_be_rendered_on_a_cluster(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        paragon_stream.upscale(clip, tmp_path / "out.mkv", cluster="somewhere")
    with pytest.raises(UsageError, match="constant quality"):
        paragon_stream.upscale(clip, tmp_path / "out.mkv", cluster="local", encoder_options={"b": "1M"})
    with pytest.raises(UsageError, match="read only once"):
        paragon_stream.upscale("-", tmp_path / "out.mkv", cluster="local")
    with pytest.raises(UsageError, match="for --cluster"):
        paragon_stream.upscale(clip, tmp_path / "out.mkv", chunk_seconds=3)
    assert list(tmp_path.iterdir()) == []
