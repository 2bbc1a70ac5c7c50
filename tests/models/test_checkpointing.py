"""`use_checkpointing`: the same training step, with less memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from paragon_stream.checkpoint.published import published_network  # noqa: E402
from paragon_stream.models.build import build  # noqa: E402


def step(spec: Any, checkpointing: bool) -> tuple[dict[str, Any], float]:
    """Result, gradients and state after a training step, and the bytes that it kept for the backward pass."""
    torch.manual_seed(4)
    net = build(spec, use_checkpointing=checkpointing).train()
    own = {each.data_ptr() for each in (*net.parameters(), *net.buffers())}
    kept: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = net(torch.rand(1, 3, 24, 24))
    bytes_kept = sum(kept.values())
    out.square().mean().backward()
    found = {f"gradient {name}": each.grad for name, each in net.named_parameters() if each.grad is not None}
    return {"out": out.detach(), **found, **net.state_dict()}, bytes_kept


@pytest.mark.parametrize(
    ("generation", "variant", "sizes"),
    [
        ("p2head", "realtime", {}),
        ("p2r3", "nano", {"hr_blocks": 3}),
        ("paragonsr-r0", "s", {"features": 16, "hidden": 32, "groups": 1, "blocks": 3}),
        ("p2v8", "photo", {"features": 16, "hidden": 32, "groups": 1, "blocks": 3, "window": 8}),
        ("p2v11atd", "pro", {"features": 16, "groups": 1, "blocks": 4, "tokens": 5}),
    ],
)
def test_the_same_step_keeps_less(generation: str, variant: str, sizes: dict[str, Any]) -> None:
    spec = replace(published_network(generation, variant, 2, alpha=0.3), **sizes)
    (plain, much), (again, little) = step(spec, False), step(spec, True)
    assert plain.keys() == again.keys()
    for name, value in plain.items():
        torch.testing.assert_close(again[name], value, rtol=1e-5, atol=1e-7, msg=name)
    assert little < 0.6 * much
