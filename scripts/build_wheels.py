"""Builds the wheels of all systems that zig can cross-compile the CPU kernels for.

    scripts/build_wheels [--out dist] [--only linux_x86_64]

Needs the packages setuptools and ziglang. setuptools builds the Python files once; then zig compiles the
kernels of each system. Every wheel is unpacked again and its library is checked: its file format, its
exported functions and forms, for Linux the versions of glibc that it needs. The library for this system is
loaded and computes; that for Linux on ARM runs under qemu-user in the slow tests (tests/native/test_neon.py).
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from paragon_stream.native.build import BuildFailed, build  # noqa: E402
from paragon_stream.native.forms import forms_of, machine  # noqa: E402

ZIG = [sys.executable, "-m", "ziglang", "c++"]
FOLDER = "paragon_stream/native/lib/"


@dataclass(frozen=True)
class Target:
    """A system: the tag of its wheel, zig's name, the suffix and the first bytes of its libraries."""

    name: str
    tag: str
    triple: str
    suffix: str
    magic: bytes


GLIBC = (2, 17)
"""The oldest glibc that the manylinux2014 wheels may need."""
RUN = """
import numpy, paragon_stream
from paragon_stream.native.library import kernels
planes = tuple(numpy.full(shape, 128, numpy.uint8) for shape in ((64, 96), (32, 48), (32, 48)))
with paragon_stream.Upscaler(width=96, height=64, engine="native") as up:
    assert up(planes)[0].shape == (128, 192)
print(*(each.form.name for each in kernels()))
"""
"""Run in an unpacked wheel."""

ELF, PE, MACHO = b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe"

TARGETS = (
    Target("linux_x86_64", "manylinux_2_17_x86_64.manylinux2014_x86_64", "x86_64-linux-gnu.2.17", ".so", ELF),
    Target(
        "linux_aarch64", "manylinux_2_17_aarch64.manylinux2014_aarch64", "aarch64-linux-gnu.2.17", ".so", ELF
    ),
    Target("musl_x86_64", "musllinux_1_2_x86_64", "x86_64-linux-musl", ".so", ELF),
    Target("windows_x86_64", "win_amd64", "x86_64-windows-gnu", ".dll", PE),
    Target("macos_arm64", "macosx_11_0_arm64", "aarch64-macos.11.0", ".dylib", MACHO),
    Target("macos_x86_64", "macosx_11_0_x86_64", "x86_64-macos.11.0", ".dylib", MACHO),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--only", choices=[target.name for target in TARGETS])
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        plain = build_plain(Path(folder))
        for target in TARGETS:
            if chosen.only not in (None, target.name):
                continue
            try:
                wheel = repack(plain, target, Path(folder), chosen.out)
            except BuildFailed as failure:
                print(f"{target.name}: {failure}", file=sys.stderr)
                return 1
            print(f"{wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB: {check(wheel, target, Path(folder))}")
    return 0


def build_plain(folder: Path) -> Path:
    """The wheel of this system, from a copy of the sources."""
    tree = folder / "tree"
    kept = ["LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py"]
    for name in ("engines", "filters", "paragon_stream", "scripts"):
        ignored = shutil.ignore_patterns("__pycache__", "lib")
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in kept:
        shutil.copy2(ROOT / name, tree)
    code = "from setuptools import build_meta; import sys; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, folder], cwd=tree, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    return wheel


def repack(plain: Path, target: Target, work: Path, out: Path) -> Path:
    """`plain` with the target's kernels and tag."""
    library = build(work / target.name / f"kernels{target.suffix}", ZIG, target=target.triple)
    content = {}
    with zipfile.ZipFile(plain) as wheel:
        for name in wheel.namelist():
            if not name.startswith(FOLDER) and not name.endswith("/RECORD"):
                content[name] = wheel.read(name)
    for path in (library, library.with_suffix(".stamp")):
        content[FOLDER + path.name] = path.read_bytes()
    (info,) = {name.split("/")[0] for name in content if ".dist-info/" in name}
    tags = "".join(f"Tag: py3-none-{each}\n" for each in target.tag.split("."))
    facts = re.sub(r"(Tag: .*\n)+", tags, content[f"{info}/WHEEL"].decode())
    content[f"{info}/WHEEL"] = facts.encode()
    record = [f"{name},sha256={digest(data)},{len(data)}" for name, data in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    path = out / f"{info.removesuffix('.dist-info')}-py3-none-{target.tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in content.items():
            wheel.writestr(name, data)
    return path


def digest(data: bytes) -> str:
    """The form of digests in RECORD."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def check(wheel: Path, target: Target, work: Path) -> str:
    """Check the library in the wheel; returns the result as text. Raises BuildFailed."""
    unpacked = work / f"check_{target.name}"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    library = unpacked / FOLDER / f"kernels{target.suffix}"
    if not library.read_bytes().startswith(target.magic):
        raise BuildFailed(f"{library.name} is not a library for {target.name}")
    names = [b"paragon_abi", b"paragon_cpu"]
    names += [f"paragon_form_{form.name}".encode() for form in forms_of(target.triple.split("-")[0])]
    content = library.read_bytes()
    if absent := [name.decode() for name in names if name not in content]:
        raise BuildFailed(f"{library.name} for {target.name} lacks {', '.join(absent)}")
    needed = {tuple(map(int, found.split(b"."))) for found in re.findall(rb"GLIBC_(\d+\.\d+)", content)}
    if needed and max(needed) > GLIBC:
        raise BuildFailed(f"{library.name} for {target.name} needs glibc {max(needed)}")
    if not (sys.platform == "linux" and target.name == f"linux_{machine()}"):
        return f"{len(names) - 2} form(s), compiled, not run"
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=unpacked, capture_output=True, text=True, check=True
    )
    return f"computes here: {done.stdout.strip()}"


if __name__ == "__main__":
    sys.exit(main())
