"""One archive of what a machine with a GPU and no internet lacks: scripts/pack_for_gpu [gpu.tar.xz].

`site/` has the packages that such machines tend to lack, from this environment, without what is of no use
there: OpenVINO without its GPU, NPU and other plugins and without the front ends of other frameworks.
`checkout/` has the files of the last commit. At most 60 MB. `--pictures FOLDER` adds a folder of
pictures with its manifest as `pictures/`, and Pillow, for benchmarks/gpu/train.py; then it is larger. There:

    python3 -c "import tarfile; tarfile.open('gpu.tar.xz').extractall('.', filter='data')"
    python3 checkout/benchmarks/gpu/first_run.py --packed gpu.tar.xz
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import io
import lzma
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

PACKAGES = ("av", "openvino", "simplejpeg", "platformdirs", "pytest", "pytest-timeout", "pluggy", "iniconfig")
"""Distributions. NumPy, onnx, safetensors, click, rich, PyYAML, cuda-bindings, NVRTC and torch are there."""

TRAINING_PACKAGES = ("pillow",)

DROPPED = re.compile(
    r"\.pyi$|__pycache__|/tests?/"
    r"|^openvino/(include|cmake|tools|torch|frontend/(?!__init__|frontend|onnx))"
    r"|^openvino/libs/.*(_gpu_|_npu_|gguf|jax|paddle|pytorch|tensorflow|_auto_|_hetero_|openvino_c\.|\.pc$)"
    r"|^av/.*\.(pyx|pxd|c)$|^av/include"
)
MOST_BYTES = 60_000_000

FILTERS = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 64 << 20}]
"""xz. Higher presets take several times as long and save little."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", nargs="?", type=Path, default=REPOSITORY / "out" / "gpu.tar.xz")
    parser.add_argument("--no-checkout", action="store_true", help="the checkout gets there in another way")
    parser.add_argument("--pictures", type=Path, help="a folder of pictures to train on")
    options = parser.parse_args()
    options.archive.parent.mkdir(parents=True, exist_ok=True)
    sizes: dict[str, int] = {}
    with (
        lzma.open(options.archive, "wb", filters=FILTERS) as file,
        tarfile.open(fileobj=file, mode="w|", dereference=True) as packed,
    ):
        for name in (*PACKAGES, *(TRAINING_PACKAGES if options.pictures else ())):
            for inside, path in sorted(files_of(name)):
                packed.add(path, f"site/{inside}")
                sizes[name] = sizes.get(name, 0) + path.stat().st_size
        if not options.no_checkout:
            for member, content in committed():
                packed.addfile(member, content)
                sizes["checkout"] = sizes.get("checkout", 0) + member.size
        if options.pictures:
            for path in sorted(each for each in options.pictures.rglob("*") if each.is_file()):
                packed.add(path, f"pictures/{path.relative_to(options.pictures).as_posix()}")
                sizes["pictures"] = sizes.get("pictures", 0) + path.stat().st_size
    for name, size in sizes.items():
        print(f"{size / 1e6:8.1f} MB  {name}")
    size = options.archive.stat().st_size
    print(f"{size / 1e6:8.1f} MB  {options.archive}")
    if size > MOST_BYTES and not options.pictures:
        print(f"that is more than {MOST_BYTES / 1e6:.0f} MB", file=sys.stderr)
        return 1
    return 0


def files_of(distribution: str) -> Iterator[tuple[str, Path]]:
    """The path of each file in site-packages, and on this machine."""
    found = importlib.metadata.distribution(distribution)
    for each in found.files or ():
        inside, path = str(each), Path(str(each.locate()))
        if not inside.startswith("..") and path.is_file() and not DROPPED.search(inside):
            yield inside, path


def committed() -> Iterator[tuple[tarfile.TarInfo, io.BufferedIOBase | None]]:
    """The files of the last commit, under checkout/."""
    archive = subprocess.check_output(
        ["git", "archive", "--format=tar", "--prefix=checkout/", "HEAD"], cwd=REPOSITORY
    )
    with tarfile.open(fileobj=io.BytesIO(archive)) as tree:
        for member in tree:
            yield member, tree.extractfile(member)  # type: ignore[misc]


if __name__ == "__main__":
    sys.exit(main())
