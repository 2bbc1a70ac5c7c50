"""Benchmarks are run seldom, and on machines that are at hand for minutes: at least they can be loaded."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from places import REPOSITORY

SCRIPTS = sorted((REPOSITORY / "benchmarks" / "gpu").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_scripts_for_gpus_load(script: Path) -> None:
    """Every name that they import is there; `--help` answers before anything runs."""
    if importlib.util.find_spec("cuda") is None:
        pytest.skip("needs the package cuda-bindings")
    code = (
        "import importlib.util, sys; "
        f"spec = importlib.util.spec_from_file_location('script', {str(script)!r}); "
        "module = importlib.util.module_from_spec(spec); sys.modules['script'] = module; "
        "spec.loader.exec_module(module); assert callable(module.main)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=REPOSITORY
    )
    assert answer.returncode == 0, answer.stderr[-2000:]


def test_new_weights_keep_no_figures_of_old_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PIL")
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    check: Callable[..., None] = importlib.import_module("quality").check_whole
    weights, earlier = {"a_x2.x": "new", "b_x2.x": "2", "c_x8.x": "new"}, {"a_x2.x": "1", "b_x2.x": "2"}
    check(weights, earlier, ["a_x2.x", "c_x8.x"], ["a_x2.x"], ["a_x2.x", "b_x2.x"])
    with pytest.raises(SystemExit, match=r"a_x2\.x has changed: measure it too, by --video a_x2"):
        check(weights, earlier, ["a_x2.x", "c_x8.x"], ["b_x2.x"], ["a_x2.x", "b_x2.x"])
    with pytest.raises(SystemExit, match=r"c_x8\.x has changed: measure it too, by --pictures c_x8"):
        check(weights, earlier, ["a_x2.x"], ["a_x2.x"], ["a_x2.x", "b_x2.x"])
