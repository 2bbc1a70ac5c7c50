"""The files of `pip install`: the source archive builds the wheel, the wheel brings its data along."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from places import REPOSITORY

from paragon_stream.native.build import compiler, library_file
from paragon_stream.native.library import missing

SOURCES = (
    "LICENSE", "MANIFEST.in", "README.md", "engines", "filters",
    "paragon_stream", "pyproject.toml", "scripts", "setup.py",
)  # fmt: skip
KERNELS = "paragon_stream/native/lib/"

pytestmark = pytest.mark.timeout(300)


def quick_compiler(folder: Path) -> str:
    """A PATH with a `c++` that optimises nothing: the kernels of the wheel are loaded here, not run. Where
    there is no such compiler, the one that is there makes them as always."""
    if (real := shutil.which("c++")) and os.name == "posix":
        folder.mkdir()
        quick = folder / "c++"
        quick.write_text(f'#!/bin/sh\nexec {shlex.quote(real)} "$@" -O0\n')
        quick.chmod(0o755)
    return os.pathsep.join([str(folder), os.environ["PATH"]])


def build(kind: str, tree: Path, out: Path, path: str) -> Path:
    """Run setuptools' `build_sdist` or `build_wheel` in `tree`, with this PATH; returns the archive."""
    code = f"from setuptools import build_meta; import sys; build_meta.build_{kind}(sys.argv[1])"
    command, variables = [sys.executable, "-c", code, str(out)], {**os.environ, "PATH": path}
    subprocess.run(command, cwd=tree, env=variables, check=True, capture_output=True)
    (archive,) = (each for each in out.iterdir() if each.suffix == (".gz" if kind == "sdist" else ".whl"))
    return archive


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the unpacked source archive as an installer without wheels would."""
    folder = tmp_path_factory.mktemp("packaging")
    tree = folder / "tree"
    tree.mkdir()
    for name in SOURCES:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "lib"))
        else:
            shutil.copy2(source, tree)
    path = quick_compiler(folder / "quick")
    archive = build("sdist", tree, folder, path)
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return build("wheel", unpacked, folder, path)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts folder of a fresh environment: the wheel, and the way to the dependencies of this one."""
    venv = tmp_path_factory.mktemp("environment") / "venv"
    scripts = venv / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    install = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True)
    where = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    # A plain path: .pth files over there, such as the checkout's own, are not followed.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scripts


def run(installed: Path, program: str, *arguments: str, cwd: Path) -> str:
    answer = subprocess.run(
        [installed / program, *arguments], capture_output=True, text=True, cwd=cwd, timeout=120
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_only_our_name_is_installed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"paragon_stream"}


def test_no_module_and_no_data_file_is_forgotten(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "paragon_stream").rglob("*")
        if path.is_file() and not {"__pycache__", "lib"} & {*path.parts}
    }
    for folder in ("engines", "filters"):
        expected |= {
            f"paragon_stream/_data/{folder}/{path.relative_to(REPOSITORY / folder).as_posix()}"
            for path in (REPOSITORY / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
    assert expected - packed == set()
    extra = {name for name in packed - expected if ".dist-info/" not in name}
    assert {name for name in extra if not name.startswith(KERNELS)} == set()


def test_the_kernels_are_compiled_for_this_system(wheel: Path, installed: Path, tmp_path: Path) -> None:
    """Without a compiler the wheel has none, and is for any system."""
    packed = [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(KERNELS)]
    if compiler() is None:
        assert packed == [] and wheel.stem.endswith("-py3-none-any")
        return
    assert KERNELS + library_file().name in packed
    assert "-py3-none-" in wheel.stem and not wheel.stem.endswith("-any")
    code = "from paragon_stream.native.library import missing; print(repr(missing()))"
    assert run(installed, "python", "-c", code, cwd=tmp_path).strip() == repr(missing())


def test_the_command_runs_from_anywhere(installed: Path, tmp_path: Path) -> None:
    assert run(installed, "paragon-stream", "--version", cwd=tmp_path).startswith("paragon-stream ")


def test_the_shipped_weights_come_along(installed: Path, tmp_path: Path) -> None:
    rows = json.loads(run(installed, "paragon-stream", "models", "--json", cwd=tmp_path))
    assert rows
    for row in rows:
        assert Path(row["path"]).is_relative_to(installed.parent)
    shipped = {path.name for path in (REPOSITORY / "engines").glob("*.safetensors")}
    assert {Path(row["path"]).name for row in rows} == shipped


def test_the_filter_scripts_come_along(installed: Path, tmp_path: Path) -> None:
    code = "from paragon_stream.datafiles import data_folder; print(data_folder('filters'))"
    folder = Path(run(installed, "python", "-c", code, cwd=tmp_path).strip())
    assert folder.is_relative_to(installed.parent)
    assert {path.name for path in folder.glob("*.vpy")} == {
        path.name for path in (REPOSITORY / "filters").glob("*.vpy")
    }
