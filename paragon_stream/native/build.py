"""Compiles the kernels into one library. Standard library only: setup.py and scripts/bootstrap.py use it too.

    python -m paragon_stream.native.build [--compiler "COMMAND …"]

Any C++17 compiler with GCC's vector extensions does: g++, clang++, or `python -m ziglang c++`, which the
package `ziglang` brings along where there is none.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from paragon_stream.native.forms import Form, forms_of, machine

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "src"

COMPILER_OPTIONS = (
    "-O3", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti", "-fno-math-errno",
    "-fno-trapping-math", "-ffp-contract=fast", "-fno-asynchronous-unwind-tables", "-fno-stack-protector",
)  # fmt: skip
_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}


class BuildFailed(Exception):
    """The library cannot be made; the message says why."""


def library_file() -> Path:
    """The path of the library, built or not."""
    return HERE / "lib" / f"kernels{_SUFFIX.get(sys.platform, '.so')}"


def is_current(library: Path | None = None) -> bool:
    """Whether the library was built from the sources that are here."""
    path = library or library_file()
    stamp = path.with_suffix(".stamp")
    return path.is_file() and stamp.is_file() and stamp.read_text() == _fingerprint()


def compiler() -> list[str] | None:
    """The first C++ compiler that is there, as a command; None without one."""
    for name in ("c++", "g++", "clang++"):
        if path := shutil.which(name):
            return [path]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "c++"]
    return None


def build(
    library: Path | None = None,
    command: Sequence[str] | None = None,
    *,
    target: str = "",
    options: Sequence[str] = (),
    forms: Sequence[Form] | None = None,
) -> Path:
    """Compile for the system that `target` names, as Clang does ("aarch64-linux-gnu"; default: this one).

    `options` go to every call of the compiler. `forms` are those to compile (default: all of the processor);
    forms whose instruction sets the compiler does not support are left out. Returns the library, which
    replaces an earlier one only when it is whole. Raises BuildFailed.
    """
    path = library or library_file()
    command = [*(command or compiler() or ())]
    if not command:
        raise BuildFailed("there is no C++ compiler: neither g++ nor clang++ nor the package ziglang")
    command += ["-target", target] if target else []
    chosen = forms_of(target.split("-")[0] if target else machine()) if forms is None else forms
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        work = Path(folder)
        supported = [
            (form, names) for form in chosen if (names := _instruction_sets(command, form, work)) is not None
        ]
        # If it supports none, its own message is the error.
        supported = supported or [(form, form.options) for form in chosen]
        compiled: list[tuple[str, str, tuple[str, ...]]] = [("dispatch", "dispatch.cpp", ())]
        compiled += [(form.name, "form.cpp", (*names, *form.definitions)) for form, names in supported]
        calls = [
            [*command, *COMPILER_OPTIONS, *options, *own, "-c", SOURCES / source, "-o", work / f"{name}.o"]
            for name, source, own in compiled
        ]
        with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            list(pool.map(_run, calls))
        _run(
            [
                *command,
                *options,
                "-shared",
                *(work / f"{name}.o" for name, _, _ in compiled),
                "-o",
                work / path.name,
            ]
        )
        (work / path.name).replace(path)
    path.with_suffix(".stamp").write_text(_fingerprint())
    return path


def _instruction_sets(command: Sequence[str], form: Form, work: Path) -> tuple[str, ...] | None:
    """The form's instruction sets as the compiler names them; None if it lacks one: GCC 10 has no AMX."""
    nothing = work / "nothing.cpp"
    nothing.touch()
    for names in (form.options, form.zig_options) if form.zig_options else (form.options,):
        with contextlib.suppress(BuildFailed):
            _run([*command, *names, "-c", nothing, "-o", work / "nothing.o"])
            return names
    return None


def _run(command: Sequence[str | Path]) -> None:
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except OSError as error:
        raise BuildFailed(f"{words[0]} cannot be run: {error}") from None
    if done.returncode:
        raise BuildFailed(f"`{shlex.join(words)}` failed:\n{done.stderr.strip()}")


def _fingerprint() -> str:
    digest = hashlib.sha256(" ".join(COMPILER_OPTIONS).encode())
    for file in sorted([*SOURCES.iterdir(), HERE / "forms.py"]):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def main() -> int:
    """Build for this machine, unless that is done already."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--compiler", help="a command, such as 'clang++' (default: what is there)")
    parser.add_argument("--again", action="store_true", help="build whether it is needed or not")
    parser.add_argument(
        "--check", action="store_true", help="only say, by the status, whether it could be done"
    )
    chosen = parser.parse_args()
    if chosen.check:
        return 0 if is_current() or not forms_of(machine()) or compiler() else 1
    if chosen.again or not is_current():
        try:
            build(command=shlex.split(chosen.compiler or ""))
        except BuildFailed as failure:
            sys.stderr.write(f"paragon-stream: {failure}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
