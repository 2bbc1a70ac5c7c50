"""The release line's modules, and the free tail against upstream's layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import paragon_stream.models as models  # noqa: E402
from paragon_stream.checkpoint.spec import published  # noqa: E402
from paragon_stream.errors import CheckpointError  # noqa: E402
from paragon_stream.models.release import ReleaseNet  # noqa: E402
from paragon_stream.models.tail import FreeTail, factorise, support  # noqa: E402


@pytest.mark.parametrize("variant", ["realtime", "stream", "photo", "pro"])
def test_replicated_border_shows_no_edge_on_a_constant_picture(variant: str) -> None:
    torch.manual_seed(1)
    net = ReleaseNet(published(variant, 2), border="replicate")
    with torch.no_grad():
        out = net(torch.full((1, 3, 12, 14), 0.75))
    assert out.shape == (1, 3, 24, 28)
    # One value per output phase: no edge is seen anywhere.
    torch.testing.assert_close(out, out[..., :2, :2].repeat(1, 1, 12, 14), atol=1e-5, rtol=0)


def test_replicated_border_equals_a_crop_of_a_padded_picture() -> None:
    torch.manual_seed(2)
    net = ReleaseNet(published("realtime", 2, alpha=0.3))
    picture = torch.rand(1, 3, 20, 22)
    with torch.no_grad():
        wide = net(torch.nn.functional.pad(picture, [16] * 4, mode="replicate"))[..., 32:-32, 32:-32]
        net.border = "replicate"
        torch.testing.assert_close(net(picture), wide, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("features", [12, 16])
def test_a_free_tail_is_exactly_upstreams_tail(scale: int, features: int) -> None:
    generator = torch.Generator().manual_seed(scale)
    tail = FreeTail(features, scale).double()
    with torch.no_grad():
        tail.weight.copy_(torch.randn(tail.weight.shape, generator=generator))
        tail.bias.copy_(torch.randn(3, generator=generator))
    layers = factorise(tail)
    x = torch.randn(1, features, 9, 7, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        up = torch.nn.functional.conv2d(x, layers["up.0.weight"], layers["up.0.bias"], padding=1)
        up = torch.nn.functional.pixel_shuffle(up, scale)
        full = torch.nn.functional.conv2d(up, layers["conv_out.weight"], layers["conv_out.bias"], padding=1)
        free = tail(x)
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    assert float((full[inner] - free[inner]).abs().max()) < 1e-12
    assert float(free.std()) > 1  # the comparison is of something
    again = FreeTail(features, scale).double()
    again.load_layers(layers)
    torch.testing.assert_close(again.kernel(), tail.kernel(), atol=1e-12, rtol=0)
    torch.testing.assert_close(again.bias, tail.bias, atol=1e-12, rtol=0)


def test_the_support_is_what_upstreams_layers_can_reach() -> None:
    """The gradient of an output pixel, through random upstream layers, is non-zero exactly on `support`."""
    torch.manual_seed(3)
    for scale in (2, 3, 4):
        up, out = torch.nn.Conv2d(12, 12 * scale**2, 3, padding=1), torch.nn.Conv2d(12, 3, 3, padding=1)
        x = torch.zeros(1, 12, 7, 7, requires_grad=True)
        y = out(torch.nn.functional.pixel_shuffle(up(x), scale))
        for phase in range(scale):
            (gradient,) = torch.autograd.grad(y[0, 0, 3 * scale + phase, 3 * scale], x, retain_graph=True)
            rows = torch.nonzero(gradient.abs().sum((0, 1, 3)))[:, 0] - 3
            assert rows.tolist() == list(support(scale, phase))


def test_too_few_features_cannot_be_factorised() -> None:
    with pytest.raises(ValueError, match="12 features"):
        factorise(FreeTail(11, 2))


def test_loading_is_strict() -> None:
    state = dict(ReleaseNet(published("realtime", 2)).state_dict())
    with pytest.raises(CheckpointError, match="alpha"):
        models.load(state)
    missing = {k: v for k, v in state.items() if k != "conv_mid.bias"}
    with pytest.raises(CheckpointError, match=r"conv_mid\.bias"):
        models.load(missing, alpha=0.0)
    with pytest.raises(CheckpointError, match="extra"):
        models.load(state | {"extra.weight": torch.zeros(1)}, alpha=0.0)
    with pytest.raises(CheckpointError, match="stream"):
        models.load(state, alpha=0.0, variant="stream")


def test_conditioned_weights_become_a_plain_module_at_any_strength(tmp_path: Path) -> None:
    torch.manual_seed(4)
    net = ReleaseNet(published("realtime", 2))
    slope = torch.randn(16)
    state = dict(net.state_dict()) | {"strength.conv_in.bias": slope}
    half = models.load(state, alpha=0.0, strength=0.5)
    zero = models.load(state, alpha=0.0)
    torch.testing.assert_close(half.conv_in.bias, net.conv_in.bias + 0.5 * slope)
    torch.testing.assert_close(zero.conv_in.bias, net.conv_in.bias)
    assert half.spec.conditioned
    with pytest.raises(CheckpointError, match="strength"):
        models.load(dict(net.state_dict()), alpha=0.0, strength=0.5)


def test_the_numpy_spec_and_the_module_agree() -> None:
    net = ReleaseNet(published("stream", 3))
    loaded = models.load({k: v.numpy() for k, v in net.state_dict().items()}, alpha=0.0)
    expected = loaded.spec.tensor_shapes()
    assert {k: tuple(v.shape) for k, v in loaded.state_dict().items()} == expected
    assert np.isclose(loaded.detail_gain.item(), 0.1)
