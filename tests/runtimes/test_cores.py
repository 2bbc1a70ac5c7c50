"""The number of CPUs of an engine: those that the process may use, within the quota of its container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paragon_stream.runtimes import cpu
from paragon_stream.runtimes.native import work


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_no_groups_no_limit(tmp_path: Path) -> None:
    assert cpu.quota(tmp_path) is None
    write(tmp_path / "cpu.max", "max 100000\n")
    assert cpu.quota(tmp_path) is None


def test_the_tightest_group_counts(tmp_path: Path) -> None:
    write(tmp_path / "cpu.max", "800000 100000\n")
    write(tmp_path / "pod" / "cpu.max", "150000 100000\n")
    write(tmp_path / "pod" / "box" / "cpu.max", "max 100000\n")
    assert cpu.quota(tmp_path, "/pod/box") == 1.5
    assert cpu.quota(tmp_path, "/") == 8


def test_version_1(tmp_path: Path) -> None:
    write(tmp_path / "cpu" / "cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "cpu" / "cpu.cfs_period_us", "100000\n")
    assert cpu.quota(tmp_path) is None
    write(tmp_path / "cpu" / "cpu.cfs_quota_us", "250000\n")
    assert cpu.quota(tmp_path) == 2.5


@pytest.mark.parametrize(("limit", "expected"), [("50000", 1), ("150000", 2), ("100000000", None)])
def test_parts_of_a_cpu_are_rounded_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, expected: int | None
) -> None:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    write(tmp_path / "cpu.max", f"{limit} 100000")
    monkeypatch.setattr(cpu, "_CGROUPS", tmp_path)
    monkeypatch.setattr(cpu, "_own_group", lambda: "/")
    assert cpu.cores() == min(expected or allowed, allowed)


@pytest.mark.parametrize(
    ("fact", "values", "expected"),
    [
        ("cpufreq/cpuinfo_max_freq", [5200000, 5200000, 5400000], False),  # two favoured cores
        ("cpufreq/cpuinfo_max_freq", [5200000, 5200000, 3900000], True),
        ("cpu_capacity", [1024, 1024], False),
        ("cpu_capacity", [1024, 446], True),
        ("topology/core_id", [0, 1], False),
    ],
)
def test_efficiency_cores_are_slower(tmp_path: Path, fact: str, values: list[int], expected: bool) -> None:
    for number, value in enumerate(values):
        write(tmp_path / f"cpu{number}" / fact, f"{value}\n")
    assert cpu._differ(tmp_path) is expected


def test_unequal_cores_get_more_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "cores_differ", lambda: False)
    assert work._bands(1080, 2, 4) == 2
    monkeypatch.setattr(work, "cores_differ", lambda: True)
    assert work._bands(1080, 2, 4) == 6
    assert work._bands(100, 2, 4) == 1  # bands are not too narrow
