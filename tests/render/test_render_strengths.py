"""The strengths in the report of a render."""

from __future__ import annotations

from fractions import Fraction

from paragon_stream.frame import Timing
from paragon_stream.render.strengths import Strengths


def test_no_frames_have_no_strength() -> None:
    strengths = Strengths(None, 0.25)
    assert strengths.report() is None
    assert strengths.of(Timing(pts=0, time_base=Fraction(1, 25), duration=1)) == 0.25
    report = strengths.report()
    assert report is not None and (report.min, report.mean, report.max) == (0.25, 0.25, 0.25)
