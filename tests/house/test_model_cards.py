"""The measured tables of the model cards: right figures, in the right card, of the files that ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from places import REPOSITORY

from paragon_stream.checkpoint import list_shipped, load_weights, measured_quality


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import model_cards

    return model_cards


def scores(psnr: float, vmaf: float = 80.0, chroma: float = 44.0) -> dict[str, float]:
    return {
        "psnr_y": psnr,
        **dict.fromkeys(("psnr_u", "psnr_v", "psnr_cb", "psnr_cr"), chroma),
        "ssim_y": 0.9,
        "detail_db": -4.0,
        "psnr_t": psnr + 1,
        "vmaf": vmaf,
        "vmaf_neg": vmaf - 3,
    }


def row(
    clip: str, level: str, strength: float, model: dict[str, float], **filters: dict[str, float]
) -> dict[str, Any]:
    methods = {"realtime ×2 video": model, **filters}
    return {"clip": clip, "level": level, "strength": strength, "frames": 10, "scale": 2, "scores": methods}


PICTURES = {"model": scores(37.0, chroma=43.5), "bicubic": scores(33.5), "lanczos": scores(34.0)}
RESULTS: dict[str, Any] = {
    "weights": {"realtime_x2_video.safetensors": "abc", "stream_x3_fidelity.safetensors": "def"},
    "pictures": {
        "stream ×3 fidelity": {"Set5": PICTURES},
        "realtime ×2 fidelity": {"Set5": PICTURES, "Set14": PICTURES},
        "realtime ×2 video": {"Set5": PICTURES},
    },
    "video": [
        row("a", "clean", 0.0, scores(41), bicubic=scores(39), lanczos=scores(40)),
        row("b", "clean", 0.0, scores(51, chroma=46), bicubic=scores(49.5), lanczos=scores(49)),
        row("a", "H.264 CRF 23", 0.7, scores(36, 88), bicubic=scores(36.2), lanczos=scores(35)),
    ],
}


def test_gains_are_over_the_better_filter_clip_by_clip(cards: Any) -> None:
    assert cards.gains(RESULTS["video"][:2], "realtime ×2 video") == pytest.approx(((1 + 1.5) / 2, 1.5))
    table = cards.video_table(RESULTS, "realtime ×2 video")
    assert table[0].startswith("**realtime ×2 video**: means over the clips a, b")
    clean, hard = table[4:]
    assert clean.startswith(
        "| clean | 0.00 | 46.00 (44.50) | **+1.25** | +1.50 | +1.00 (+0.00), +1.00 (+0.00) | 0.9000 (0.9000)"
    )
    assert hard.startswith("| H.264 CRF 23 | 0.70 | 36.00 (35.00) | **-0.20** | -0.20 |")
    assert hard.endswith("| 88.0 (80.0) | 85.0 (77.0) |")
    assert cards.video_table(RESULTS, "stream ×3 fidelity") == []


def test_every_variant_and_scale_of_a_set_is_in_its_card(cards: Any) -> None:
    fidelity = cards.card_tables(RESULTS, "fidelity")
    assert [line.split("|")[1:4] for line in fidelity[2:]] == [
        [" realtime ×2 ", " Set5 ", " **37.00** (+3.50) "],
        [" realtime ×2 ", " Set14 ", " **37.00** (+3.50) "],
        [" stream ×3 ", " Set5 ", " **37.00** (+3.50) "],
    ]
    assert fidelity[2].endswith("| -0.50, -0.50 | 0.9000 | -4.0 (-4.0) | 33.50 | 34.00 |")
    video = cards.card_tables(RESULTS, "video")
    assert video[2].startswith("| realtime ×2 | Set5 |")
    assert any("H.264 CRF 23" in line for line in video)


def test_the_summary_is_bound_to_the_file(cards: Any) -> None:
    stems = {"realtime_x2_video": "realtime ×2 video", "stream_x3_fidelity": "stream ×3 fidelity"}
    table = cards.summary(stems, RESULTS)
    assert table["realtime_x2_video"] == {
        "sha256": "abc",
        "measured": {
            "Set5 PSNR-Y": 37.0,
            "H.264 CRF 23 gain": -0.2,
            "H.264 CRF 23 gain of U": 0.0,
            "H.264 CRF 23 gain of V": 0.0,
        },
    }
    assert table["stream_x3_fidelity"]["measured"] == {"Set5 PSNR-Y": 37.0}


def test_only_what_is_between_the_markers_changes(cards: Any, tmp_path: Path) -> None:
    card = tmp_path / "video.md"
    card.write_text(f"# video\n{cards.START}\nold\n{cards.END}\nlicences\n", encoding="utf-8")
    cards.write_card(card, ["new", "lines"])
    cards.write_card(card, ["new", "lines"])
    expected = f"# video\n{cards.START}\nnew\nlines\n{cards.END}\nlicences\n"
    assert card.read_text(encoding="utf-8") == expected
    card.write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks"):
        cards.write_card(card, [])


def test_every_shipped_set_has_a_card_and_figures_of_its_very_file() -> None:
    for shipped in list_shipped():
        card = (shipped.path.parent / f"{shipped.name}.md").read_text(encoding="utf-8")
        quality = measured_quality(shipped, load_weights(shipped.path))
        assert "Set5 PSNR-Y" in quality, f"run benchmarks/quality.py: {shipped.path.name} is not measured"
        row = f"| {shipped.variant} ×{shipped.scale} | Set5 | **{quality['Set5 PSNR-Y']:.2f}**"
        assert row in card
