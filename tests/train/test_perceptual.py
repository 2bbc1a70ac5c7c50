"""Trunks from files of several libraries, and the losses that compare their features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from training_material import drawn_picture, write_pictures  # noqa: E402
from trunks import WIDTHS, as_timm, as_torchvision, authors_convnext, vgg  # noqa: E402

from paragon_stream.errors import CheckpointError, UsageError  # noqa: E402
from paragon_stream.train.losses import Loss  # noqa: E402
from paragon_stream.train.recipe import read_recipe  # noqa: E402
from paragon_stream.train.run import train  # noqa: E402
from paragon_stream.train.trunk import DEVIATION, MEAN, load_trunk  # noqa: E402

State = dict[str, Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def saved(path: Path, state: State) -> Path:
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path


def reference_convnext(state: State, x: Tensor) -> list[Tensor]:
    """The published formulas, written down once more."""

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        unit = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
        weight, bias = (state[f"{name}.{part}"].view(1, -1, 1, 1) for part in ("weight", "bias"))
        return unit * weight + bias

    def conv(x: Tensor, name: str, **options: int) -> Tensor:
        weight = state[f"{name}.weight"]
        return functional.conv2d(
            x, weight if weight.dim() == 4 else weight[..., None, None], state[f"{name}.bias"], **options
        )

    maps = []
    for stage, width in enumerate(WIDTHS):
        down = f"downsample_layers.{stage}"
        x = (
            norm(conv(x, f"{down}.0", stride=4), f"{down}.1")
            if not stage
            else conv(norm(x, f"{down}.0"), f"{down}.1", stride=2)
        )
        for block in range(stage + 1):
            name = f"stages.{stage}.{block}"
            made = norm(conv(x, f"{name}.dwconv", padding=3, groups=width), f"{name}.norm")
            made = conv(functional.gelu(conv(made, f"{name}.pwconv1")), f"{name}.pwconv2")
            x = x + state[f"{name}.gamma"].view(1, -1, 1, 1) * made
        maps.append(x)
    return maps


@pytest.mark.parametrize("spelled", [dict, as_torchvision, as_timm])
def test_a_convnext_of_any_library_is_the_published_network(
    tmp_path: Path, spelled: Callable[[State], State]
) -> None:
    state = authors_convnext()
    trunk = load_trunk(saved(tmp_path / "c.safetensors", spelled(state)))
    assert not any(parameter.requires_grad for parameter in trunk.parameters())
    picture = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    normal = (picture - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(DEVIATION).view(1, 3, 1, 1)
    for made, wanted in zip(trunk(picture), reference_convnext(state, normal), strict=True):
        torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-5)


def test_a_vgg_pools_where_its_numbers_leave_room(tmp_path: Path) -> None:
    state = vgg()
    path = tmp_path / "vgg.pth"
    torch.save(state, path)
    net = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU()),
    )
    net.load_state_dict({k.removeprefix("features."): v for k, v in state.items() if "features" in k})
    picture = torch.rand(1, 3, 16, 16)
    normal = (picture - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(DEVIATION).view(1, 3, 1, 1)
    fine, coarse = load_trunk(path)(picture)
    torch.testing.assert_close(fine, net[:4](normal))
    torch.testing.assert_close(coarse, net(normal))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("stages.1.0.pwconv2.bias"), "stages.1.0.pwconv2.bias is missing"),
        (lambda s: s.update({"stages.0.0.gamma": torch.ones(7)}), "gamma has 7 values, not 6"),
        (lambda s: s.update({"stages.0.0.grn.weight": torch.ones(6)}), "grn.weight belongs to no ConvNeXt"),
        (lambda s: s.clear() or s.update(x=torch.ones(1)), "neither a ConvNeXt nor a VGG"),
        (lambda s: s.update({"stages.0.0.norm.weight": torch.ones(9)}), "has the shape 9, not 6"),
    ],
)
def test_other_networks_are_refused_by_name(
    tmp_path: Path, change: Callable[[State], object], said: str
) -> None:
    state = authors_convnext()
    change(state)
    with pytest.raises(CheckpointError, match=said):
        load_trunk(saved(tmp_path / "c.safetensors", state))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        # AlexNet's numbers are those of a VGG network; DenseNet's layers have names.
        (
            {"features.0.weight": torch.ones(4, 3, 11, 11), "features.0.bias": torch.ones(4)},
            r"\(11, 11\) taps",
        ),
        ({"features.conv0.weight": torch.ones(4, 3, 7, 7)}, "features.conv0.weight belongs to neither"),
    ],
)
def test_networks_with_similar_names_are_refused(tmp_path: Path, state: State, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        load_trunk(saved(tmp_path / "c.safetensors", state))


@pytest.mark.parametrize("term", ["features", "dists"])
@pytest.mark.parametrize("make", [authors_convnext, vgg])
def test_perceptual_losses_are_least_at_the_truth_and_point_towards_it(
    tmp_path: Path, term: str, make: Callable[[], State]
) -> None:
    trunk = load_trunk(saved(tmp_path / "trunk.safetensors", make()))
    truth = torch.from_numpy(drawn_picture(7, 64)).permute(2, 0, 1)[None].float() / 255
    noise = 0.05 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(3))
    wrong = (truth + noise).requires_grad_()
    loss = Loss({term: 1.0}, trunk=trunk)
    far = loss(wrong, truth)
    assert abs(float(loss(truth, truth))) < 1e-5 < float(far.detach())
    (gradient,) = torch.autograd.grad(far, wrong)
    step = 1e-3 * gradient / gradient.abs().max()
    assert float(loss((wrong - step).detach(), truth)) < float(far.detach())


def test_dists_forgives_texture_that_moves() -> None:
    """Shifted noise has the same means and variances: texture stays, structure goes."""
    from paragon_stream.train.perceptual import dists

    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    moved, gray = picture.roll(5, 3), picture.mean((2, 3), keepdim=True).expand_as(picture)
    assert float(dists([moved], [picture])) == pytest.approx(0.5, abs=0.05)
    assert float(dists([gray], [picture])) > 0.45
    assert float(dists([0.5 * picture], [picture])) < 0.2


def test_a_recipe_with_a_perceptual_loss_trains_and_names_what_is_missing(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 5)
    saved(tmp_path / "trunk.safetensors", authors_convnext())
    recipe = tmp_path / "r.toml"
    text = """name = "r"
steps = 4
evaluate_every = 4
loss = { l1 = 1.0, focal_frequency = 0.05, tv = 0.001, features = 0.1, dists = 0.1, colour = 0.1 }
trunk = "trunk.safetensors"
[network]
variant = "realtime"
[data]
folder = "pictures"
patch = 24
batch = 2
context = 2
[adversarial]
weight = 0.01
start = 2
ramp = 2
features = 4
widths = [1, 2]
"""
    recipe.write_text(text)
    assert train(recipe, output=tmp_path / "out").exists()
    for old, new, said in (
        ('trunk = "trunk.safetensors"\n', "", "trunk = FILE names"),
        ("features = 0.1, dists = 0.1, ", "", "trunk is for the losses"),
    ):
        recipe.write_text(text.replace(old, new))
        with pytest.raises(UsageError, match=said):
            read_recipe(recipe)
