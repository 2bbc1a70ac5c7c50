"""`bench --matrix`: a row for every engine and precision; those that cannot run say why."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fake_device import FakeDevice
from PIL import Image

from paragon_stream import runtimes
from paragon_stream.bench import matrix as bench_matrix
from paragon_stream.bench import video_memory
from paragon_stream.bench.matrix import as_markdown, as_svg
from paragon_stream.bench.video_memory import VideoMemory
from paragon_stream.cli.bench import command
from paragon_stream.cli.main import run
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.runtimes.registry import runtime


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


def test_torch_has_rows_with_and_without_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        asked.append(command[command.index("--torch-compile") + 1])
        return subprocess.CompletedProcess(command, 1, "", "paragon-stream: not here")

    monkeypatch.setattr(bench_matrix, "installed_engines", lambda: ("torch",))
    monkeypatch.setattr(bench_matrix, "PRECISIONS", ("fp16",))
    monkeypatch.setattr("paragon_stream.bench.matrix.subprocess.run", run)
    rows = bench_matrix.bench_matrix(UpscalerOptions(), variants=["realtime"], sizes=[(64, 48)], frames=1)
    assert [(row.engine, row.precision) for row in rows] == [("torch", "fp16"), ("torch compiled", "fp16")]
    assert asked == ["off", "on"]
    assert all(row.refused == "not here" for row in rows)


def test_every_option_of_the_network_reaches_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size, for example: without it the table would be of another job."""
    asked: list[str] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        asked.extend(command[command.index("bench") :])
        return subprocess.CompletedProcess(command, -11, "", "")

    monkeypatch.setattr(bench_matrix, "installed_engines", lambda: ("openvino",))
    monkeypatch.setattr(bench_matrix, "PRECISIONS", ("fp32",))
    monkeypatch.setattr("paragon_stream.bench.matrix.subprocess.run", run)
    wanted = {"to": "1080p", "fit": "crop", "strength": "0.5", "temporal": "adaptive", "threads": "2"}
    words = [word for name, value in wanted.items() for word in (f"--{name}", value)]
    done = CliRunner().invoke(command, ["--matrix", "--variant", "stream", *words])
    assert done.exit_code == 0 and "exit code -11" in done.output
    assert {name: asked[asked.index(f"--{name}") + 1] for name in wanted} == wanted


def test_options_without_effect_are_refused(tmp_path: Path) -> None:
    for words in (
        ["--matrix", "--compare"],
        ["--matrix", "--torch-compile", "on"],
        ["--stills", str(tmp_path), "--frames", "3"],
        ["--compare", "--engine", "native"],
        ["--matrix", "--plot", str(tmp_path / "gone" / "m.svg")],
    ):
        assert run(["bench", *words]) in (1, 2), words


def test_an_engine_that_refuses_does_not_end_the_comparison(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runtimes, "installed_engines", lambda: ("onnxruntime", "null"))
    words = ["bench", "--compare", "--size", "64x48", "--frames", "1", "--precision", "fp16"]
    assert run(words) == 0
    assert "onnxruntime: ONNX Runtime computes in fp32" in capsys.readouterr().out
    assert run([*words, "--json"]) == 0
    refused, good = json.loads(capsys.readouterr().out)
    assert (refused["engine"], "fp16" in refused["refused"]) == ("onnxruntime", True)
    assert good["engine"] == "null" and good["fps"] > 0
    monkeypatch.setattr(runtimes, "installed_engines", lambda: ("onnxruntime",))
    assert run(words) == 1


def test_compiling_is_what_the_option_says(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    asked = []

    def compiled(program: object, **options: object) -> object:
        asked.append(options)
        return program

    monkeypatch.setattr(torch, "compile", compiled)
    arguments = ["--engine", "torch", "--device", "cpu", "--size", "32x32", "--frames", "1"]
    for choice, times in (("off", 0), ("auto", 0), ("on", 1)):
        monkeypatch.setattr(runtime("torch"), "compiles", None)
        CliRunner().invoke(command, [*arguments, "--torch-compile", choice], catch_exceptions=False)
        assert len(asked) == times
    refused = CliRunner().invoke(command, ["--engine", "null", "--torch-compile", "on"])
    assert "--torch-compile goes with --engine torch" in refused.output


def test_a_folder_of_pictures_has_times_and_quality(openvino_alone: None, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, size in enumerate(((64, 48), (80, 56))):
        smooth = Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).resize(size)
        smooth.save(tmp_path / f"{number}.png")
    arguments = ["--matrix", "--variant", "realtime", "--stills", str(tmp_path), "--json"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    row, _ = json.loads(done.stdout)
    assert row["refused"] == ""
    assert row["size"] == f"{tmp_path.name}: 2 of 0.00 MP"
    assert 0 < row["p50_ms"] <= row["p95_ms"] and row["vram_bytes"] is None
    assert row["quality"]["PSNR-Y"] > 35 and 0.9 < row["quality"]["SSIM-Y"] <= 1


def test_memory_of_a_gpu_is_what_the_session_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeDevice()
    monkeypatch.setattr(video_memory, "gpu_of", lambda engine, name: 0)
    with VideoMemory.of("torch", None, lambda ordinal: device) as memory, device.current():
        first = device.allocate(3000)
        memory.sample()
        device.release(first)
        second = device.allocate(1000)
        memory.sample()
        device.release(second)
    assert memory.taken == 3000
    assert device.closed
    monkeypatch.setattr(video_memory, "gpu_of", lambda engine, name: None)
    with VideoMemory.of("openvino", None) as none:
        none.sample()
    assert none.taken is None
    rows = [
        bench_matrix.MatrixRow(
            variant="realtime", scale=2, engine="torch", precision="fp16", size="64x48", vram_bytes=2**30
        )
    ]
    assert "| VRAM GB |" in as_markdown(rows) and "| 1.07 |" in as_markdown(rows)


def test_the_table_names_what_did_not_run(openvino_alone: None) -> None:
    rows = bench_matrix.bench_matrix(
        UpscalerOptions(scale=2), variants=["realtime"], sizes=[(64, 48)], frames=1
    )
    text = as_markdown(rows)
    assert text.count("| realtime ×2 | 64x48 | openvino | fp32 |") == 1
    assert "- realtime, openvino, fp16: " in text
    assert as_svg([]).startswith("<svg")
