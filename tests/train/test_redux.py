"""Every network by recipe, and traiNNer-redux's configurations as recipes: mapped, announced or refused."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")

from trained_looking import trained_looking  # noqa: E402
from training_material import write_pictures  # noqa: E402

import paragon_stream.models as models  # noqa: E402
from paragon_stream.checkpoint import Weights, load_weights, metadata_of  # noqa: E402
from paragon_stream.checkpoint.published import published_network  # noqa: E402
from paragon_stream.errors import UsageError  # noqa: E402
from paragon_stream.train.plain import plain_network  # noqa: E402
from paragon_stream.train.recipe import read_recipe  # noqa: E402
from paragon_stream.train.run import train  # noqa: E402

DOCUMENTED: dict[str, Any] = {
    "name": "photo",
    "scale": 4,
    "use_amp": False,
    "use_channels_last": True,
    "manual_seed": 7,
    "network_g": {"type": "paragonsr2_photo", "scale": 4, "upsampler_alpha": 0.5, "use_checkpointing": True},
    "network_d": {"type": "munet", "num_in_ch": 3, "num_feat": 64},
    "datasets": {
        "train": {"type": "singleimagedataset", "dataroot_gt": ["pictures"], "lq_size": 32, "use_hflip": True}
    },
    "train": {
        "total_iter": 100000,
        "warmup_iter": -1,
        "ema_decay": 0.999,
        "optim_g": {"type": "AdamW", "lr": "1e-4", "weight_decay": 0, "betas": ["9e-1", 0.99]},
        "scheduler": {"type": "MultiStepLR", "milestones": [50000, 75000, 90000, 95000], "gamma": 0.5},
        "pixel_opt": {"type": "L1Loss", "loss_weight": 1.0},
        "ff_opt": {"type": "FFLoss", "loss_weight": 0.1},
        "gan_opt": {
            "type": "r3ganloss",
            "gan_weight": 0.03,
            "gan_weight_init": 0.0,
            "gan_weight_steps": [[10000, "3e-2"]],
        },
        "optim_d": {"type": "AdamW", "lr": "3e-5", "weight_decay": 0},
    },
    "val": {"val_enabled": True, "val_freq": 5000, "save_img": False},
}


def written(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_documented_configuration_is_a_recipe(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        recipe, text = read_recipe(written(tmp_path, DOCUMENTED))
    network = recipe.network
    assert (network.generation, network.variant, network.scale, network.alpha) == ("p2head", "photo", 4, 0.5)
    assert network.options == {"use_checkpointing": True}
    assert (recipe.steps, recipe.seed, recipe.evaluate_every) == (100000, 7, 5000)
    assert (recipe.data.folder, recipe.data.patch) == ("pictures", 32)
    optimiser = recipe.optimiser
    assert (optimiser.name, optimiser.lr, optimiser.schedule) == ("adamw", 1e-4, "multistep")
    assert recipe.loss == {"l1": 1.0, "focal_frequency": 0.1}
    game = recipe.adversarial
    assert (game.weight, game.start, game.lr, game.features) == (0.03, 10000, 3e-5, 64)
    assert game.widths == (1, 2, 4, 8)
    assert "use_channels_last" in caplog.text and "val.save_img" in caplog.text
    assert "paragonsr2_photo" in text


def test_the_documented_static_family_begins_with_its_gain(tmp_path: Path) -> None:
    options = {"fast_body_mode": True, "use_content_aware": True, "use_attention": True}
    network = {"type": "paragonsr2_nano", "scale": 2, "upsampler_alpha": 0.5, **options}
    largest = []
    for gain in (0.1, 0.3):
        content = copy.deepcopy(DOCUMENTED)
        del content["network_d"], content["train"]["gan_opt"], content["train"]["optim_d"]
        content |= {"scale": 2, "network_g": {**network, "detail_gain": gain}}
        found = read_recipe(written(tmp_path, content))[0].network
        assert (found.generation, found.variant, found.alpha) == ("p2v5", "nano", 0.5)
        torch.manual_seed(0)
        net = plain_network(found.generation, found.variant, found.scale, found.alpha, found.options)
        largest.append(float(net.inner.conv_out.weight.detach().abs().max()))
    assert largest[1] == pytest.approx(3 * largest[0])


def test_perceptual_losses_name_the_trunk(tmp_path: Path) -> None:
    losses = {
        "perceptual_opt": {"type": "ConvNextPerceptualLoss", "loss_weight": 0.1, "trunk": "c.safetensors"},
        "dists_opt": {"type": "DISTSLoss", "loss_weight": 0.2, "trunk": "c.safetensors"},
    }
    content = DOCUMENTED | {"train": DOCUMENTED["train"] | losses}
    recipe, _ = read_recipe(written(tmp_path, content))
    assert recipe.trunk == "c.safetensors"
    assert recipe.loss == {"l1": 1.0, "focal_frequency": 0.1, "features": 0.1, "dists": 0.2}
    losses["dists_opt"]["trunk"] = "other.pth"
    with pytest.raises(UsageError, match="two trunks"):
        read_recipe(written(tmp_path, content))


def test_losses_of_one_term_add_up_and_no_r1_is_none(tmp_path: Path) -> None:
    own = {
        "losses": [{"type": "L1Loss", "loss_weight": 0.5}],
        "color_opt": {"type": "ColorLoss", "loss_weight": 1.0},
        "consistency_opt": {"type": "ConsistencyLoss", "loss_weight": 0.25},
        "gan_opt": DOCUMENTED["train"]["gan_opt"] | {"r1_weight": 0},
    }
    recipe, _ = read_recipe(written(tmp_path, DOCUMENTED | {"train": DOCUMENTED["train"] | own}))
    assert recipe.loss == {"l1": 1.5, "focal_frequency": 0.1, "colour": 1.25}
    assert recipe.adversarial.r1 == 0


@pytest.mark.parametrize(
    ("kind", "options", "generation", "variant"),
    [
        ("paragonsr2_stream", {}, "p2head", "stream"),
        ("paragonsr2_s", {"hr_blocks": 2}, "p2r3", "s"),
        ("paragonsr2_s", {"use_content_aware": True}, "p2v5", "s"),
        ("paragonsr2_micro", {}, "p2v5", "micro"),
        ("paragonsr2_ultimate", {}, "p2dev", "ultimate"),
        ("paragonsr2_static_nano", {}, "p2v4", "nano"),
        ("paragonsr_nano", {}, "paragonsr-ps", "nano"),
    ],
)
def test_types_name_generations(
    tmp_path: Path, kind: str, options: dict[str, Any], generation: str, variant: str
) -> None:
    content = DOCUMENTED | {"network_g": {"type": kind, **options}}
    recipe, _ = read_recipe(written(tmp_path, content))
    assert (recipe.network.generation, recipe.network.variant) == (generation, variant)


@pytest.mark.parametrize(
    ("kind", "options", "attends"),
    [
        ("paragonsr2_photo", {"attention_mode": "flex"}, True),
        ("paragonsr2_photo", {"attention_mode": "none"}, False),
        ("paragonsr2_photo", {"attention_mode": None}, False),
        ("paragonsr2_pro", {"export_safe": True}, False),
        ("paragonsr2_pro", {"export_safe": False, "window_size": 8}, True),
        ("paragonsr2_micro", {"attention_mode": "none"}, False),
        ("paragonsr2_stream", {"attention_mode": "none"}, False),
        ("paragonsr2_s", {"hr_blocks": 1, "attention_mode": "none"}, False),
    ],
)
def test_networks_without_attention(
    tmp_path: Path, kind: str, options: dict[str, Any], attends: bool
) -> None:
    content = DOCUMENTED | {"network_g": {"type": kind, **options}}
    spec = read_recipe(written(tmp_path, content))[0].network.spec
    assert spec.has_attention is attends
    assert any(".attn" in name or "window_attn" in name for name in spec.tensor_shapes()) is attends
    weights = trained_looking(spec)
    again = Weights.from_tensors(weights.tensors, metadata=metadata_of(weights))
    assert again.spec.has_attention is attends
    if attends:
        assert spec.window == options.get("window_size", 16)


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("network_g", "hr_block", 1, "photo has no option hr_block"),
        ("network_g", "upsampler_alpha", True, "upsampler_alpha is True, which is not a number"),
        ("network_g", "use_attention", 1, "use_attention is 1, which is not true or false"),
        ("train", "pixel_opt", {"type": "L1Loss", "loss_weight": -1}, "weight of the loss l1 must be"),
        ("train", "pixel_opt", {"type": "L1Loss", "loss_weight": float("nan")}, "weight of the loss l1 must"),
        ("datasets", "train", {"lq_size": "large"}, "lq_size = 'large' is not a whole number"),
        ("datasets", "train", {"gt_size": 65}, "train.gt_size = 65 is no multiple of scale 4"),
        ("val", "val_freq", 0.5, "val_freq = 0.5 is not a whole number"),
        ("network_g", "attention_mode", "slow", "sdpa, flex or none, not 'slow'"),
        ("network_g", "window_size", 8.5, "window_size is a whole number above 0, not 8.5"),
        ("network_g", "window_size", 20, "patch must be a multiple of photo's windows of 20"),
        ("train", "perceptual_opt", {"type": "ConvNextLoss"}, "add trunk: FILE to it"),
        ("train", "dists_opt", {"type": "dists", "trunk": "vgg.pth", "alpha": 1}, "train loss dists.alpha"),
        ("train", "pixel_opt", {"type": "lpips"}, "the loss lpips"),
        ("train", "scheduler", {"type": "MultiStepLR", "milestones": [1]}, "train.scheduler.milestones"),
        ("train", "optim_g", {"type": "Adan"}, "train.optim_g.type"),
        ("train", "optim_g", {"type": "AdamW", "weight_decay": 0.1}, "train.optim_g.weight_decay"),
        ("datasets", "val", {"name": "Set5"}, "datasets.val"),
        ("datasets", "train", {"dataroot_lq": "x"}, "datasets.train.dataroot_lq"),
        ("train", "losses", 5, "train.losses = 5 is not a list"),
        ("train", "pixel_opt", "L1Loss", "train.pixel_opt is 'L1Loss', not a section"),
        ("train", "optim_g", {"type": "AdamW", "betas": 0.9}, "optim_g.betas = 0.9 is not a list"),
        ("train", "scheduler", {"type": "MultiStepLR", "milestones": 5}, "milestones = 5 is not a list"),
        (
            "train",
            "gan_opt",
            {"type": "R3GANLoss", "gan_weight_steps": 5},
            "gan_weight_steps = 5 is not a list",
        ),
        ("train", "gan_opt", {"type": "R3GANLoss", "gan_weight_steps": [5]}, "use one step, to gan_weight"),
        ("network_g", "scale", 0, "its scale is"),
        ("path", "resume_state", "x.state", "path.resume_state"),
        ("network_d", "type", "unet", "network_d.type"),
        ("train", "scheduler", {"type": "CosineAnnealingLR", "eta_min": "1e-6"}, "eta_min = '1e-6' has no"),
        ("train", "grad_clip", 0.25, "grad_clip = 0.25 is not true or false"),
        ("train", "total_iter", float("inf"), "total_iter = inf is not a whole number"),
        ("train", "losses", [{"type": "R3GANLoss"}], "two adversarial losses"),
        ("datasets", "train", {"lq_size": 40, "gt_size": 96}, "lq_size = 40 contradicts gt_size = 96"),
        ("high_order", "x", 1, "high_order"),
    ],
)
def test_what_has_no_counterpart_is_an_error_that_names_it(
    tmp_path: Path, section: str, key: str, value: Any, said: str
) -> None:
    content = DOCUMENTED | {section: {**DOCUMENTED.get(section, {}), key: value}}
    with pytest.raises(UsageError, match=said):
        read_recipe(written(tmp_path, content))


NETWORKS = [
    ("p2r3", "nano", 2, "hr_blocks = 1"),
    ("p2v5", "nano", 2, "use_attention = false"),
    ("p2v8", "realtime", 4, "detail_gain = 0.2"),
    ("p2head", "realtime", 8, "use_checkpointing = true"),
    ("p2head", "photo", 2, 'attention_mode = "none"'),
]


@pytest.mark.parametrize(("generation", "variant", "scale", "options"), NETWORKS)
def test_networks_of_every_kind_learn_and_load_again(
    tmp_path: Path, generation: str, variant: str, scale: int, options: str
) -> None:
    write_pictures(tmp_path / "pictures", 5)
    patch = 16 if scale < 8 else 12
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        f"""name = "r"
steps = 6
evaluate_every = 6
[network]
generation = "{generation}"
variant = "{variant}"
scale = {scale}
alpha = 0.4
[network.options]
{options}
[data]
folder = "pictures"
patch = {patch}
batch = 2
context = 2
window = 128
[optimiser]
name = "adamw"
lr = 1e-3
warmup = 0
""",
        encoding="utf-8",
    )
    best = train(recipe, output=tmp_path / "run")
    weights = load_weights(best)
    assert (weights.spec.generation, weights.spec.variant, weights.spec.scale) == (generation, variant, scale)
    assert weights.spec.alpha == 0.4
    with torch.no_grad():
        made = models.load(best)(torch.rand(1, 3, 20, 24))
    assert made.shape == (1, 3, 20 * scale, 24 * scale)
    assert np.isfinite(made.numpy()).all()


def test_a_start_that_would_lose_layers_is_refused() -> None:
    """Weights of another form, or fused: their layers would be dropped, or begin as noise, without a word."""
    from paragon_stream.checkpoint import fuse
    from paragon_stream.train.network import TrainableNet
    from paragon_stream.train.start import start_from

    def made(generation: str, variant: str, scale: int = 2, **options: Any) -> Any:
        spec = published_network(generation, variant, scale, alpha=0.4, **options)
        return trained_looking(spec)

    nano = plain_network("p2r3", "nano", 2, 0.4, {})
    nano.start_from(made("p2r3", "nano", 3))
    with pytest.raises(UsageError, match=r"hr_head\.1.* is not one of this network's"):
        nano.start_from(made("p2r3", "nano", hr_blocks=2))
    with pytest.raises(UsageError, match=r"is missing there; .* weights that are not fused"):
        nano.start_from(fuse(made("p2r3", "nano")))
    batch, generator = torch.rand(1, 3, 32, 32), torch.Generator()
    realtime = published_network("p2head", "realtime", 2)
    for other in ({"blocks": 5}, {"blocks": 2}, {"features": 24}):
        with pytest.raises(UsageError, match=r"realtime.* cannot start from"):
            start_from(
                TrainableNet("realtime", 2), trained_looking(replace(realtime, **other)), batch, generator
            )
    plain = TrainableNet("photo", 2, window=0)
    start_from(plain, made("p2head", "photo", attention_mode="none"), batch, generator)
    with pytest.raises(UsageError, match="has attention, whose layers would be lost"):
        start_from(plain, made("p2head", "photo"), batch, generator)
    with pytest.raises(UsageError, match="has no attention: set attention_mode = none"):
        start_from(TrainableNet("photo", 2), made("p2head", "photo", attention_mode="none"), batch, generator)


def test_unknown_networks_are_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    head = 'name = "r"\nsteps = 1\n[data]\nfolder = "x"\n[network]\n'
    for text, said in (
        ('variant = "huge"', "has no huge"),
        ('generation = "p2v5"\nvariant = "nano"\nconditioned = true', "conditioned"),
        ('generation = "p9"\nvariant = "nano"', "no generation p9"),
        ('variant = "stream"\n[network.options]\nhr_blocks = 1', "hr_blocks"),
        (
            'generation = "p2r3"\nvariant = "s"\n[network.options]\nhr_blocks = 2.5',
            "not a whole number",
        ),
        ('variant = "stream"\n[network.options]\nwindow_size = 8', "stream has no attention"),
        ('generation = "p2v8"\nvariant = "photo"\n[network.options]\nuse_attentions = 1', "use_attentions"),
        (
            'generation = "p2v5"\nvariant = "s"\n[network.options]\nuse_attention = true\n'
            'attention_mode = "none"',
            "use_attention = true contradicts",
        ),
        (
            'generation = "p2v11atd"\nvariant = "pro"\n[network.options]\nattention_mode = "none"',
            "has no form without attention: leave attention_mode",
        ),
    ):
        recipe.write_text(head + text, encoding="utf-8")
        with pytest.raises(UsageError, match=said):
            read_recipe(recipe)
