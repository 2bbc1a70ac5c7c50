"""A training's log: a row of figures for each evaluation, in `log.csv`, drawn in `log.svg` beside it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from paragon_stream.train.plot import draw
from paragon_stream.wholefile import whole_file

LOG_FILE = "log.csv"
PLOT_FILE = "log.svg"


class Log:
    """The log in `folder`. Both files are replaced as a whole, so that they are never seen half-written."""

    def __init__(self, folder: Path) -> None:
        self._table, self._plot = folder / LOG_FILE, folder / PLOT_FILE

    def add(self, row: Mapping[str, float]) -> None:
        """Append a row. Columns may appear later (a discriminator's): earlier rows then leave them empty.

        `row["step"]` is its number. Raises OutputError.
        """
        texts = {name: f"{v:.6g}" if isinstance(v, float) else str(v) for name, v in row.items()}
        self._write([*self._rows(), texts])

    def cut(self, step: int) -> None:
        """Drop rows behind `step`: those logged after the state that a training goes on from."""
        if self._table.exists():
            self._write([row for row in self._rows() if int(row["step"]) <= step])

    def _rows(self) -> list[dict[str, str]]:
        """The rows so far; what is none, or does not go on from the one before, is left out."""
        if not self._table.exists():
            return []
        rows: list[dict[str, str]] = []
        with self._table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                step = row.get("step") or ""
                if step.isdigit() and (not rows or int(step) > int(rows[-1]["step"])):
                    rows.append(row)
        return rows

    def _write(self, rows: list[dict[str, str]]) -> None:
        columns = list(dict.fromkeys(name for row in rows for name in row if name))
        lines = [columns, *([row.get(name) or "" for name in columns] for row in rows)]
        _replace(self._table, "".join(f"{','.join(line)}\n" for line in lines))
        if len(rows) > 1:
            _replace(self._plot, draw(rows))


def _replace(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode())
