"""traiNNer-redux configuration files: what they tell, what they get wrong, and `--config`."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from paragon_stream.checkpoint import list_shipped, load_weights, read_network_config
from paragon_stream.cli.config_option import config_option
from paragon_stream.cli.main import run
from paragon_stream.errors import InputError, UsageError

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
    assert (bare.variant, bare.scale, bare.alpha) == ("realtime", None, 0.3)
    text = "network_g: {type: paragonsr2_stream, scale: 4}"
    assert read_network_config(write(tmp_path, text)).scale == 4


def test_windows_are_for_networks_with_attention(tmp_path: Path) -> None:
    photo = write(tmp_path, "network_g: {type: paragonsr2_photo, window_size: 8, attention_mode: flex}")
    assert read_network_config(photo).facts == {"variant": "photo", "alpha": 0.4, "window_size": 8}
    usual = read_network_config(write(tmp_path, "network_g: {type: paragonsr2_pro}"))
    assert (usual.variant, usual.window_size) == ("pro", 16)
    stream = write(tmp_path, "network_g: {type: paragonsr2_stream, window_size: 8}")
    assert read_network_config(stream).window_size is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("network_g:", "network_d:", "no section network_g"),
        ("paragonsr2_stream", "paragonsr2_ultimate", "not supported yet"),
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
    import safetensors.numpy

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
