"""Every generation's module against the answers that it gave when it reproduced upstream's."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from make_answers import ANSWERS, NETWORKS, answer, name_of  # noqa: E402

RECORDED = json.loads(ANSWERS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("network", NETWORKS, ids=name_of)
def test_answers_stay(network: tuple[str, str, int, dict[str, object]]) -> None:
    expected = torch.tensor(RECORDED[name_of(network)])
    assert float(expected.std()) > 1e-3  # the comparison is of something
    limit = 2e-5 * float(expected.abs().max())
    torch.testing.assert_close(torch.tensor(answer(network)), expected, atol=limit, rtol=1e-4)


def test_every_answer_is_asked_for() -> None:
    assert set(RECORDED) == {name_of(network) for network in NETWORKS}
