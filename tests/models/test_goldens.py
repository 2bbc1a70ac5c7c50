"""Every generation's module against upstream's answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from golden import NAMES, Golden, assert_answers  # noqa: E402

import paragon_stream.models as models  # noqa: E402


@pytest.fixture(params=NAMES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


def load(golden: Golden) -> Any:
    return models.load(golden.state, **golden.facts)


def answers(golden: Golden, *keys: str) -> list[torch.Tensor]:
    if keys[-1] not in golden.answers:
        pytest.skip(f"this golden has no {keys[-1]}")
    return [golden.answers[key] for key in keys]


@torch.no_grad()
def test_outputs(golden: Golden) -> None:
    net = load(golden)
    assert not net.training
    assert net.spec.generation == golden.metadata["generation"]
    assert net.spec.scale == int(golden.metadata["scale"])
    assert {k: v.shape for k, v in net.state_dict().items()} == {k: v.shape for k, v in golden.state.items()}
    assert_answers(net(golden.answers["in"]), golden.answers["out"])
    if "in_big" in golden.answers:
        assert_answers(net(golden.answers["in_big"]), golden.answers["out_big"])


@torch.no_grad()
def test_fused(golden: Golden) -> None:
    picture, expected = answers(golden, "in", "out_fused")
    net = load(golden).fuse_for_release()
    assert_answers(net(picture), expected)
    again = models.load(net.state_dict(), **golden.facts)
    assert again.spec == net.spec
    assert_answers(again(picture), expected)


@torch.no_grad()
def test_generated_kernels(golden: Golden) -> None:
    picture, expected = answers(golden, "in", "out_dynamic")
    net = load(golden)
    net.enable_dynamic_inference(True)
    assert_answers(net(picture), expected)


@torch.no_grad()
def test_without_a_tracked_kernel(golden: Golden) -> None:
    picture, expected = answers(golden, "in", "out_untracked")
    untracked = {
        key: torch.zeros_like(value) if key.endswith(".tracked_initialized") else value
        for key, value in golden.state.items()
    }
    assert_answers(models.load(untracked, **golden.facts)(picture), expected)


@torch.no_grad()
def test_training(golden: Golden) -> None:
    picture, expected = answers(golden, "train_in", "train_out")
    net = load(golden).train()
    for _ in range(8 if golden.metadata["generation"] == "p2v1" else 1):  # v1 tracks every eighth step
        out = net(picture)
    assert_answers(out, expected)
    state = net.state_dict()
    for key, value in golden.answers.items():
        if key.startswith("tracked_after."):
            found = state[key.removeprefix("tracked_after.")]
            torch.testing.assert_close(found.float(), value.float(), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_video_mode(golden: Golden) -> None:
    picture, previous, _ = answers(golden, "in", "prev_feat", "out_video")
    net = load(golden)
    _, feat = net(picture, feature_tap=True)
    assert_answers(feat, golden.answers["feat"])
    out, feat = net(picture, feature_tap=True, prev_feat=previous)
    assert_answers(out, golden.answers["out_video"])
    assert_answers(feat, golden.answers["feat_video"])
    out, _ = net(picture, feature_tap=True, prev_feat=previous, alpha=0.35)
    assert_answers(out, golden.answers["out_video_a35"])
    out, _ = net(picture, feature_tap=True, prev_feat=torch.zeros_like(previous))
    assert_answers(out, golden.answers["out_video_zeros"])


@torch.no_grad()
def test_the_published_nano(shared: Path) -> None:
    from safetensors.torch import load_file

    folder = shared / "reference" / "golden" / "real"
    answers = load_file(folder / "2xParagonSR2_Nano_Pretrain_io.safetensors")
    net = models.load(folder / "2xParagonSR2_Nano_Pretrain.safetensors")
    assert_answers(net(answers["in"]), answers["out"])
    assert_answers(net.fuse_for_release()(answers["in"]), answers["out_fused"])
