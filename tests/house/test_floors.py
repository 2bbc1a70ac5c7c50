"""The plan of the house, read off the source: who may import whom, where each foreign library lives."""

from __future__ import annotations

import ast
import functools
import graphlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from places import REPOSITORY

PACKAGE = REPOSITORY / "paragon_stream"

FLOORS = (
    ("errors", "options"),
    ("pixels",),
    ("frame", "resource_usage", "datafiles", "wholefile", "json_text", "number_text", "callbacks"),
    ("geometry",),
    ("device", "native"),
    ("pipeline",),
    ("media", "checkpoint"),
    ("framejob", "models"),
    ("runtimes",),
    ("upscaler", "report", "profiles", "frame_properties"),
    ("pictures", "render"),
    ("chunks",),
    ("cluster",),
    (
        "api",
        "livestream",
        "onnx_export",
        "engine_cache",
        "vapoursynth",
        "train",
        "verification",
    ),
    ("queue", "sample", "bench"),
    ("doctor",),
    ("cli",),
    ("__init__", "__main__"),
)
"""Bottom first. A module imports from its own area (one name here) and from floors below."""

MEDIA_FLOORS = (
    ("timecode", "checksum"),
    ("ffmpeg", "matroska", "mp4", "mpeg"),
    ("source",),
    ("facts",),
    ("quantisers",),
    ("decode",),
    ("frames",),
    ("safekeeping",),
    ("encode",),
    ("output", "measure"),
    ("images", "live"),
    ("prepare", "sink", "frame_times"),
    ("browser",),
)
"""The rooms of `media/`, bottom first, under the same rule: a frame's way from the file to the file."""

MOST_MODULES = 24
"""Largest number of modules in one folder of the package."""

HOMES = {
    "av": ("media",),
    "click": ("cli",),
    "cuda": ("device.cuda", "runtimes.gpu.nvrtc"),
    "onnx": ("framejob", "checkpoint.onnx_file", "runtimes", "onnx_export"),
    "onnxruntime": ("runtimes",),
    "openvino": ("runtimes",),
    "PIL": ("train",),
    "ray": ("cluster",),
    "rich": ("cli",),
    "safetensors": ("checkpoint",),
    "simplejpeg": ("media",),
    "tensorrt": ("runtimes.tensorrt",),
    "tensorrt_rtx": ("runtimes.tensorrt_rtx",),
    "torch": ("models", "train", "framejob.emit_torch", "runtimes.torch", "runtimes.gpu.torch_program"),
    "vapoursynth": ("vapoursynth",),
    "wgpu": ("device.webgpu", "device.webgpu_adapters", "runtimes.webgpu"),
    "yaml": ("checkpoint",),
}
"""The modules (with all below them) that may import a foreign library: there its exceptions are mapped."""

OPTIONAL = ("cuda", "ray", "tensorrt", "tensorrt_rtx", "torch", "wgpu")
STDLIB_ONLY = (
    "errors",
    "callbacks",
    "options",
    "pixels",
    "frame",
    "geometry",
    "resource_usage",
    "datafiles",
    "wholefile",
    "json_text",
    "number_text",
    "pipeline",
)
FOREIGN = {*HOMES, "numpy", "platformdirs"}


@dataclass(frozen=True)
class Import:
    """`module` imports `target`, both as dotted names inside the package, or a foreign top-level name."""

    module: str
    target: str
    foreign: bool
    eager: bool
    """True if the import runs when the module does: not inside a function, not for type checkers only."""

    def __str__(self) -> str:
        return f"{self.module} imports {self.target}"


def area(module: str) -> str:
    return module.split(".")[0]


def imports_of(module: str, tree: ast.Module) -> Iterator[Import]:
    """Every import statement in `tree`, at any depth."""

    def visit(node: ast.AST, eager: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            eager = False
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            eager = False
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import; the house writes them out"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            head, _, rest = name.partition(".")
            inside = head == PACKAGE.name
            yield Import(module, (rest or "__init__") if inside else head, not inside, eager)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, eager)

    yield from visit(tree, True)


@functools.cache
def modules() -> dict[str, Path]:
    """Dotted name inside the package → file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@functools.cache
def all_imports() -> list[Import]:
    return [each for name, path in modules().items() for each in imports_of(name, tree_of(path))]


def climbing(imports: list[Import]) -> list[str]:
    """Imports from the same or a higher floor, other than from the module's own area."""
    floor_of = {name: number for number, names in enumerate(FLOORS) for name in names}
    wrong = []
    for each in imports:
        target = area(each.target) if area(each.target) in floor_of else "__init__"
        if each.foreign or target == area(each.module) or each.target == "__version__":
            continue
        if floor_of[target] >= floor_of[area(each.module)]:
            wrong.append(str(each))
    return wrong + climbing_in_media(imports)


def climbing_in_media(imports: list[Import]) -> list[str]:
    """Imports from the same or a higher floor of `media/`, other than from the module's own room."""
    floor_of = {name: number for number, names in enumerate(MEDIA_FLOORS) for name in names}
    wrong = []
    for each in imports:
        own, target = each.module.split("."), each.target.split(".")
        inside = own[0] == target[0] == "media" and not each.foreign and len(own) > 1 and own[1] != target[1]
        if inside and floor_of[target[1]] >= floor_of[own[1]]:
            wrong.append(str(each))
    return wrong


def strays(imports: list[Import]) -> list[str]:
    """Foreign libraries away from home."""
    wrong = []
    for each in imports:
        homes = HOMES.get(each.target, ())
        if each.foreign and homes and not f"{each.module}.".startswith(tuple(f"{home}" for home in homes)):
            wrong.append(str(each))
        if each.foreign and area(each.module) in STDLIB_ONLY and each.target in FOREIGN:
            wrong.append(f"{each}, but {area(each.module)} is for the standard library only")
    return wrong


def test_every_module_stands_on_a_floor() -> None:
    floors = {name for names in FLOORS for name in names}
    assert {area(module) for module in modules()} <= floors


def test_every_room_of_media_stands_on_a_floor() -> None:
    floors = {name for names in MEDIA_FLOORS for name in names}
    assert {module.split(".")[1] for module in modules() if module.startswith("media.")} <= floors


def test_no_folder_is_crowded() -> None:
    folders = Counter(path.parent for path in modules().values())
    assert {str(folder): count for folder, count in folders.items() if count > MOST_MODULES} == {}


def test_imports_go_down() -> None:
    assert climbing(all_imports()) == []


def test_foreign_libraries_live_where_they_belong() -> None:
    assert strays(all_imports()) == []


def test_no_import_cycles() -> None:
    names = modules()
    graph: dict[str, set[str]] = {name: set() for name in names}
    for each in all_imports():
        if each.foreign:
            continue
        target = each.target if each.target in names else each.target.rpartition(".")[0]
        if target in names and target != each.module:
            graph[each.module].add(target)
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    ("module", "source", "offences"),
    [
        ("pipeline.channel", "from paragon_stream.runtimes.base import Session", 1),
        ("media.frames.reader", "def f():\n    import paragon_stream.api", 1),
        ("media.frames.reader", "from paragon_stream import framejob", 1),
        (
            "media.decode.decoder",
            "def f():\n    from paragon_stream.media.frames.reader import open_video",
            1,
        ),
        ("api", "import av", 1),
        ("pipeline.slot", "import numpy as np", 1),
        ("checkpoint.reader", "if True:\n    from torch import nn", 1),
        (
            "media.frames.reader",
            "import av\nfrom paragon_stream.errors import InputError\nimport threading",
            0,
        ),
    ],
)
def test_the_rules_above_can_be_broken(module: str, source: str, offences: int) -> None:
    imports = list(imports_of(module, ast.parse(source)))
    assert len(climbing(imports) + strays(imports)) == offences


def test_nothing_prints_outside_the_command_line() -> None:
    loud = [
        f"{name}:{node.lineno}"
        for name, path in modules().items()
        if area(name) != "cli"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Name) and node.id == "print"
    ]
    assert loud == []


def test_no_environment_variable_is_read() -> None:
    """Writing a default for a library that only listens to the environment is no reading."""
    readers = []
    for name, path in modules().items():
        nodes = list(ast.walk(tree_of(path)))
        written = {id(n.value) for n in nodes if isinstance(n, ast.Attribute) and n.attr == "setdefault"}
        readers += [
            f"{name}:{node.lineno}"
            for node in nodes
            if isinstance(node, ast.Attribute)
            and node.attr in ("environ", "getenv")
            and id(node) not in written
        ]
    assert readers == []


@pytest.mark.parametrize("folder", ["paragon_stream", "scripts", "benchmarks", "examples"])
def test_modules_stay_short(folder: str) -> None:
    lengths = {
        str(path.relative_to(REPOSITORY)): len(path.read_text("utf-8").splitlines())
        for path in (REPOSITORY / folder).rglob("*.py")
    }
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_the_scripts_that_people_and_ci_share_are_short() -> None:
    for name in ("check", "test", "python"):
        assert len((REPOSITORY / "scripts" / name).read_text().splitlines()) <= 20


def test_every_module_says_what_it_is_for() -> None:
    silent = [name for name, path in modules().items() if not ast.get_docstring(tree_of(path))]
    assert silent == []


def loaded_by(statement: str) -> set[str]:
    """Top-level names that a fresh interpreter has loaded after `statement`."""
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    return set(answer.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_by("import paragon_stream") & FOREIGN


def test_help_loads_nothing_heavy() -> None:
    assert not loaded_by("import paragon_stream.cli.main") & (FOREIGN - {"click"})


def test_files_that_are_not_read_load_no_reader() -> None:
    """ONNX as a checkpoint, YAML as a configuration: most renders have neither."""
    assert not loaded_by("import paragon_stream.cli.probe, paragon_stream.api") & {"onnx", "yaml"}


def test_the_run_time_path_never_loads_torch() -> None:
    loud = ("models", "train", "vapoursynth", "__main__")
    optional = {home for name in OPTIONAL for home in HOMES[name]}
    quiet = [name for name in modules() if area(name) not in loud and name not in optional]
    statement = "\n".join(f"import paragon_stream.{name}" for name in quiet if name != "__init__")
    loaded = loaded_by(statement)
    assert "av" in loaded
    assert not loaded & {"torch", "vapoursynth", "PIL"}
