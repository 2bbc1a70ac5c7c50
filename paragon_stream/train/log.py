"""The log of a training: a row of figures for each evaluation in `log.csv`, and a plot in `log.svg`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from paragon_stream.train.plot import draw
from paragon_stream.wholefile import whole_file

LOG_FILE = "log.csv"
PLOT_FILE = "log.svg"


class Log:
    """The log in `folder`. Both files are replaced atomically."""

    def __init__(self, folder: Path) -> None:
        self._table, self._plot = folder / LOG_FILE, folder / PLOT_FILE

    def add(self, row: Mapping[str, float]) -> None:
        """Append a row. New columns can appear later (a discriminator's): they are empty in earlier rows.

        `row["step"]` is its number. Raises OutputError.
        """
        texts = {name: f"{v:.6g}" if isinstance(v, float) else str(v) for name, v in row.items()}
        self._write([*self._rows(), texts])

    def cut(self, step: int) -> None:
        """Drop rows after `step`, which were logged after the state that the training resumes from."""
        if self._table.exists():
            self._write([row for row in self._rows() if int(row["step"]) <= step])

    def _rows(self) -> list[dict[str, str]]:
        """The rows so far, without invalid rows and rows whose step does not increase."""
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
