"""Options of fast runs over many files, and their outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paragon_stream import QueueReport

FAST: dict[str, Any] = {"engine": "null", "preset": "ultrafast"}


def outcomes(report: QueueReport) -> dict[str, str]:
    return {Path(each.destination).name: str(each.outcome) for each in report.files}
