"""traiNNer-redux configuration files: what they tell, what they get wrong, and `--config`."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
import safetensors.numpy
from click.testing import CliRunner

from paragon_stream.checkpoint import list_shipped, load_weights, read_network_config
from paragon_stream.checkpoint.published import published_network
from paragon_stream.cli.config_option import config_option
from paragon_stream.cli.main import run
from paragon_stream.errors import CheckpointError, InputError, UsageError

REDUX = """
name: 2xParagonSR2_Stream_fidelity
scale: 2
datasets:
  train: {type: pairedimagedataset, lq_size: 192}
network_g:
  type: paragonsr2_stream
  upsampler_alpha: 0.25  # a comment
  detail_gain: 0.1
  use_content_aware: true
  gradient_checkpointing: true
train:
  optim_g: {type: AdamW, lr: !!float 2e-4}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "net.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_network_part_is_understood(tmp_path: Path) -> None:
    found = read_network_config(write(tmp_path, REDUX))
    assert (found.variant, found.scale, found.alpha) == ("stream", 2, 0.25)


def test_what_is_left_out_is_upstreams_default(tmp_path: Path) -> None:
    bare = read_network_config(write(tmp_path, "network_g: {type: ParagonSR2_Realtime}"))
    assert (bare.variant, bare.scale, bare.alpha) == ("realtime", None, None)  # 0.3; 0.35 in v6 to v8
    stream = read_network_config(write(tmp_path, "network_g: {type: paragonsr2_stream}"))
    assert stream.alpha == 0.0
    text = "network_g: {type: paragonsr2_stream, scale: 4}"
    assert read_network_config(write(tmp_path, text)).scale == 4


def test_windows_are_for_networks_with_attention(tmp_path: Path) -> None:
    photo = write(tmp_path, "network_g: {type: paragonsr2_photo, window_size: 8, attention_mode: flex}")
    assert read_network_config(photo).facts == {"variant": "photo", "alpha": 0.4, "window_size": 8}
    usual = read_network_config(write(tmp_path, "network_g: {type: paragonsr2_pro}"))
    assert (usual.variant, usual.window_size) == ("pro", None)  # 16; 8 or 32 in older generations
    stream = write(tmp_path, "network_g: {type: paragonsr2_stream, window_size: 8}")
    assert read_network_config(stream).window_size is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("network_g:", "network_d:", "no section network_g"),
        ("paragonsr2_stream", "paragonsr2_giant", "the type 'paragonsr2_giant'"),
        ("type: paragonsr2_stream", "type: paragonsr2_pro\n  window_size: 8.5", "not a whole number"),
        ("paragonsr2_stream", "esrgan", "'esrgan'; known: paragonsr2_realtime, paragonsr2_stream"),
        ("upsampler_alpha", "upsample_alpha", "unknown option upsample_alpha"),
        ("0.25", "sharp", "upsampler_alpha is 'sharp'"),
        ("scale: 2", "scale: two", "its scale is 'two'"),
        ("detail_gain: 0.1", "scale: 4", "its scale is 2 and 4"),
        ("scale: 2", "scale: [", "not valid YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_network_config(write(tmp_path, REDUX.replace(old, new, 1)))


def test_an_absent_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.yml"):
        read_network_config(tmp_path / "absent.yml")
    with pytest.raises(UsageError, match="no section"):
        read_network_config(write(tmp_path, "- a list"))


@click.command()
@click.option("--variant")
@click.option("--scale", type=int)
@click.option("--alpha", type=float)
@config_option
def show(**options: object) -> None:
    click.echo(f"{options}")


def test_the_options_facts_are_defaults_that_other_options_overrule(tmp_path: Path) -> None:
    path = str(write(tmp_path, REDUX))
    told = CliRunner().invoke(show, ["--config", path]).output
    assert told.strip() == "{'variant': 'stream', 'scale': 2, 'alpha': 0.25}"
    told = CliRunner().invoke(show, ["--alpha", "0", "--config", path]).output
    assert "'alpha': 0.0" in told


def test_a_checkpoint_without_alpha_runs_with_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("PIL.Image")
    tensors = load_weights(list_shipped()[0].path).tensors
    bare = tmp_path / "bare.safetensors"
    safetensors.numpy.save_file(dict(tensors), bare)
    picture = tmp_path / "in.png"
    image.new("RGB", (48, 48), (90, 120, 30)).save(picture)
    arguments = [str(picture), str(tmp_path / "out.png"), "--weights", str(bare)]
    assert run(arguments) == 1
    assert "alpha" in capsys.readouterr().err
    config = write(tmp_path, "network_g: {type: paragonsr2_realtime, upsampler_alpha: 0}")
    assert run([*arguments, "--config", str(config)]) == 0
    with image.open(tmp_path / "out.png") as out:
        assert out.size == (96, 96)
    config = write(tmp_path, REDUX)
    assert run([*arguments, "--overwrite", "--config", str(config)]) == 2
    assert "stream" in capsys.readouterr().err
    assert run(["eval", "--data", str(picture), "--weights", str(bare), "--config", str(config)]) == 2


@pytest.mark.parametrize(
    ("kind", "generation", "variant"),
    [
        ("paragonsr2_s", "p2r3", "s"),
        ("paragonsr2_tiny", "p2r3", "tiny"),
        ("ParagonSR2_micro", "p2v5", "micro"),
        ("paragonsr2_static_nano", "p2v4", "nano"),
        ("paragonsr_nano", "paragonsr-mk", "nano"),
    ],
)
def test_checkpoints_of_older_families_take_their_configuration(
    tmp_path: Path, kind: str, generation: str, variant: str
) -> None:
    from trained_looking import trained_looking

    weights = trained_looking(published_network(generation, variant, 3))
    bare = tmp_path / "bare.safetensors"
    safetensors.numpy.save_file(dict(weights.tensors), bare)
    options = "hr_blocks: 2, use_content_aware: true, use_attention: true, fast_body_mode: true"
    text = f"scale: 3\nnetwork_g: {{type: {kind}, upsampler_alpha: 0.25, use_checkpointing: true, {options}}}"
    facts = read_network_config(write(tmp_path, text)).facts
    assert facts == {"variant": variant, "scale": 3, "alpha": 0.25}
    assert load_weights(bare, **facts).spec.alpha == 0.25
    written = tmp_path / "whole.safetensors"
    assert run(["convert", str(bare), str(written), "--config", str(tmp_path / "net.yml")]) == 0
    assert load_weights(written).spec == load_weights(bare, **facts).spec


def test_convert_refuses_the_configuration_of_another_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its alpha would be in the file for good."""
    from trained_looking import trained_looking

    bare, whole = tmp_path / "bare.safetensors", tmp_path / "whole.safetensors"
    weights = trained_looking(published_network("p2head", "realtime", 2))
    safetensors.numpy.save_file(dict(weights.tensors), bare)
    config = write(tmp_path, "scale: 2\nnetwork_g: {type: paragonsr2_photo, upsampler_alpha: 0.4}")
    assert run(["convert", str(bare), str(whole), "--config", str(config)]) == 2
    assert "photo" in capsys.readouterr().err
    assert not whole.exists()


def test_a_default_alpha_that_depends_on_the_generation_is_asked_for(tmp_path: Path) -> None:
    """A head named xl takes 0.5, a static network 0.6, the first two have none."""
    from trained_looking import trained_looking

    facts = read_network_config(write(tmp_path, "scale: 2\nnetwork_g: {type: paragonsr2_nano}")).facts
    assert "alpha" not in facts
    bare = tmp_path / "bare.safetensors"
    safetensors.numpy.save_file(dict(trained_looking(published_network("p2r3", "nano", 2)).tensors), bare)
    with pytest.raises(CheckpointError, match=r"give --alpha .*; 0\.5 if the training configuration"):
        load_weights(bare, **facts)


def test_norms_that_no_checkpoint_shows_go_through_convert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trained_looking import trained_looking

    bare, whole = tmp_path / "bare.safetensors", tmp_path / "whole.safetensors"
    weights = trained_looking(published_network("p2v4", "nano", 2, use_norm=False))
    safetensors.numpy.save_file(dict(weights.tensors), bare)
    text = "scale: 2\nnetwork_g: {type: paragonsr2_static_nano, use_norm: false}"
    config = str(write(tmp_path, text))
    assert run(["export", "onnx", "--weights", str(bare), "--config", config, str(tmp_path / "n.onnx")]) == 2
    assert "paragon-stream convert IN OUT.safetensors --config" in capsys.readouterr().err
    assert run(["convert", str(bare), str(whole), "--config", config]) == 0
    assert load_weights(whole).spec == weights.spec


def test_windows_are_not_taken_for_networks_that_do_not_attend(tmp_path: Path) -> None:
    for option in ("attention_mode: none", "attention_mode: null", "export_safe: true"):
        text = f"network_g: {{type: paragonsr2_photo, window_size: 8, {option}}}"
        assert read_network_config(write(tmp_path, text)).window_size is None
