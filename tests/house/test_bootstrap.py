"""The README's first command on a machine with nothing but Python: the environment makes itself, once.

A miniature checkout with dependencies of its own (wheels made here) stands for the project: no network is
needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pip
import pytest
from places import REPOSITORY

SCRIPTS = ("paragon-stream", "scripts/python", "scripts/bootstrap.py")

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        os.name == "nt", reason="the shell scripts are for POSIX; bootstrap.py serves Windows"
    ),
]


def make_wheel(folder: Path, name: str) -> str:
    """A wheel with one module, `name`; returns the requirement that installs it."""
    info = f"{name}-1.0.dist-info"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return f"{name} @ {path.as_uri()}"


class Checkout:
    """The miniature: the real scripts, a package that says what it sees, and two dependencies."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def make(cls, root: Path) -> Checkout:
        for name in SCRIPTS:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
        (root / "paragon_stream").mkdir()
        (root / "paragon_stream" / "__main__.py").write_text(
            "import sys, needed; print(sys.prefix, *sys.argv[1:], sep='|')"
        )
        checkout = cls(root)
        checkout.write_project(["needed"], ["wanted"])
        return checkout

    def write_project(self, needed: list[str], dev: list[str]) -> None:
        lists = [[make_wheel(self.root, name) for name in names] for names in (needed, dev)]
        (self.root / "pyproject.toml").write_text(
            f"[project]\ndependencies = {lists[0]}\n[project.optional-dependencies]\ndev = {lists[1]}\n"
        )

    @property
    def environment(self) -> Path:
        return self.root / ".venv"

    def run(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.root / script, *arguments],
            capture_output=True,
            text=True,
            timeout=240,
            env={**os.environ, "PIP_NO_INDEX": "1", **variables},
            cwd=self.root.parent,
        )

    def moved(self, target: Path) -> Checkout:
        shutil.copytree(self.root, target, symlinks=True)
        return Checkout(target)


def only_python(folder: Path, *, name: str = "python3", executable: Path = Path(sys.executable)) -> str:
    """A PATH on which `executable` is called `name`, beside an ancient `python3` if that is not it."""
    folder.mkdir()
    old = folder / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    starter = folder / name
    starter.unlink(missing_ok=True)
    starter.write_text(f'#!/bin/sh\nexec "{executable}" "$@"\n')  # a symlink would lose the environment
    starter.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout after its first call, `./paragon-stream in put`."""
    folder = tmp_path_factory.mktemp("first call")
    checkout = Checkout.make(folder / "the checkout")
    answer = checkout.run("paragon-stream", "in", "put me", PATH=only_python(folder / "bin"))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == f"{checkout.environment}|in|put me\n"
    assert "making an environment" in answer.stderr
    assert answer.stderr.endswith("ready\n")
    return checkout


def has(checkout: Checkout, module: str) -> bool:
    return subprocess.run([checkout.environment / "bin" / "python", "-c", f"import {module}"]).returncode == 0


def test_the_second_call_only_runs(made: Checkout) -> None:
    answer = made.run("paragon-stream", "again", PATH="/usr/bin:/bin")
    assert (answer.stdout, answer.stderr) == (f"{made.environment}|again\n", "")


def test_users_get_no_development_tools(made: Checkout) -> None:
    assert has(made, "needed")
    assert not has(made, "wanted")


def test_the_checkout_may_be_called_through_a_link_and_moved(made: Checkout, tmp_path: Path) -> None:
    moved = made.moved(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(moved.root / "paragon-stream")
    (tmp_path / "paragon_stream.py").write_text("raise SystemExit('the wrong file was imported')")
    answer = subprocess.run(
        [tmp_path / "link", "x"], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert answer.stdout.endswith("|x\n"), answer.stderr
    command = ["-P", "-c", "import paragon_stream; print(*paragon_stream.__path__)"]
    answer = subprocess.run(
        [moved.environment / "bin" / "python", *command], capture_output=True, text=True, cwd=tmp_path
    )
    assert answer.stdout == f"{moved.root / 'paragon_stream'}\n"


def test_dev_adds_to_the_same_environment(made: Checkout, tmp_path: Path) -> None:
    checkout = made.moved(tmp_path / "checkout")
    answer = checkout.run("scripts/python", "--dev", "-c", "import needed, wanted; print('both')")
    # The copied pyproject.toml names wheels by their old path, which still exists.
    assert answer.stdout == "both\n", answer.stderr
    assert "tests need" in answer.stderr
    answer = checkout.run("scripts/python", "--dev", "-c", "print('quick')")
    assert (answer.stdout, answer.stderr) == ("quick\n", "")
    assert checkout.run("paragon-stream").stderr == ""


def test_a_new_dependency_is_installed_at_the_next_call(made: Checkout, tmp_path: Path) -> None:
    checkout = made.moved(tmp_path / "checkout")
    checkout.write_project(["needed", "newcomer"], [])
    answer = checkout.run("paragon-stream")
    assert answer.returncode == 0, answer.stderr
    assert "making an environment" not in answer.stderr
    assert has(checkout, "newcomer")


def test_an_interrupted_installation_is_completed(made: Checkout, tmp_path: Path) -> None:
    checkout = made.moved(tmp_path / "checkout")
    (checkout.environment / "installed").unlink()
    for module in checkout.environment.glob("lib/*/site-packages/needed*"):
        shutil.rmtree(module) if module.is_dir() else module.unlink()
    answer = checkout.run("paragon-stream", "x")
    assert answer.stdout == f"{checkout.environment}|x\n", answer.stderr
    assert "making an environment" not in answer.stderr


@pytest.mark.slow
def test_an_environment_whose_python_is_gone_is_made_anew(made: Checkout, tmp_path: Path) -> None:
    checkout = made.moved(tmp_path / "checkout")
    for link in (checkout.environment / "bin").glob("python*"):
        link.unlink()
        link.symlink_to(tmp_path / "uninstalled")
    answer = checkout.run("paragon-stream", "x")
    assert answer.stdout == f"{checkout.environment}|x\n", answer.stderr
    assert "making an environment" in answer.stderr


def test_a_failed_installation_says_so_and_leaves_no_stamp(made: Checkout, tmp_path: Path) -> None:
    checkout = made.moved(tmp_path / "checkout")
    text = (checkout.root / "pyproject.toml").read_text()
    (checkout.root / "pyproject.toml").write_text(text.replace("needed @", "absent @"))
    answer = checkout.run("paragon-stream", "x")
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "failed with status 1; see above" in answer.stderr.splitlines()[-1]
    assert not (checkout.environment / "installed").exists()


@pytest.fixture
def bare_python(tmp_path: Path) -> Path:
    """A Python without pip and, given `no_ensurepip`, without ensurepip: Debian's python3."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True, timeout=60)
    return tmp_path / "bare" / "bin" / "python"


@pytest.fixture
def no_ensurepip(tmp_path: Path) -> str:
    """A PYTHONPATH that makes ensurepip unimportable."""
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "ensurepip.py").write_text("raise ImportError('split off')")
    return str(tmp_path / "hide")


def point_to(checkout: Checkout, url: str) -> None:
    """Let the checkout fetch pip from `url`."""
    script = checkout.root / "scripts" / "bootstrap.py"
    lines = script.read_text().splitlines()
    changed = [f"PIP_ZIPAPP = {url!r}" if line.startswith("PIP_ZIPAPP = ") else line for line in lines]
    assert changed != lines
    script.write_text("\n".join(changed))


def test_python_without_pip_fetches_it(tmp_path: Path, bare_python: Path, no_ensurepip: str) -> None:
    checkout = Checkout.make(tmp_path / "checkout")
    zipapp = tmp_path / "pip.pyz"
    package = Path(pip.__file__).parent
    with zipfile.ZipFile(zipapp, "w") as archive:
        for path in package.rglob("*"):
            if "__pycache__" not in path.parts:
                archive.write(path, Path("pip") / path.relative_to(package))
        # pip.pyz installs pip from the index; here it has to come from this very archive.
        archive.writestr(
            "__main__.py",
            "import sys, sysconfig, zipfile\n"
            "assert sys.argv[1:] == ['install', '--quiet', 'pip']\n"
            "zipfile.ZipFile(sys.argv[0]).extractall(sysconfig.get_path('purelib'))\n",
        )
    point_to(checkout, zipapp.as_uri())
    path = only_python(tmp_path / "bin", executable=bare_python)
    answer = checkout.run("paragon-stream", "x", PATH=path, PYTHONPATH=no_ensurepip)
    assert answer.stdout == f"{checkout.environment}|x\n", answer.stderr
    assert "fetching it" in answer.stderr


def test_python_without_pip_and_network_gets_one_clear_line(
    tmp_path: Path, bare_python: Path, no_ensurepip: str
) -> None:
    checkout = Checkout.make(tmp_path / "checkout")
    point_to(checkout, (tmp_path / "absent.pyz").as_uri())
    path = only_python(tmp_path / "bin", executable=bare_python)
    answer = checkout.run("paragon-stream", "x", PATH=path, PYTHONPATH=no_ensurepip)
    assert answer.returncode == 1
    assert "apt install python3-venv" in answer.stderr.splitlines()[-1]
    assert "Traceback" not in answer.stderr


def test_a_python_too_old_is_passed_over(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "checkout")
    (checkout.root / "scripts" / "bootstrap.py").write_text("import sys; print(*sys.argv[1:])")
    path = only_python(tmp_path / "bin", name="python3.13")
    answer = checkout.run("paragon-stream", "x", PATH=path)
    assert answer.stdout == "-P -m paragon_stream x\n", answer.stderr


def test_without_any_python_there_is_one_clear_line(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "checkout")
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("dirname", "readlink", "cmp", "sh"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    answer = checkout.run(
        "paragon-stream", "x", PATH=str(tools), HOME=str(tmp_path), PYENV_ROOT=str(tmp_path)
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("paragon-stream needs Python 3.12 or newer")
    assert answer.stderr.count("\n") == 1


def test_the_real_environment_files_are_ignored_by_git() -> None:
    ignored = (REPOSITORY / ".gitignore").read_text().splitlines()
    assert "/.venv" in ignored  # a link to another environment, too
