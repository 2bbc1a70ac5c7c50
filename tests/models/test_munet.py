"""The discriminator. Its answers are held by `test_goldens`."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from paragon_stream.checkpoint.lines.discriminator import munet  # noqa: E402
from paragon_stream.models.munet import MUNet  # noqa: E402


def test_the_fixed_taps_never_learn() -> None:
    net = MUNet(munet(4, (1, 2)))
    net(torch.rand(2, 3, 16, 16)).sum().backward()
    still = {name for name, p in net.named_parameters() if p.grad is None}
    assert still == {name for name, _ in net.named_parameters() if "magic_upsample" in name}
    assert still
