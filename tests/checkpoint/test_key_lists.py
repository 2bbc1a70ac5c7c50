"""Every list of upstream's tensors: recognised from names and shapes alone, and what our modules have."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest
from places import SHARED

from paragon_stream.checkpoint.detect import identify
from paragon_stream.checkpoint.facts import Facts
from paragon_stream.checkpoint.published import published_network
from paragon_stream.checkpoint.spec import MAGIC_BLUR, MAGIC_SHARPEN, NetworkSpec

LISTS = SHARED / "reference" / "keys"
_LARGE = re.compile(r"(?:paragonsr|p2r|p2v[0-4]).*_(?:s|m|l|xl)_x2|.*ultimate.*")
ALL = sorted(path.stem for path in LISTS.glob("*_x2.tsv") if not path.stem.startswith("params"))
NAMES = [pytest.param(name, marks=pytest.mark.slow) if _LARGE.fullmatch(name) else name for name in ALL]
"""The large ones are made of the same blocks, only more of them."""


def read(name: str) -> dict[str, tuple[tuple[int, ...], str, str]]:
    """Shape, dtype and kind (param, frozen, buffer) by tensor name."""
    rows = [line.split("\t") for line in (LISTS / f"{name}.tsv").read_text().splitlines()[1:]]
    return {key: (ast.literal_eval(shape), dtype, kind) for key, shape, dtype, kind in rows}


def registered(name: str) -> NetworkSpec:
    generation, variant, _ = name.rsplit("_", 2)
    return published_network(generation, variant, 2)


def test_there_are_lists_of_every_kind() -> None:
    if LISTS.is_dir():
        assert len(ALL) == 137


@pytest.mark.parametrize("name", NAMES)
def test_what_upstream_registers_has_upstreams_tensors(name: str) -> None:
    assert registered(name).tensor_shapes() == {key: shape for key, (shape, _, _) in read(name).items()}


@pytest.mark.parametrize("name", NAMES)
def test_modules_have_upstreams_keys_in_upstreams_order(name: str) -> None:
    torch = pytest.importorskip("torch")
    from paragon_stream.models.build import build

    with torch.device("meta"):
        net = build(registered(name))
    parameters = dict(net.named_parameters())

    def kind(key: str) -> str:
        if key not in parameters:
            return "buffer"
        return "param" if parameters[key].requires_grad else "frozen"

    found = {
        key: (tuple(value.shape), str(value.dtype).removeprefix("torch."), kind(key))
        for key, value in net.state_dict().items()
    }
    assert list(found.items()) == list(read(name).items())


@pytest.mark.parametrize("name", NAMES)
def test_networks_are_recognised(name: str) -> None:
    expected = registered(name)
    tensors = {}
    for key, shape in expected.tensor_shapes().items():
        taps = MAGIC_SHARPEN if ".sharp" in key else MAGIC_BLUR
        magic = ".sharp" in key or ".blur." in key or ".resample_conv." in key
        row = (
            np.float32(taps).reshape(
                [n for n in shape if n == len(taps)] and [len(taps) if n == len(taps) else 1 for n in shape]
            )
            if magic
            else np.float32(0)
        )
        tensors[key] = np.broadcast_to(row, shape)  # without the memory of the large ones
    facts = Facts(
        generation=expected.generation,
        scale=2,
        alpha=expected.alpha,
        window_size=expected.window or None,
        attention="local",
    )
    found = identify(tensors, facts)
    assert (found.spec, found.unknown) == (expected, ())
    assert set(identify(tensors, Facts()).unknown) <= {"scale", "alpha", "window_size", "attention"}
