"""`bench --matrix`: a row for every engine and precision; those that cannot run say why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from paragon_stream.bench import matrix as bench_matrix
from paragon_stream.bench.matrix import as_markdown, as_svg
from paragon_stream.cli.bench import command
from paragon_stream.options.network import UpscalerOptions


@pytest.fixture
def openvino_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_matrix, "installed_engines", lambda: ("openvino",))
    monkeypatch.setattr(bench_matrix, "PRECISIONS", ("fp32", "fp16"))


def test_rows_have_figures_or_a_reason(openvino_alone: None, tmp_path: Path) -> None:
    plot = tmp_path / "m.svg"
    arguments = ["--matrix", "--variant", "realtime", "--size", "64x48", "--frames", "3"]
    done = CliRunner().invoke(command, [*arguments, "--json", "--plot", str(plot)], catch_exceptions=False)
    good, bad = json.loads(done.stdout)
    assert good["refused"] == "" and good["precision"] == "fp32"
    assert 0 < good["p50_ms"] <= good["p95_ms"]
    assert good["fps"] > 0 and good["peak_bytes"] > 1e7 and good["quality"]
    assert "does not compute in fp16" in bad["refused"]
    assert plot.read_text("utf-8").count("<rect") == 1


def test_the_table_names_what_did_not_run(openvino_alone: None) -> None:
    rows = bench_matrix.bench_matrix(
        UpscalerOptions(scale=2), variants=["realtime"], sizes=[(64, 48)], frames=1
    )
    text = as_markdown(rows)
    assert text.count("| realtime ×2 | 64x48 | openvino | fp32 |") == 1
    assert "- realtime, openvino, fp16: " in text
    assert as_svg([]).startswith("<svg")
