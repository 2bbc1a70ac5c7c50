"""Training: where it starts, that it learns, and that it goes on after a kill as if nothing had happened."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training_material import drawn_picture, write_pictures  # noqa: E402

import paragon_stream.models as models  # noqa: E402
from paragon_stream.checkpoint import load_weights  # noqa: E402
from paragon_stream.checkpoint.spec import SAFE_PRODUCT  # noqa: E402
from paragon_stream.errors import CheckpointError, InputError, UsageError  # noqa: E402
from paragon_stream.frame import ColorRange, Matrix  # noqa: E402
from paragon_stream.models.blocks import hold_products  # noqa: E402
from paragon_stream.train.adversarial import Adversary  # noqa: E402
from paragon_stream.train.data.batches import Batches, frame_patch, oriented, upright  # noqa: E402
from paragon_stream.train.data.degradations import ClipDegradation  # noqa: E402
from paragon_stream.train.data.images import list_sources, read_picture  # noqa: E402
from paragon_stream.train.data.planes import subsampled, to_rgb  # noqa: E402
from paragon_stream.train.data.resample import shrink, to_codes  # noqa: E402
from paragon_stream.train.data.shards import Shard  # noqa: E402
from paragon_stream.train.depthwise import speed_up  # noqa: E402
from paragon_stream.train.expansion import collapsed, expand  # noqa: E402
from paragon_stream.train.loop import STATE_FILE, DivergedError, Training  # noqa: E402
from paragon_stream.train.losses import TERMS, Loss, planes_error, with_chroma_of  # noqa: E402
from paragon_stream.train.network import TrainableNet  # noqa: E402
from paragon_stream.train.optimisers import learning_rate  # noqa: E402
from paragon_stream.train.recipe import (  # noqa: E402
    AdversarialRecipe,
    DataRecipe,
    NetworkRecipe,
    OptimiserRecipe,
    Recipe,
)
from paragon_stream.train.run import train  # noqa: E402
from paragon_stream.train.soap import SOAP  # noqa: E402
from paragon_stream.train.start import start_from, unit_variance_start  # noqa: E402
from paragon_stream.train.validation import Validation, upscale  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def still(seed: int, size: int = 192, scale: int = 2) -> Shard:
    """A shard of one drawn picture and its bicubic LR."""
    picture = drawn_picture(seed, size)
    low = to_codes(shrink(picture.astype(np.float32), scale))
    return Shard(hr=picture, rgb=low[None], frames=())


RECIPE = Recipe(
    name="test",
    network=NetworkRecipe(variant="realtime"),
    data=DataRecipe(folder="pictures", patch=32, batch=4, context=3),
    steps=12,
    evaluate_every=4,
)


def training(folder: Path, recipe: Recipe = RECIPE, count: int = 3) -> Training:
    folder.mkdir(parents=True, exist_ok=True)
    shards = [still(seed) for seed in range(count)]
    batches = Batches(shards, DataRecipe(patch=32, batch=4), scale=2, seed=recipe.seed)
    return Training(recipe, repr(recipe), batches, Validation([still(99)], 2), folder, "cpu")


# Start


def _note_deviation(
    seen: dict[str, float], name: str, module: object, inputs: object, out: torch.Tensor
) -> None:
    seen[name] = float(out.std())


@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_every_branch_starts_with_deviation_1_and_the_tail_with_a_little(variant: str) -> None:
    batch = Batches([still(1)], DataRecipe(patch=48, batch=8), scale=2)(0).lr
    net = TrainableNet(variant, 2)
    unit_variance_start(net, batch, torch.Generator().manual_seed(1))
    seen: dict[str, float] = {}
    for name, module in net.named_modules():
        if name in ("conv_in", "conv_mid", "tail") or name.endswith((".conv2", ".out")):
            module.register_forward_hook(partial(_note_deviation, seen, name))
    with torch.no_grad():
        net(batch)
    assert seen.pop("tail") == pytest.approx(0.02, rel=0.05)
    assert len(seen) == 2 + len(net.blocks)
    assert seen == {name: pytest.approx(1, rel=0.05) for name in seen}
    assert net.conv_in.weight.mean((2, 3)).abs().max() < 1e-6


def test_a_start_from_a_checkpoint_keeps_its_features_at_every_scale(tmp_path: Path) -> None:
    first = training(tmp_path / "a")
    first.run()
    weights = load_weights(tmp_path / "a" / "best.safetensors")
    batch = Batches([still(1)], DataRecipe(patch=48, batch=2), scale=2)(0).lr
    source = first.averaged()
    for scale in (2, 3):
        net = TrainableNet("realtime", scale, conditioned=True)
        start_from(net, weights, batch, torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = source.conv_mid(source.body(source.head(batch)))
            torch.testing.assert_close(net.conv_mid(net.body(net.head(batch))), expected)
            if scale == 2:
                torch.testing.assert_close(net(batch), source(batch), atol=1e-5, rtol=0)
            else:
                assert net.tail(expected).std() == pytest.approx(0.02, rel=0.05)
    with pytest.raises(UsageError, match="stream network cannot start from best"):
        start_from(TrainableNet("stream", 2), weights, batch, torch.Generator())


def test_a_recipe_names_what_it_starts_from(tmp_path: Path) -> None:
    training(tmp_path / "a").run()
    write_pictures(tmp_path / "pictures", 25)
    recipe = tmp_path / "recipe.toml"
    text = 'name = "x"\nsteps = 2\ninit = "a/best.safetensors"\n[network]\nvariant = "realtime"\nscale = 3\n'
    recipe.write_text(text + '[data]\nfolder = "pictures"\npatch = 16\nbatch = 2\ncontext = 2\n')
    best = train(recipe, output=tmp_path / "b")
    assert load_weights(best).spec.scale == 3
    recipe.write_text(text.replace("a/best", "absent") + '[data]\nfolder = "pictures"\n')
    with pytest.raises(CheckpointError, match="absent"):
        train(recipe, output=tmp_path / "c")


def crop(path: Path) -> Shard:
    picture = read_picture(path)
    return Shard(hr=picture, rgb=to_codes(shrink(picture.astype(np.float32), 2))[None], frames=())


def best_linear_filter(train_set: list[Shard], size: int = 9) -> np.ndarray:
    """The least-squares size² filter and constant per output phase, for any channel: (size² + 1) × 4."""
    reach = size // 2
    normal, right = np.zeros((size**2 + 1,) * 2), np.zeros((size**2 + 1, 4))
    for shard in train_set:
        windows = _windows(shard.rgb[0] / np.float32(255), size)
        h, w = (side - 2 * reach for side in shard.rgb.shape[1:3])
        inner = shard.hr[2 * reach : 2 * (reach + h), 2 * reach : 2 * (reach + w)] / np.float32(255)
        targets = inner.reshape(h, 2, w, 2, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 4)
        normal += windows.T @ windows
        right += windows.T @ targets
    return np.linalg.solve(normal, right)


def filtered(shard: Shard, weights: np.ndarray) -> np.ndarray:
    """A shard's LR picture through such a filter, edges replicated: what `Validation` scores."""
    reach = int(np.sqrt(len(weights) - 1)) // 2
    low = np.pad(shard.rgb[0] / 255, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    h, w = shard.rgb.shape[1:3]
    out = (_windows(low, 2 * reach + 1) @ weights).reshape(h, w, 3, 2, 2).transpose(0, 3, 1, 4, 2)
    return out.reshape(2 * h, 2 * w, 3).astype(np.float32)


def _windows(picture: np.ndarray, size: int) -> np.ndarray:
    """Every size² window of every channel, with a constant: (H'·W'·3) × (size² + 1)."""
    view = np.lib.stride_tricks.sliding_window_view(picture, (size, size), (0, 1))
    flat = view.reshape(-1, size * size)
    return np.concatenate([flat, np.ones((len(flat), 1), flat.dtype)], 1)


def gain_over_linear(shared: Path, variant: str, steps: int, lr: float, folder: Path) -> float:
    """dB on held-out crops beyond the best linear filter, after `steps` steps of 8 × 32²."""
    train_set = [crop(source.path) for source in list_sources(shared / "train", "train")[::8]]
    test_set = [crop(source.path) for source in list_sources(shared / "train", "val")[::4]]
    recipe = replace(
        RECIPE,
        network=NetworkRecipe(variant=variant),
        steps=steps,
        evaluate_every=steps,
        optimiser=OptimiserRecipe(lr=lr),
    )
    batches = Batches(train_set, DataRecipe(patch=32, batch=8), scale=2, seed=0)
    validation = Validation(test_set, 2)
    reached = Training(recipe, "", batches, validation, folder, "cpu").run()
    weights = best_linear_filter(train_set)
    pairs = zip(test_set, validation.samples, strict=True)
    linear = [validation.planes(filtered(shard, weights), sample)[0] for shard, sample in pairs]
    assert np.mean(linear) > validation.bicubic[:, 0].mean() + 0.5  # it is the better yardstick
    return reached - float(np.mean(linear))


def test_the_start_gets_realtime_beyond_the_best_linear_filter(shared: Path, tmp_path: Path) -> None:
    """Well within the 4,000 steps for which frameworks' initialisations stay at it."""
    assert gain_over_linear(shared, "realtime", 900, 8e-3, tmp_path) >= 0.5


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_start_gets_stream_beyond_the_best_linear_filter(shared: Path, tmp_path: Path) -> None:
    assert gain_over_linear(shared, "stream", 900, 5e-3, tmp_path) >= 0.5


# What is saved


@pytest.mark.parametrize("variant", ["realtime", "stream", "photo"])
@pytest.mark.parametrize("scale", [2, 3])
def test_what_is_saved_computes_what_was_trained(variant: str, scale: int, tmp_path: Path) -> None:
    torch.manual_seed(1)
    alpha = 0.3 if scale == 2 else 0.0
    net = TrainableNet(variant, scale, conditioned=True, alpha=alpha)
    low = torch.rand(1, 3, 24, 26)
    unit_variance_start(net, torch.rand(1, 3, 32, 32), torch.Generator().manual_seed(2))
    with torch.no_grad():
        net.slope.copy_(torch.randn(net.slope.shape))
        net.tail.bias.copy_(torch.tensor([0.1, -0.2, 0.3]))
    picture = low[0].permute(1, 2, 0).numpy()
    for strength in (0.0, 0.37):
        saved = models.load(net.release_state(), alpha=alpha, strength=strength, border="replicate")
        assert saved.spec.conditioned
        hold_products(saved.body, SAFE_PRODUCT)  # a file's metadata says so
        with torch.no_grad():
            result = saved(low)[0].permute(1, 2, 0).numpy()
        expected = upscale(net, picture, strength, torch.device("cpu"))
        # Here conv_in finds gray beyond the margin, there black: of that windows of attention carry a trace.
        np.testing.assert_allclose(result, expected, atol=2e-5 if variant != "photo" else 1e-3)


# Parts


@pytest.mark.parametrize("term", list(TERMS))
def test_every_loss_is_least_at_the_truth_and_points_towards_it(term: str) -> None:
    generator = torch.Generator().manual_seed(3)
    truth = torch.from_numpy(drawn_picture(7, 96)).permute(2, 0, 1)[None].float() / 255
    wrong = (truth + 0.1 * torch.randn(truth.shape, generator=generator)).requires_grad_()
    loss = Loss({term: 1.0}, chroma=0.3)
    far = loss(wrong, truth)
    near = loss(truth, truth)
    assert float(near) < float(far.detach())
    (gradient,) = torch.autograd.grad(far, wrong)
    assert torch.isfinite(gradient).all()
    step = 1e-3 * gradient / gradient.abs().max()
    assert float(loss((wrong - step).detach(), truth)) < float(far.detach())


def test_chroma_of_420_counts_as_the_frame_job_writes_it() -> None:
    result, truth = torch.rand(2, 2, 3, 16, 24, generator=torch.Generator().manual_seed(1)).unbind(0)
    error = planes_error(result, truth, torch.tensor([True, False]))
    pairs = [
        subsampled(picture[0].permute(1, 2, 0).numpy(), Matrix.SMPTE170M, ColorRange.FULL)
        for picture in (result, truth)
    ]
    for plane, (a, b) in enumerate(zip(*pairs, strict=True)):
        step = 1 if plane == 0 else 2
        np.testing.assert_allclose(error[0, plane, ::step, ::step], (a - b) / 255, atol=1e-6)
        assert float(error[0, plane].square().mean()) == pytest.approx(
            np.mean((a - b) ** 2) / 255**2, rel=1e-4
        )
    alone = planes_error(result[1:], truth[1:], None)
    torch.testing.assert_close(error[1:], alone)


def test_planes_count_by_their_decibels_whatever_their_size() -> None:
    truth = torch.full((1, 3, 16, 16), 0.5)
    loss = Loss({"psnr_planes": 1.0}, chroma=0.5)
    for small in (0.02, 0.01):  # halving the error of Cb alone, by half a dB of luma for each dB
        blue = torch.tensor([0.0, -0.344136 * small, 1.772 * small]).view(1, 3, 1, 1)
        difference = float(loss(truth + 2 * blue, truth) - loss(truth + blue, truth))
        assert difference == pytest.approx(0.5 * math.log(4), abs=0.15)


def test_a_batch_turned_and_turned_back_is_itself() -> None:
    picture = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(2))
    turns = [oriented(picture, turn) for turn in range(8)]
    assert all(torch.equal(upright(t, turn), picture) for turn, t in enumerate(turns))
    assert len({t.contiguous().numpy().tobytes() for t in turns}) == 8
    assert {
        batch.turn for batch in Batches([still(1)], DataRecipe(patch=32, batch=1), scale=2).stream(0, 60)
    } == set(range(8))


@pytest.mark.parametrize(("decibels", "below"), [(20.0, 0.01), (35.0, 0.3)])
def test_the_psnr_loss_is_psnr_below_its_ceiling(decibels: float, below: float) -> None:
    truth = torch.full((3, 3, 16, 16), 0.5)
    result = truth + 10 ** (-decibels / 20)
    difference = -10 / math.log(10) * float(Loss({"psnr": 1.0})(result, truth))
    assert decibels - below < difference < decibels


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(UsageError, match="l7"):
        Loss({"l7": 1.0})


def test_the_faster_depthwise_gradient_is_the_gradient() -> None:
    torch.manual_seed(4)
    plain = torch.nn.Conv2d(6, 6, 3, padding=3, dilation=3, groups=6)
    fast = torch.nn.Conv2d(6, 6, 3, padding=3, dilation=3, groups=6)
    fast.load_state_dict(plain.state_dict())
    speed_up(torch.nn.Sequential(fast))
    x = torch.randn(2, 6, 11, 13)
    results = []
    for layer in (plain, fast):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        y.backward(torch.sin(torch.arange(y.numel()).view(y.shape)))
        results.append([y.detach(), leaf.grad, layer.weight.grad, layer.bias.grad])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("variant", ["realtime", "stream"])
def test_bf16_gradients_are_those_of_fp32(variant: str) -> None:
    x = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    x = x.contiguous(memory_format=torch.channels_last)
    gradients = []
    for bf16 in (False, True):
        net = TrainableNet(variant, 2)
        unit_variance_start(net, x, torch.Generator().manual_seed(2))
        speed_up(net.to(memory_format=torch.channels_last))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            result = net(x)
        (result.float() - 0.5).square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]))
    assert torch.isfinite(gradients[1]).all()
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


def test_an_expanded_network_is_the_same_network_and_is_saved_as_one(tmp_path: Path) -> None:
    x = Batches([still(1)], DataRecipe(patch=32, batch=2), scale=2)(0).lr
    net = TrainableNet("realtime", 2)
    unit_variance_start(net, x, torch.Generator().manual_seed(1))
    before, names, count = net(x).detach(), set(net.state_dict()), sum(p.numel() for p in net.parameters())
    expand(net, 64, torch.Generator().manual_seed(2))
    assert sum(p.numel() for p in net.parameters()) > 2 * count
    torch.testing.assert_close(net(x).detach(), before, atol=1e-5, rtol=0)
    plain = collapsed(net)
    assert set(plain.state_dict()) == names
    torch.testing.assert_close(plain(x).detach(), before, atol=1e-5, rtol=0)
    network = NetworkRecipe(variant="realtime", expand=64, filters_chroma=True)
    training(tmp_path, replace(RECIPE, network=network)).run()
    spec = load_weights(tmp_path / "best.safetensors").spec
    assert (spec.features, spec.filters_chroma) == (16, True)
    tail = load_weights(tmp_path / "best.safetensors").tensors["conv_out.weight"]
    assert np.array_equal(tail[0], tail[1]) and np.array_equal(tail[0], tail[2])  # gray: it learned luma


def test_untrained_chroma_does_not_change_the_score_of_luma() -> None:
    """A tint without luma takes colours out of R, G and B's range, where clipping changes luma."""
    net = TrainableNet("realtime", 2)
    unit_variance_start(
        net, Batches([still(1)], DataRecipe(patch=32, batch=2), scale=2)(0).lr, torch.Generator()
    )
    shards = [still(7)]
    alone, whole = (Validation(shards, 2, luma_alone=luma_alone) for luma_alone in (True, False))
    before = alone(net)["psnr"], whole(net)["psnr"]
    tint = torch.tensor([0.114, 0.0, -0.299]) * 3
    with torch.no_grad():
        net.tail.bias += tint
    assert alone(net)["psnr"] == pytest.approx(before[0], abs=0.02)
    assert whole(net)["psnr"] < before[1] - 1


def test_chroma_counts_nothing_where_a_filter_makes_it() -> None:
    truth = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    blue = truth + 0.1 * torch.tensor([0.0, -0.344136, 1.772]).view(1, 3, 1, 1)
    torch.testing.assert_close(with_chroma_of(blue, truth), truth, atol=1e-5, rtol=0)
    gray = truth + 0.1
    torch.testing.assert_close(with_chroma_of(gray, truth), gray, atol=1e-5, rtol=0)


def test_a_gray_tail_keeps_luma() -> None:
    torch.manual_seed(3)
    net = TrainableNet("realtime", 2)
    plain, gray = (net.release_state(gray=each) for each in (False, True))
    luma = torch.tensor([0.299, 0.587, 0.114])
    for key in ("conv_out.weight", "conv_out.bias"):
        torch.testing.assert_close(torch.tensordot(luma, gray[key], 1), torch.tensordot(luma, plain[key], 1))
    assert not torch.equal(plain["conv_out.weight"][0], plain["conv_out.weight"][1])


def test_soap_solves_a_badly_conditioned_problem_that_adam_does_not() -> None:
    """A least-squares problem whose axes are rotated: the case that the eigenbasis is for."""
    generator = torch.Generator().manual_seed(5)
    rotation = torch.linalg.qr(torch.randn(16, 16, generator=generator))[0]
    inputs = torch.randn(256, 16, generator=generator) * torch.logspace(0, -3, 16) @ rotation
    truth = torch.randn(8, 16, generator=generator)

    def final(make: type[torch.optim.Optimizer]) -> float:
        weight = torch.nn.Parameter(torch.zeros(8, 16))
        optimiser = make([weight], lr=0.03)
        for step in range(400):
            optimiser.param_groups[0]["lr"] = 0.03 * (1 - step / 400)
            optimiser.zero_grad()
            ((inputs @ (weight - truth).T) ** 2).mean().backward()
            optimiser.step()
        return float(((inputs @ (weight - truth).T) ** 2).mean().detach())

    assert final(SOAP) < 0.2 * final(torch.optim.Adam)


@pytest.mark.parametrize("failures", [1, 2])
def test_soap_finds_a_basis_where_the_solver_gives_up(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure like that with the gradients of p2r3 s, whose layer scales begin at 1e-5."""
    solve, left = torch.linalg.eigh, [failures]

    def stubborn(matrix: torch.Tensor) -> object:
        left[0] -= 1
        if left[0] >= 0:
            raise torch.linalg.LinAlgError("failed to converge")
        return solve(matrix)

    layer = torch.nn.Linear(4, 4, bias=False)
    optimiser = SOAP(layer.parameters(), lr=5e-2)
    monkeypatch.setattr(torch.linalg, "eigh", stubborn)
    losses = []
    for _ in range(30):
        loss = (layer(torch.eye(4)) - torch.eye(4)).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("schedule", ["cosine", "onecycle", "multistep"])
def test_schedules_rise_to_their_peak_and_end_low(schedule: str) -> None:
    recipe = OptimiserRecipe(lr=1.0, schedule=schedule, warmup=10)
    rates = [learning_rate(step, 1000, recipe) for step in range(1000)]
    assert rates[0] < 0.2
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates[-1] < 0.1
    assert all(rate >= 0 for rate in rates)


def test_a_patch_of_a_clip_is_a_piece_of_the_whole_frame() -> None:
    frames = ClipDegradation(keep=8).apply(drawn_picture(8), 2, 128, np.random.default_rng(0))
    for frame in frames:
        whole = to_rgb(frame.planes, frame.matrix, frame.range)
        for y, x in ((0, 0), (10, 20), (32, 32)):
            np.testing.assert_allclose(frame_patch(frame, y, x, 32), whole[y : y + 32, x : x + 32], atol=1e-6)


def test_batches_depend_on_seed_and_step_alone_and_line_up() -> None:
    shards = [still(seed) for seed in range(3)]
    make = [Batches(shards, DataRecipe(patch=32, batch=6), scale=2, seed=seed) for seed in (1, 1, 2)]
    a, b, c = (m(17) for m in make)
    torch.testing.assert_close(a.lr, b.lr, atol=0, rtol=0)
    assert not torch.equal(a.lr, c.lr)
    assert not torch.equal(a.lr, make[0](18).lr)
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(a.hr, 2), a.lr, atol=0.35, rtol=0)
    assert float((torch.nn.functional.avg_pool2d(a.hr, 2) - a.lr).abs().mean()) < 0.02
    streamed = [batch.lr for batch in make[0].stream(16, 19)]
    torch.testing.assert_close(streamed[1], a.lr, atol=0, rtol=0)


def test_a_patch_larger_than_the_pictures_is_an_error() -> None:
    with pytest.raises(InputError, match="the patch is 64"):
        Batches([still(1, size=96)], DataRecipe(patch=64, batch=1), scale=2)


# The loop


@pytest.mark.parametrize("adversarial", [False, True])
def test_a_killed_training_goes_on_to_the_identical_state(tmp_path: Path, adversarial: bool) -> None:
    recipe = RECIPE
    if adversarial:
        gan = AdversarialRecipe(weight=0.01, start=2, ramp=4, features=4, widths=(1, 2))
        recipe = replace(recipe, adversarial=gan)
    whole = training(tmp_path / "whole", recipe)
    whole.run()

    class Killed(Exception):
        pass

    def kill(progress: object) -> None:
        if progress.step == 8:  # type: ignore[attr-defined]
            raise Killed

    first = training(tmp_path / "cut", recipe)
    with pytest.raises(Killed):
        first.run(kill)
    # Steps after the last state are lost with the process, and so is their log.
    with (tmp_path / "cut" / "log.csv").open("a") as file:
        file.write("11,0,0,0,0\n")
    second = training(tmp_path / "cut", recipe)
    second.run()
    a, b = whole.state(), second.state()
    assert a["step"] == b["step"] == 12
    for part in ("network", "average"):
        for key, value in a[part].items():
            torch.testing.assert_close(value, b[part][key], atol=0, rtol=0)
    assert str(a["optimiser"]) == str(b["optimiser"])
    assert str(a["adversary"]) == str(b["adversary"])
    logs = [(tmp_path / n / "log.csv").read_text() for n in ("whole", "cut")]
    assert logs[0] == logs[1]
    if adversarial:
        rows = list(csv.DictReader(logs[0].splitlines()))
        assert 0 <= float(rows[-1]["balance"]) <= 1


def test_the_discriminator_learns_at_a_third_of_the_rate_and_counts_when_its_ramp_begins(
    tmp_path: Path,
) -> None:
    """The documented schedule: the generator alone at first, then a rising weight; one schedule for both."""
    gan = AdversarialRecipe(weight=0.03, start=4, ramp=4, features=4, widths=(1, 2))
    recipe = replace(RECIPE, adversarial=gan, optimiser=replace(RECIPE.optimiser, warmup=3))
    trainer = training(tmp_path, recipe)
    game = trainer.adversary
    assert game is not None
    rates, weights, trained = [], [], []
    for batch in trainer.batches.stream(0, recipe.steps, threads=1):
        weights.append(game.weight(trainer.step))
        trainer.advance(batch)
        rates.append([each.param_groups[0]["lr"] for each in (trainer.optimiser, game.optimiser)])
        trained.append(bool(game.optimiser.state))
    for generator, discriminator in rates:
        assert discriminator == pytest.approx(generator / 3)
    assert rates[0][0] < rates[1][0] < rates[2][0] and rates[-1][0] < 0.1 * recipe.optimiser.lr
    assert weights[:9] == pytest.approx([0, 0, 0, 0, 0, 0.0075, 0.015, 0.0225, 0.03])
    assert trained[:3] == [False, False, True]


def test_the_adversary_tells_soft_pictures_from_sharp_ones() -> None:
    """A training with the default weight of R1."""
    torch.manual_seed(0)
    adversary = Adversary(
        AdversarialRecipe(weight=0.1, start=0, features=8, widths=(1, 2)), torch.device("cpu")
    )
    balance = []
    for step in range(60):
        sharp = torch.rand(4, 3, 24, 24)
        soft = torch.nn.functional.avg_pool2d(sharp, 3, 1, 1)
        balance.append(adversary.discriminator_step(soft, sharp, step)["balance"])
    assert np.mean(balance[-10:]) > 0.8
    with torch.no_grad():
        assert float(adversary.generator_loss(soft, sharp, 0)) == 0
        assert float(adversary.generator_loss(soft, sharp, 2000)) > 0.1


def test_a_state_of_another_recipe_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    training(tmp_path).run()
    with pytest.raises(UsageError, match="another recipe"):
        training(tmp_path, replace(RECIPE, seed=1)).run()
    (tmp_path / STATE_FILE).write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="cannot be read"):
        training(tmp_path).run()


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    run = training(tmp_path)

    def poison(progress: object) -> None:
        with torch.no_grad():
            run.net.conv_mid.weight[0, 0, 0, 0] = float("nan")

    with pytest.raises(DivergedError, match="last good state"):
        run.run(poison)
    state = torch.load(tmp_path / STATE_FILE, weights_only=True)
    assert state["step"] == 4
    assert all(torch.isfinite(v).all() for v in state["network"].values())
    assert load_weights(tmp_path / "best.safetensors").spec.variant == "realtime"


SMOKE = """
name = "smoke"
steps = 250
evaluate_every = 125
loss = { l2 = 20 }
[network]
variant = "realtime"
[data]
folder = "pictures"
patch = 32
batch = 8
context = 3
"""


def test_a_short_training_beats_bicubic_by_a_decibel(tmp_path: Path) -> None:
    """From a recipe file to weights that the frame job's loader takes, on held-out pictures."""
    write_pictures(tmp_path / "pictures", 25)
    recipe = tmp_path / "smoke.toml"
    recipe.write_text(SMOKE, encoding="utf-8")
    reports = []
    best = train(recipe, output=tmp_path / "run", threads=1, report=reports.append)
    assert [r.step for r in reports] == [125, 250]
    assert reports[-1].scores["gain"] >= 1.0
    weights = load_weights(best)
    assert weights.spec.alpha == 0
    assert weights.metadata["recipe"] == SMOKE
    assert weights.metadata["name"] == "smoke"


def test_a_missing_folder_and_device_are_named(tmp_path: Path) -> None:
    recipe = tmp_path / "smoke.toml"
    recipe.write_text(SMOKE, encoding="utf-8")
    with pytest.raises(InputError, match="pictures"):
        train(recipe, output=tmp_path / "run")
    with pytest.raises(UsageError, match="tpu"):
        train(recipe, output=tmp_path / "run", device="tpu")
    with pytest.raises(InputError, match="elsewhere"):
        train(recipe, data=tmp_path / "elsewhere", output=tmp_path / "run")
    recipe.write_text(SMOKE.replace('folder = "pictures"\n', ""), encoding="utf-8")
    with pytest.raises(UsageError, match="--data"):
        train(recipe, output=tmp_path / "run")
