"""`probe weights.safetensors`, `convert`, and the warnings about files that surprise their authors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from published_files import write

from paragon_stream.checkpoint import load_weights
from paragon_stream.checkpoint.inspection import cautions, inspect, macs_per_pixel
from paragon_stream.checkpoint.published import published_network
from paragon_stream.cli.main import run
from paragon_stream.errors import CheckpointError


@pytest.mark.parametrize(
    ("variant", "alpha", "macs"),
    [("realtime", 0.3, 17_778), ("stream", 0.0, 110_040), ("photo", 0.4, 1_260_130)],
)
def test_the_cost_is_the_reference_s(variant: str, alpha: float, macs: int) -> None:
    """Architecture reference, section 12."""
    assert macs_per_pixel(published_network("p2head", variant, 2, alpha=alpha)) == macs


def test_what_is_unknown_is_shown_and_is_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "net.safetensors", "p2r3", "nano")
    assert run(["probe", str(path)]) == 0
    said = capsys.readouterr().out
    assert "nano (p2v2, 24 features, 4 blocks)" in said
    assert "unknown: scale, alpha (set by --scale, --alpha)" in said
    assert run(["probe", str(path), "--json", "--scale", "2", "--alpha", "0.5"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["generation"], facts["scale"], facts["alpha"], facts["unknown"]) == ("p2v2", 2, 0.5, [])
    assert facts["parameters"] == 83_715 + 4 * (2 * 36 * 9 + 1)  # the reference's, and the buffers
    with pytest.raises(CheckpointError, match="it does not state its scale: give --scale"):
        load_weights(path)


@pytest.mark.parametrize("generation", ["paragonsr-ps", "p2r1", "p2r3"])
def test_converted_files_say_what_they_are(
    tmp_path: Path, generation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    variant = "anime" if generation == "p2r1" else "nano"
    source, plain, fused = write(tmp_path / "a_x2.safetensors", generation, variant), "b", "c"
    options = ["--generation", generation, "--alpha", "0.5", "--scale", "2"]
    plain, fused = (tmp_path / f"{name}.safetensors" for name in (plain, fused))
    assert run(["convert", str(source), str(plain), *options]) == 0
    assert run(["convert", str(source), str(fused), "--fuse", *options]) == 0
    before, after = load_weights(plain).spec, load_weights(fused).spec
    assert (before.generation, before.alpha) == (generation, 0.5)
    assert after.parameters < before.parameters
    assert inspect(fused).facts["fused"]
    assert inspect(fused).unknown == ()
    assert run(["convert", str(source), str(fused), *options]) == 1  # it exists
    assert "exists already: use --overwrite to replace it" in capsys.readouterr().err


def test_fusing_changes_no_result(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from paragon_stream import models
    from paragon_stream.checkpoint import fuse

    picture = torch.rand(1, 3, 20, 24)
    for generation, variant in (("paragonsr-r1", "tiny"), ("p2v0", "anime"), ("p2r2", "nano")):
        weights = load_weights(write(tmp_path / f"{generation}_x2.safetensors", generation, variant))
        fused = fuse(weights)
        with torch.no_grad():
            plain, less = (
                models.load(each.tensors, generation=generation, scale=2, alpha=1.0)(picture)
                for each in (weights, fused)
            )
        torch.testing.assert_close(plain, less, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("generation", "variant", "words"),
    [
        ("p2r1", "anime", "random kernels"),  # D3
        ("p2v1", "nano", "works in training only"),  # D4
        ("p2v9", "realtime", "switches the network off"),  # D9
        ("p2v7", "stream", "drop what does not fit"),  # D9
        ("p2v5", "tiny", "leaves out the last rows"),  # D13
    ],
)
def test_files_that_surprise(generation: str, variant: str, words: str) -> None:
    assert words in " ".join(cautions(published_network(generation, variant, 2)))
    assert cautions(published_network("p2head", "stream", 2)) == ()


def test_unlikely_facts_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write(tmp_path / "net.safetensors", "p2r2", "nano"), tmp_path / "out.safetensors"
    assert run(["probe", str(path), "--scale", "2", "--alpha", "1.7"]) == 0
    assert "warning: alpha 1.7 is outside of 0 to 1" in capsys.readouterr().out
    assert run(["convert", str(path), str(out), "--scale", "2", "--alpha", "1.7"]) == 0
    assert "warning: alpha 1.7 is outside of 0 to 1" in capsys.readouterr().err
    arguments = ["--weights", str(path), "--scale", "2", "--alpha", "1.7"]
    assert run(["eval", "--data", str(tmp_path / "none"), *arguments]) != 0
    assert "warning: alpha 1.7 is outside of 0 to 1" in capsys.readouterr().err
    for scale in ("0", "-2", "40"):
        assert run(["probe", str(path), "--scale", scale]) == 1
        assert f"its scale is {scale}; networks of the family have 2, 3, 4 or 8" in capsys.readouterr().err


def test_an_unknown_alpha_or_window_is_a_warning() -> None:
    assert "changes the picture" in cautions(published_network("p2r3", "nano", 2), ("alpha",))[0]  # D12
    first_pro = published_network("p2head", "pro", 2, window_size=8)
    assert "first Pro" in cautions(first_pro)[0]  # D21


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[: len(data) // 2], "damaged safetensors"),
        (lambda data: b"\x00" * 64, "neither a safetensors file, nor a torch archive, nor an ONNX file"),
    ],
)
def test_damaged_files_are_one_line(
    tmp_path: Path, damage: object, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "net.safetensors", "p2v4", "micro")
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    assert run(["probe", str(path)]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
