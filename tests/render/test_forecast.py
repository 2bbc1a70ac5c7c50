"""The forecast: once, after ten frames, of renders that take long."""

from __future__ import annotations

from pathlib import Path

from clips import make_clip

from paragon_stream import RenderProgress, RenderRequest, plan_render
from paragon_stream.cli.display.render import forecast_line
from paragon_stream.render.forecast import Forecast, Forecaster


def test_it_is_said_once(tmp_path: Path) -> None:
    now = [0.0]
    forecaster = Forecaster(lambda: now[0])
    plan = plan_render(RenderRequest(make_clip(tmp_path / "a.mkv", frames=3), tmp_path / "out.mkv"))
    forecaster.planned(plan)

    def after(frames: int, seconds: float, total: int | None = 10_000) -> Forecast | None:
        now[0] = seconds
        return forecaster.after(RenderProgress.at(frames, seconds, total))

    assert after(1, 5.0) is None, "the first frame waited for what was compiled"
    assert after(9, 6.0) is None
    assert after(21, 7.0) == Forecast(seconds=997.9, fps=10.0, bytes_out=plan.estimated_bytes)
    assert after(31, 8.0) is None


def test_short_renders_and_unknown_lengths_have_none() -> None:
    for total in (200, None):
        now = [0.0]
        forecaster = Forecaster(lambda now=now: now[0])  # type: ignore[misc]
        for frames in (1, 30, 60):
            now[0] += 3.0
            assert forecaster.after(RenderProgress.at(frames, now[0], total)) is None


def test_in_words() -> None:
    words = forecast_line(Forecast(seconds=3723.0, fps=24.04, bytes_out=5_300_000_000))
    assert words == "forecast: done in 1:02:03 at 24.0 fps, about 5.3 GB"
    assert (
        forecast_line(Forecast(seconds=130.0, fps=1.0, bytes_out=None)) == "forecast: done in 2:10 at 1.0 fps"
    )
