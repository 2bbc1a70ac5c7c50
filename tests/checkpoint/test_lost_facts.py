"""Copies of shipped sets without their metadata, and Stream weights without the limit that they need."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from network_reference import random_spec, random_weights

from paragon_stream.checkpoint import Weights, at_strength, load_weights
from paragon_stream.cli.main import run
from paragon_stream.framejob.products import warn_of_missing_limit


def bare(folder: Path, weights: Weights, **changed: np.ndarray) -> Path:
    path = folder / "bare.safetensors"
    safetensors.numpy.save_file({**weights.tensors, **changed}, path)
    return path


@pytest.mark.parametrize(
    ("name", "variant", "scale"),
    [
        ("fidelity", "stream", 2),
        ("video", "stream", 2),
        ("fidelity", "stream", 4),
        ("fidelity", "realtime", 3),
    ],
)
def test_a_shipped_set_without_metadata_is_recognised(
    tmp_path: Path, name: str, variant: str, scale: int
) -> None:
    shipped = load_weights(name, variant=variant, scale=scale)
    found = load_weights(bare(tmp_path, shipped), alpha=0)
    assert found.spec == shipped.spec
    assert (found.spec.filters_chroma, found.spec.product_limit) == (
        True,
        16 if variant == "stream" else math.inf,
    )
    whole = tmp_path / "whole.safetensors"
    assert run(["convert", str(tmp_path / "bare.safetensors"), str(whole), "--alpha", "0"]) == 0
    assert load_weights(whole).spec == shipped.spec


def test_rounded_and_fixed_copies_are_recognised_too(tmp_path: Path) -> None:
    shipped = load_weights("video", variant="stream", scale=2)
    plain = at_strength(shipped, 0.5)
    half = {key: value.astype(np.float16) for key, value in plain.tensors.items()}
    spec = load_weights(bare(tmp_path, plain, **half), alpha=0).spec
    assert spec == plain.spec
    assert spec.product_limit == 16


def test_other_weights_are_not_taken_for_a_shipped_set(tmp_path: Path) -> None:
    spec = random_spec("stream", 2)
    found = load_weights(bare(tmp_path, random_weights(spec)), alpha=spec.alpha)
    assert found.spec.product_limit == math.inf


def test_stream_that_needs_a_limit_and_has_none_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shipped = load_weights("fidelity", variant="stream", scale=2)
    changed = {"conv_mid.weight": 1.05 * shipped.tensors["conv_mid.weight"]}  # as if trained further
    path = bare(tmp_path, shipped, **changed)
    out = tmp_path / "out.onnx"
    assert run(["export", "onnx", "--weights", str(path), "--alpha", "0", "--no-check", str(out)]) == 0
    assert "the picture will be noise: a test picture gave values of" in caplog.text
    caplog.clear()
    warn_of_missing_limit(shipped)
    warn_of_missing_limit(load_weights(bare(tmp_path, random_weights(random_spec("stream", 2))), alpha=0))
    assert not caplog.text


@pytest.mark.parametrize(("variant", "warns"), [("stream", True), ("realtime", False)])
def test_models_export_warns_of_programs_that_ignore_the_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], variant: str, warns: bool
) -> None:
    out = tmp_path / "plain.safetensors"
    assert run(["models", "export", "video", str(out), "--variant", variant, "--strength", "0.5"]) == 0
    said = capsys.readouterr().err
    assert ("warning: programs that ignore product_limit in the metadata" in said) == warns
    assert ("paragon-stream export onnx" in said) == warns
