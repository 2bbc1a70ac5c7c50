"""Two processes train what one trains: gloo on the CPU."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from training_material import write_pictures  # noqa: E402

from paragon_stream.errors import UsageError  # noqa: E402
from paragon_stream.train.run import train, training_devices  # noqa: E402

RECIPE = """name = "r"
steps = 6
evaluate_every = 3
[network]
generation = "p2r3"
variant = "nano"
[data]
folder = "pictures"
patch = 16
batch = 4
context = 2
[optimiser]
name = "adamw"
lr = 1e-3
warmup = 2
[adversarial]
weight = 0.01
start = 2
ramp = 2
features = 4
widths = [1, 2]
"""


def state(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / "state.pt", weights_only=True)
    return found


class Killed(Exception):
    pass


def kill(progress: Any) -> None:
    if progress.step == 3:
        raise Killed


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_train_what_one_does_and_go_on_from_its_state(tmp_path: Path) -> None:
    """A network with tracked kernels and a discriminator: all that is averaged over a batch."""
    write_pictures(tmp_path / "pictures", 5, 96)
    recipe = tmp_path / "r.toml"
    recipe.write_text(RECIPE)
    common: dict[str, Any] = {"threads": 2, "cache": tmp_path / "cache"}
    alone, together = tmp_path / "alone", tmp_path / "together"
    train(recipe, output=alone, **common)
    with pytest.raises(Killed):
        train(recipe, output=together, report=kill, **common)  # one process, killed after half of it
    train(recipe, output=together, processes=2, **common)
    a, b = state(alone), state(together)
    assert a["step"] == b["step"] == 6
    for part in ("network", "average"):
        for key, value in a[part].items():
            torch.testing.assert_close(value, b[part][key], rtol=1e-3, atol=2e-5, msg=key)
    for key, value in a["adversary"]["network"].items():
        torch.testing.assert_close(value, b["adversary"]["network"][key], rtol=1e-2, atol=1e-4, msg=key)
    assert sorted(p.name for p in together.iterdir()) == sorted(p.name for p in alone.iterdir())
    rows = [
        list(csv.DictReader((folder / "log.csv").read_text().splitlines())) for folder in (alone, together)
    ]
    assert [row["step"] for row in rows[1]] == ["3", "6"]  # written by one process alone
    for name in ("loss", "discriminator", "balance"):
        assert float(rows[0][1][name]) == pytest.approx(float(rows[1][1][name]), rel=1e-2)


def test_batches_that_cannot_be_shared_are_named(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(RECIPE)
    with pytest.raises(UsageError, match="a batch of 4 cannot be shared by 3 processes"):
        train(recipe, output=tmp_path / "out", processes=3)


def test_devices_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert training_devices("cuda:1,cuda:3") == ["cuda:1", "cuda:3"]
    assert training_devices("cpu", 2) == ["cpu", "cpu"]
    with pytest.raises(UsageError, match="--processes is for the CPU"):
        training_devices("cuda:0", 2)
    with pytest.raises(UsageError, match="neither cpu nor cuda"):
        training_devices("tpu")
