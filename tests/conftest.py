"""Fixtures that every area's tests may use."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

# Read when numpy and torch are imported: their threads wait for one another without sleeping, which takes
# minutes where other tests run beside them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from places import SHARED

from paragon_stream.media.ffmpeg.encoder_guard import guarded_opening
from paragon_stream.native import build
from paragon_stream.runtimes import installed_engines

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs without it
if build.compiler() and not build.is_current():
    build.build()  # before `installed_engines` looks


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-gpu", action="store_true", help="the tests of tests/gpu fail where there is no GPU"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Names that are no UTF-8 in captured output would end the whole run: workers send reports as UTF-8."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    if report.longrepr is not None and not isinstance(report.longrepr, tuple):
        text = report.longreprtext
        if text.encode(errors="replace").decode() != text:
            report.longrepr = text.encode(errors="backslashreplace").decode()
    return report


@pytest.fixture(autouse=True)
def scheduling() -> Iterator[None]:
    """No test leaves real-time threads behind: clips made with SVT-AV1 by root would starve the machine."""
    with guarded_opening():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, object, object]:
    """Nor does a fixture of a module, which is set up before `scheduling` and would leave a real-time worker:
    threads that wait for others without sleeping then never end, and the machine's other processes starve."""
    with guarded_opening():
        return (yield)


@pytest.fixture(autouse=True)
def constants() -> Iterator[None]:
    """No test leaves a changed constant behind: Python has one object for each single byte, which C code that
    writes into the bytes it was given changes for the whole process."""
    yield
    changed = [value for value in range(256) if bytes([value])[0] != value]
    assert not changed, f"the constants of these bytes were overwritten: {changed}"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The developers' shared material; the project stands without it, and tests that use it skip."""
    if not (SHARED / "reference").is_dir():
        pytest.skip("needs the developers' shared material beside the checkout")
    return SHARED


@pytest.fixture(params=installed_engines())
def engine(request: pytest.FixtureRequest) -> str:
    """Every engine that computes, if its package is there; test_contract says which are not."""
    return str(request.param)
