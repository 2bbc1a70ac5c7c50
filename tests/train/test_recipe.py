"""Recipes are strict: a typo is an error that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from paragon_stream.errors import InputError, UsageError
from paragon_stream.train.recipe import read_recipe

GOOD = """
name = "mine"
steps = 100
loss = { l1 = 1, ms_ssim = 0.1 }
[network]
variant = "stream"
scale = 3
[data]
folder = "pictures"
[optimiser]
betas = [0.9, 0.95]
lr = 1
[still]
kernels = ["bicubic", "area"]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_said_counts_and_the_rest_is_default(tmp_path: Path) -> None:
    recipe, text = read_recipe(write(tmp_path, GOOD))
    assert text == GOOD
    assert (recipe.network.variant, recipe.network.scale, recipe.network.conditioned) == ("stream", 3, False)
    assert recipe.optimiser.betas == (0.9, 0.95)
    assert recipe.optimiser.lr == 1.0
    assert recipe.still.kernels == ("bicubic", "area")
    assert recipe.loss == {"l1": 1.0, "ms_ssim": 0.1}
    assert recipe.data.stills == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps = 100", "stepps = 100", "unknown key stepps"),
        ("lr = 1", "learning_rate = 1", r"\[optimiser\] unknown key learning_rate"),
        ("steps = 100", "steps = 1.5", "steps = 1.5 is not of the right type"),
        ("steps = 100", "steps = true", "steps = True is not of the right type"),
        ("steps = 100", "steps = 0", "steps must be at least 1"),
        ("steps = 100", "", "steps is missing"),
        ("l1 = 1", "l3 = 1", "unknown term l3"),
        ('"stream"', '"steam"', "p2head has no steam; it has realtime, stream, photo, pro"),
        ("scale = 3", "scale = 5", "scale = 5; choose from 2, 3, 4"),
        ("[0.9, 0.95]", "[0.9]", "optimiser.betas"),
        ('folder = "pictures"', 'folder = "pictures"\npatch = 33', "patch must be even"),
        ('folder = "pictures"', 'folder = "pictures"\nclip_share = 0.5', "clip_share"),
        ("steps = 100", "steps = ", "not valid TOML"),
        ('folder = "pictures"', 'folder = "pictures"\ncontext = -1', "context must not be negative"),
        ("scale = 3", "scale = 3\noptions = {alpha = 0.5}", r"alpha belongs to the table \[network\]"),
        ("steps = 100", "steps = 100\nadversarial = {r1_every = 0}", "r1_every must be at least 1"),
        ("steps = 100", "steps = 100\nadversarial = {widths = []}", "widths must be numbers from 1 on"),
        ("steps = 100", "steps = 100\nseed = -1", "^recipe .*: seed must not be negative, not -1"),
        (
            "steps = 100",
            "steps = 100\nclip = {crf = [35, 10]}",
            r"crf must be a rising range in 0…51, not \[35",
        ),
        ("steps = 100", "steps = 100\nclip = {weights = [1]}", r"\[clip\] has 5 encoders, but 1 weights"),
        ("steps = 100", "steps = 100\nclip = {keep = 0}", r"\[clip\] keep must be at least 1"),
        ("steps = 100", "steps = 100\nclip = {clean = nan}", "clean must be in 0…1, not nan"),
        (
            "[still]",
            "[still]\njpeg = [95, 60]",
            r"\[still\] jpeg must be a rising range in 1…100, not \[95, 60",
        ),
        ("[still]", "[still]\nblur = [0, 1]", "blur must be a rising range above 0"),
        ("l1 = 1, ms_ssim = 0.1", "", "needs a term with a weight above 0"),
        ("l1 = 1, ms_ssim = 0.1", "l1 = 0", "needs a term with a weight above 0"),
        ("lr = 1", "lr = 0", r"\[optimiser\] lr must be above 0, not 0"),
        ("lr = 1", "clip = 0.0", r"\[optimiser\] clip must be above 0"),
        ("lr = 1", "ema = 1.5", "ema must be from 0 to below 1, not 1.5"),
        ("lr = 1", "warmup = -5", r"\[optimiser\] warmup must not be negative, not -5"),
        ('folder = "pictures"', "window = 0", r"\[data\] window must be at least 1, not 0"),
        ('folder = "pictures"', "stills = -3\nclips = 1", "stills must not be negative"),
        (
            'folder = "pictures"',
            "clips = 1\nclip_share = 1\nwindow = 96",
            "no room for a patch: it needs 108",
        ),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(UsageError, match=said):
        read_recipe(write(tmp_path, GOOD.replace(old, new)))


def test_a_configuration_tells_the_network(tmp_path: Path) -> None:
    (tmp_path / "net.yml").write_text(
        "scale: 3\nnetwork_g: {type: paragonsr2_realtime, upsampler_alpha: 0.2}\n", encoding="utf-8"
    )
    written = GOOD.replace('variant = "stream"\nscale = 3', 'config = "net.yml"\nconditioned = true')
    recipe, text = read_recipe(write(tmp_path, written))
    network = recipe.network
    assert (network.variant, network.scale, network.alpha) == ("realtime", 3, 0.2)
    assert network.conditioned
    facts = "generation = 'p2head', variant = 'realtime', scale = 3, alpha = 0.2"
    assert text == f"{written}\n# net.yml: {facts}\n"
    with pytest.raises(UsageError, match=r"variant = 'stream', but net.yml says 'realtime'"):
        read_recipe(write(tmp_path, GOOD.replace("[network]", '[network]\nconfig = "net.yml"')))
    with pytest.raises(InputError, match=r"gone\.yml"):
        read_recipe(write(tmp_path, written.replace("net.yml", "gone.yml")))


def test_a_configurations_options_are_the_networks(tmp_path: Path) -> None:
    (tmp_path / "net.yml").write_text(
        "network_g: {type: paragonsr2_photo, scale: 4, attention_mode: none}\n", encoding="utf-8"
    )
    written = GOOD.replace('variant = "stream"\nscale = 3', 'config = "net.yml"')
    assert read_recipe(write(tmp_path, written))[0].network.spec.window == 0
    written += "\n[network.options]\nattention_mode = 'sdpa'\n"
    with pytest.raises(
        UsageError, match=r"\[network.options\] attention_mode = 'sdpa', but net.yml says 'none'"
    ):
        read_recipe(write(tmp_path, written))


def test_encoders_without_weights_have_equal_ones(tmp_path: Path) -> None:
    written = GOOD + '[clip]\nencoders = ["libx264", "libx265"]\n'
    assert read_recipe(write(tmp_path, written))[0].clip.weights == (1, 1)
    assert read_recipe(write(tmp_path, GOOD))[0].clip.weights == (0.6, 0.16, 0.08, 0.08, 0.08)


def test_a_mark_of_the_byte_order_is_no_part_of_a_recipe(tmp_path: Path) -> None:
    """Editors of Windows write it."""
    assert read_recipe(write(tmp_path, "\ufeff" + GOOD))[1] == GOOD


def test_an_unreadable_recipe_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read: no such file or folder$"):
        read_recipe(tmp_path / "absent.toml")


def test_the_recipes_that_ship_are_valid() -> None:
    import paragon_stream.train.recipe as module

    shipped = sorted((Path(module.__file__).parent / "recipes").glob("*.toml"))
    assert shipped
    for path in shipped:
        recipe, _ = read_recipe(path)
        name = f"{recipe.network.variant}_x{recipe.network.scale}_{recipe.name}"
        assert path.stem.removeprefix("hr_").startswith(name)
