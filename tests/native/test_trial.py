"""A form that is not known to be right and fast on this processor is tried."""

from __future__ import annotations

import dataclasses
import logging

import pytest

from paragon_stream.checkpoint import Variant
from paragon_stream.native.library import Kernels, kernels, missing
from paragon_stream.runtimes.native import trial
from paragon_stream.runtimes.native.session import NativeSession

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "the kernels are there")


def named(name: str, **facts: str) -> Kernels:
    """The simplest form of this processor, under another name."""
    simplest = kernels()[0]
    return dataclasses.replace(simplest, form=dataclasses.replace(simplest.form, name=name, **facts))


@pytest.mark.parametrize("variant", ["realtime", "stream"])
@pytest.mark.parametrize(("seconds", "better"), [(0.1, True), (0.3, False)])
def test_a_form_that_is_right_is_used_if_it_is_faster(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variant: str,
    seconds: float,
    better: bool,
) -> None:
    measure = trial.duration

    def duration(session: NativeSession) -> float:
        assert measure(session) > 0
        return seconds if "candidate" in session.device else 0.2

    monkeypatch.setattr(trial, "duration", duration)
    with caplog.at_level(logging.INFO):
        assert trial.is_better(named("candidate"), named("known"), Variant(variant)) is better
    assert f"{seconds * 1000:.1f} ms with candidate and 200.0 ms with known" in caplog.text


def test_a_form_that_is_wrong_is_never_used(caplog: pytest.LogCaptureFixture) -> None:
    """Weights in the order and precision of another form."""
    wrong = named("candidate", precision="fp16")
    assert not trial.is_better(wrong, named("known"), Variant.REALTIME)
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "candidate" in record.getMessage() and "Please report this" in record.getMessage()
