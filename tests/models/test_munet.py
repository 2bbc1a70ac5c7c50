"""The discriminator against upstream's answers."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors import safe_open  # noqa: E402

from paragon_stream.models.munet import MUNet  # noqa: E402


def test_upstreams_logits_are_reproduced(shared: Path) -> None:
    path = shared / "reference" / "golden" / "munetB_nf8_122_x1.safetensors"
    with safe_open(str(path), "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    net = MUNet(8, (1, 2, 2))
    net.load_state_dict({k.removeprefix("sd."): v for k, v in tensors.items() if k.startswith("sd.")})
    net.eval()
    with torch.no_grad():
        out = net(tensors["in"])
    limit = 2e-5 * float(tensors["out"].abs().max())
    torch.testing.assert_close(out, tensors["out"], atol=limit, rtol=1e-4)


def test_the_fixed_taps_never_learn() -> None:
    net = MUNet(4, (1, 2))
    net(torch.rand(2, 3, 16, 16)).sum().backward()
    still = {name for name, p in net.named_parameters() if p.grad is None}
    assert still == {name for name, _ in net.named_parameters() if "magic_upsample" in name}
    assert still
