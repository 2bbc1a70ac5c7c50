"""Makes the checkout's environment `.venv`, once, and runs its Python. For any Python ≥ 3.12, on any system.

    python scripts/bootstrap.py [--dev] ARGUMENT...        such as: -P -m paragon_stream in.mkv out.mkv

The environment has the dependencies that pyproject.toml names (`--dev`: those of the tests too) and a path to
the checkout, so that the code that runs is the code that lies here. It is made anew where it does not start,
and completed where an earlier attempt was interrupted or pyproject.toml has changed; delete `.venv` to begin
from nothing. All messages go to standard error: standard output belongs to the command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "Scripts/python.exe" if os.name == "nt" else VENV / "bin/python"

PIP_ZIPAPP = "https://bootstrap.pypa.io/pip/pip.pyz"
"""pip in one file, for Pythons without pip and ensurepip (Debian's python3 without python3-venv)."""


COMPILER = "ziglang==0.17.1"
"""A C++ compiler as a package."""


class Failed(Exception):
    """The environment cannot be made; the message is for the user."""


def main(arguments: list[str]) -> int:
    """Run the environment's Python; the status is its own, or 1 where there is no such environment."""
    if sys.version_info < (3, 12):  # noqa: UP036  (whoever calls this file may be older)
        say("needs Python 3.12 or newer, this is " + sys.version.split()[0])
        return 1
    dev = arguments[:1] == ["--dev"]
    try:
        if not is_current(dev):
            make_environment(dev)
    except Failed as failure:
        say(str(failure))
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next call goes on from here")
        return 130
    command = [str(PYTHON), *arguments[dev:]]
    if os.name != "nt":
        os.execv(command[0], command)
    return subprocess.call(command)


def stamp(dev: bool) -> Path:
    """A copy of the pyproject.toml that was installed for, written last. scripts/python looks at it too."""
    return VENV / ("installed-dev" if dev else "installed")


def is_current(dev: bool) -> bool:
    """True if the environment is complete for this pyproject.toml."""
    recorded = stamp(dev).read_bytes() if stamp(dev).is_file() else None
    return recorded == (ROOT / "pyproject.toml").read_bytes() and works(PYTHON, "-c", "")


def make_environment(dev: bool) -> None:
    """Make `.venv`, or complete it. Raises Failed."""
    for old in (stamp(False), stamp(True)):
        old.unlink(missing_ok=True)
    if not works(PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 12))"):
        say(f"making an environment in {VENV} with Python {sys.version.split()[0]}")
        run(sys.executable, "-m", "venv", "--without-pip", "--clear", VENV)
    if not works(PYTHON, "-m", "pip", "--version"):
        add_pip()
    say("installing what it needs" + (" and what its tests need" if dev else " (about 420 MB on disk)"))
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    # Not compiled: most of these modules are never imported; Python compiles the others at their first use.
    options = ["--disable-pip-version-check", "--no-compile"]
    run(PYTHON, "-m", "pip", "install", *quiet, *options, *dependencies(dev))
    packages = subprocess.check_output(
        [PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    )
    site = Path(packages.decode().strip())
    (site / "paragon-stream.pth").write_text(os.path.relpath(ROOT, site) + "\n")
    build_kernels()
    for kind in {False, dev}:
        stamp(kind).write_bytes((ROOT / "pyproject.toml").read_bytes())
    say("ready")


def dependencies(dev: bool) -> list[str]:
    """The requirements in pyproject.toml, in pip's form."""
    import tomllib  # here, so that an older Python still says that it is too old

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra: list[str] = project["optional-dependencies"]["dev"] if dev else []
    return [*project["dependencies"], *extra]


def build_kernels() -> None:
    """Compile the CPU kernels, with a compiler that is fetched for it where there is none.

    Not a failure where that cannot be done: another engine works without them.
    """
    if not (ROOT / "paragon_stream/native/build.py").is_file():
        return
    say("compiling its CPU kernels")
    command = [PYTHON, "-P", "-m", "paragon_stream.native.build"]
    if not works(*command, "--check"):
        with tempfile.TemporaryDirectory() as folder:
            say("there is no C++ compiler; fetching one for this (ziglang, 100 MB, not kept)")
            fetch = ["install", "--quiet", "--disable-pip-version-check", "--target", folder, COMPILER]
            if works(PYTHON, "-m", "pip", *fetch):
                paths = os.pathsep.join([folder, str(ROOT)])
                if subprocess.call(command, env={**os.environ, "PYTHONPATH": paths}) == 0:
                    return
    elif subprocess.call(command) == 0:
        return
    say("the CPU kernels could not be compiled; the engine openvino works without them, but slower")


def add_pip() -> None:
    """Put pip into the environment: Python's own copy, or by the caller's pip, or from the network.

    Raises Failed.
    """
    if works(PYTHON, "-m", "ensurepip"):
        return
    if works(sys.executable, "-m", "pip", "--python", PYTHON, "install", "pip"):
        return
    say("this Python has no pip; fetching it")
    zipapp = VENV / "pip.pyz"
    try:
        with urllib.request.urlopen(PIP_ZIPAPP, timeout=60) as answer:
            zipapp.write_bytes(answer.read())
    except OSError as error:
        raise Failed(
            f"this Python has neither pip nor ensurepip, and {PIP_ZIPAPP} cannot be fetched ({error}); "
            "install one (Debian: apt install python3-venv) and try again"
        ) from None
    run(PYTHON, zipapp, "install", "--quiet", "pip")
    zipapp.unlink()


def works(*command: str | Path) -> bool:
    """True if a command can be run and succeeds; what it prints is dropped."""
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def run(*command: str | Path) -> None:
    """Run a command, its output on standard error. Raises Failed."""
    status = subprocess.call(command, stdout=sys.stderr.fileno())
    if status:
        raise Failed(f"`{' '.join(map(str, command))}` failed with status {status}; see above")


def say(text: str) -> None:
    """One line for the user."""
    print("paragon-stream: " + text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
