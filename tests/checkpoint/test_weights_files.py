"""Weights on disk: saving, loading, shipped sets."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from network_reference import random_spec, random_weights

from paragon_stream import datafiles
from paragon_stream.checkpoint import list_shipped, load_weights, save_weights
from paragon_stream.checkpoint import shipped as shipped_module
from paragon_stream.errors import CheckpointError, OutputError, UsageError

METADATA = {
    "generation": "p2head",
    "variant": "realtime",
    "scale": "2",
    "upsampler_alpha": "0.3",
    "recipe": "random",
    "data_licences": "none",
    "name": "test",
}


def save(path: Path, variant: str = "realtime", scale: int = 2, **changes: str) -> Path:
    weights = random_weights(random_spec(variant, scale))
    save_weights(path, weights.tensors, {**METADATA, "variant": variant, "scale": str(scale), **changes})
    return path


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    path = save(tmp_path / "w.safetensors")
    loaded = load_weights(path, variant="realtime", scale=2)
    assert loaded.spec == random_spec()
    assert loaded.metadata == METADATA
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (loaded.name, loaded.path) == ("w", path)
    for name, value in random_weights(random_spec()).tensors.items():
        np.testing.assert_array_equal(loaded.tensors[name], value)
    assert [each.name for each in tmp_path.iterdir()] == ["w.safetensors"]


def test_saving_is_strict_and_atomic(tmp_path: Path) -> None:
    tensors = random_weights(random_spec()).tensors
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(UsageError, match="lacks recipe"):
        save_weights(path, tensors, {k: v for k, v in METADATA.items() if k != "recipe"})
    with pytest.raises(CheckpointError, match=r"conv_in\.bias is missing"):
        save_weights(path, {k: v for k, v in tensors.items() if k != "conv_in.bias"}, METADATA)
    assert path.read_bytes() == b"old"
    with pytest.raises(OutputError, match="cannot be written"):
        save_weights(tmp_path / "absent" / "w.safetensors", tensors, METADATA)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.safetensors", None, "no such file"),
        ("text.pth", b"text", "neither"),
        ("empty.safetensors", b"", "neither"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=says) as caught:
        load_weights(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_directory_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        load_weights(tmp_path)


def test_wrong_variant_or_scale(tmp_path: Path) -> None:
    path = save(tmp_path / "w.safetensors", "stream", 4)
    assert load_weights(path).spec.scale == 4
    with pytest.raises(UsageError, match="holds stream ×4, but realtime ×2 was requested"):
        load_weights(str(path), variant="realtime", scale=2)
    with pytest.raises(UsageError, match="but fast was requested"):
        load_weights(path, variant="fast")


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "engines"
    folder.mkdir()
    for variant, scale, name in (
        ("realtime", 2, "fidelity"),
        ("realtime", 2, "video"),
        ("realtime", 4, "fidelity"),
        ("stream", 2, "perceptual"),
    ):
        save(folder / f"{variant}_x{scale}_{name}.safetensors", variant, scale)
    (folder / "notes.safetensors").write_bytes(b"")
    monkeypatch.setattr(shipped_module, "weights_folder", lambda: folder)
    return folder


def test_shipped_sets(engines: Path) -> None:
    found = [(s.variant, s.scale, s.name, s.is_default) for s in list_shipped()]
    assert found == [
        ("realtime", 2, "fidelity", False),
        ("realtime", 2, "video", True),
        ("realtime", 4, "fidelity", True),
        ("stream", 2, "perceptual", False),
    ]
    assert load_weights().name == "video"
    assert load_weights("fidelity", variant="realtime", scale=2).name == "fidelity"
    assert load_weights(variant="realtime", scale=4).name == "fidelity"


@pytest.mark.parametrize(
    ("factor", "choice", "expected"),
    [
        ("3/2", {}, ("video", 2)),
        ("3", {}, ("video", 2)),  # better than the network of the next scale: benchmarks/enlargement.py
        ("3", {"rgb": True}, ("fidelity", 4)),
        ("3", {"weights": "fidelity"}, ("fidelity", 4)),
        ("9", {"weights": "fidelity"}, ("fidelity", 4)),
        ("3", {"scale": 4}, ("fidelity", 4)),
    ],
)
def test_a_target_size_chooses_the_set_then_its_scale(
    engines: Path, factor: str, choice: dict, expected: tuple[str, int]
) -> None:
    weights = load_weights(factor=Fraction(factor), **choice)
    assert (weights.name, weights.spec.scale) == expected


def test_nothing_shipped(engines: Path) -> None:
    for arguments in ({"variant": "stream", "scale": 2}, {"variant": "realtime", "scale": 3}):
        with pytest.raises(UsageError, match="there are: realtime ×2 fidelity, realtime ×2 video"):
            load_weights(**arguments)
    with pytest.raises(UsageError, match="called 'anime'"):
        load_weights("anime", variant="realtime", scale=2)


def test_every_shipped_file_is_sound() -> None:
    sets = list_shipped()
    assert sets, "a checkout ships weights"
    for each in sets:
        weights = load_weights(each.path, variant=each.variant, scale=each.scale)
        assert weights.spec.alpha == 0
        assert weights.metadata["data_licences"]


def test_installed_layout_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datafiles, "_PACKAGE", tmp_path / "package")
    assert shipped_module.weights_folder() == tmp_path / "engines"
    (tmp_path / "package" / "_data" / "engines").mkdir(parents=True)
    assert shipped_module.weights_folder() == tmp_path / "package" / "_data" / "engines"


@pytest.mark.parametrize("variant", ["realtime", "stream", "photo", "pro"])
def test_untrained_weights_are_of_any_network_and_say_so(
    variant: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = load_weights("untrained", variant=variant, scale=3)
    assert (made.spec.variant, made.spec.scale, made.name) == (variant, 3, "untrained")
    assert made.spec.window == (16 if variant in ("photo", "pro") else 0)
    assert "for measuring speed, not for pictures" in caplog.text


def test_saved_attention_says_its_window(tmp_path: Path) -> None:
    photo = load_weights("untrained", variant="photo")
    facts = METADATA | {"variant": "photo"}
    with pytest.raises(UsageError, match="lacks window_size"):
        save_weights(tmp_path / "photo.safetensors", photo.tensors, facts)
    save_weights(tmp_path / "photo.safetensors", photo.tensors, facts | {"window_size": "8"})
    assert load_weights(tmp_path / "photo.safetensors").spec.window == 8
    assert load_weights(tmp_path / "photo.safetensors", window_size=32).spec.window == 32


def test_options_that_contradict_the_file_are_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path / "w.safetensors")
    assert load_weights(path, alpha=0.3, generation="p2head").spec.alpha == 0.3
    assert not caplog.text
    assert load_weights(path, alpha=0.5).spec.alpha == 0.5
    assert "weights w: alpha 0.5 replaces 0.3 of its metadata" in caplog.text
