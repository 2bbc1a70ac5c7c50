"""Evaluation through the frame job; no torch involved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import published_files
import pytest

pytest.importorskip("PIL")

from click.testing import CliRunner
from training_material import drawn_picture, write_pictures

from paragon_stream.checkpoint import load_weights
from paragon_stream.cli.eval import command
from paragon_stream.errors import CheckpointError, InputError, UsageError
from paragon_stream.train.data.resample import enlarge, shrink, to_codes
from paragon_stream.train.measure.evaluate import MEASURES, evaluate
from paragon_stream.train.measure.metrics import psnr_y
from paragon_stream.train.measure.page import write_report


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pictures", 2, size=96)
    return tmp_path / "pictures"


def test_shipped_weights_beat_the_filters_and_bicubic_is_bicubic(pictures: Path, tmp_path: Path) -> None:
    found = evaluate(load_weights("fidelity"), pictures)
    means = found.means()
    for kernel in ("bicubic", "lanczos", "magic"):
        for measure in MEASURES:
            assert means["model"][measure] > means[kernel][measure]
    truth = drawn_picture(0, 96)
    low = to_codes(shrink(truth.astype(np.float32), 2)).astype(np.float32)
    expected = psnr_y(to_codes(enlarge(low, 2)), truth, 2)
    assert found.rows[0].scores["bicubic"]["psnr_y"] == pytest.approx(expected)
    assert found.precision == "fp32"
    page = tmp_path / "report.html"
    write_report(found, page)
    text = page.read_text(encoding="utf-8")
    assert text.count("<figure>") == 2 * 5
    assert f"{means['model']['psnr_y']:.4f}" in text


def test_the_command_prints_the_same_figures(pictures: Path) -> None:
    result = CliRunner().invoke(command, ["--data", str(pictures), "--weights", "fidelity", "--json"])
    assert result.exit_code == 0, result.output
    means = json.loads(result.output)["means"]["bicubic"]
    assert means["model"]["psnr_y"] > means["bicubic"]["psnr_y"] > 20


def test_what_a_bare_file_does_not_state_can_be_given(pictures: Path, tmp_path: Path) -> None:
    bare = str(published_files.write(tmp_path / "bare.safetensors", "p2r3", "nano"))
    options = ["--data", str(pictures), "--weights", bare, "--alpha", "0.5"]
    asked = CliRunner().invoke(command, options)
    assert isinstance(asked.exception, CheckpointError) and "give --scale" in str(asked.exception)
    options += ["--scale", "2", "--generation", "p2r3", "--json"]
    given = CliRunner().invoke(command, options, catch_exceptions=False)
    assert json.loads(given.stdout)["scale"] == 2


def test_bad_data_and_names_are_errors(tmp_path: Path, pictures: Path) -> None:
    weights = load_weights()
    with pytest.raises(InputError, match="neither a picture nor a folder"):
        evaluate(weights, tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        evaluate(weights, tmp_path / "empty")
    with pytest.raises(UsageError, match="nearest"):
        evaluate(weights, pictures, degradation="nearest")
    (pictures / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"broken\.png"):
        evaluate(weights, pictures)
