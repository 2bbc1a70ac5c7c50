"""A training's log and its plot."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from paragon_stream.errors import OutputError
from paragon_stream.train.log import LOG_FILE, PLOT_FILE, Log

SVG = "{http://www.w3.org/2000/svg}"


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / LOG_FILE).read_text(encoding="utf-8").splitlines()))


def test_columns_may_appear_later_and_steps_stay_whole(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add({"step": 1_000_000, "loss": 0.123456789, "psnr": 30.0})
    log.add({"step": 2_000_000, "discriminator": 0.5, "loss": 0.1, "psnr": 31.0})
    first, second = rows(tmp_path)
    assert first == {"step": "1000000", "loss": "0.123457", "psnr": "30", "discriminator": ""}
    assert second == {"step": "2000000", "loss": "0.1", "psnr": "31", "discriminator": "0.5"}


def test_rows_behind_a_state_and_damaged_ones_are_cut(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for step in (10, 20, 30):
        log.add({"step": step, "loss": 1 / step})
    with (tmp_path / LOG_FILE).open("a", encoding="utf-8") as file:
        file.write("4")
    log.cut(20)
    assert [row["step"] for row in rows(tmp_path)] == ["10", "20"]
    with (tmp_path / LOG_FILE).open("a", encoding="utf-8") as file:
        file.write("no number,1\n")
    log.cut(15)
    assert [row["step"] for row in rows(tmp_path)] == ["10"]
    Log(tmp_path / "absent").cut(5)


def test_the_plot_shows_every_curve_with_its_last_value(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add({"step": 100, "loss": 5.0, "gradient": 1.0, "psnr": 30.0, "gain": 0.5, "gain_0": 0.7})
    assert not (tmp_path / PLOT_FILE).exists()
    log.add({"step": 200, "loss": 0.05, "gradient": 1.0, "psnr": 32.0, "gain": 1.5, "gain_0": 1.75})
    log.add(
        {"step": 300, "loss": 0.04, "gradient": 1.0, "psnr": 33.5, "gain": 1.6, "gain_0": 1.8, "balance": 0.6}
    )
    root = ET.parse(tmp_path / PLOT_FILE).getroot()
    assert root.find(f"{SVG}title").text == "Training to step 300"  # type: ignore[union-attr]
    texts = [element.text for element in root.iter(f"{SVG}text")]
    for said in ("loss 0.04", "psnr 33.5", "gain_0 1.8", "balance 0.6", "200"):
        assert said in texts
    curves = [
        [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        for line in root.iter(f"{SVG}polyline")
    ]
    loss, psnr = curves[:2]
    assert [x for x, _ in loss] == [x for x, _ in psnr]
    assert loss[0][1] < loss[1][1] < loss[2][1]  # down is less
    assert psnr[0][1] > psnr[1][1] > psnr[2][1]
    # Two decades in the first step, a tenth of one in the second: the scale is logarithmic.
    assert (loss[1][1] - loss[0][1]) > 15 * (loss[2][1] - loss[1][1])


def test_a_folder_that_is_gone_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"log\.csv"):
        Log(tmp_path / "absent").add({"step": 1, "loss": 1.0})
