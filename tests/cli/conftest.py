"""Fixtures for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import make_clip


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video whose render takes seconds, so that it can be interrupted."""
    path = tmp_path_factory.mktemp("long") / "long.mkv"
    return make_clip(path, frames=400, width=320, height=240, options={"preset": "ultrafast"})
