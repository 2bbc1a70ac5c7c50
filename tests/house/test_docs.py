"""The targets of the documents' links exist."""

from __future__ import annotations

import ast
import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import click
import pytest
import yaml
from places import REPOSITORY

import paragon_stream
from paragon_stream.cli import upscale
from paragon_stream.cli.main import COMMANDS

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "engines/*.md", "filters/*.md", "examples/*.md")
    for path in REPOSITORY.glob(pattern)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
OUR_FILE = re.compile(
    r"`((?:scripts|tests|docs|examples|filters|engines|benchmarks|paragon_stream)/[\w./-]*)[ `]"
)


def broken_references(document: Path) -> list[str]:
    """Relative links, and names of our files in code quotes, that lead nowhere."""
    text = document.read_text("utf-8")
    links = [target.split("#")[0] for target in LINK.findall(text) if "://" not in target]
    missing = [link for link in links if link and not (document.parent / link).exists()]
    return missing + [name for name in OUR_FILE.findall(text) if not (REPOSITORY / name).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_references_lead_somewhere(document: Path) -> None:
    assert broken_references(document) == []


def test_a_broken_reference_is_noticed(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("[x](gone.md) [y](https://example.org/gone) `scripts/gone` `scripts/test -k x`")
    assert broken_references(document) == ["gone.md", "scripts/gone"]


def test_the_architecture_page_has_every_room_and_no_other_file() -> None:
    package = REPOSITORY / "paragon_stream"
    text = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", text))
    there = [f"{path}/" if path.is_dir() else str(path) for path in package.rglob("*")]
    gone = {name for name in named if not any(path.endswith(f"/{name}") for path in there)}
    assert {name for name in gone if not (REPOSITORY / name).exists()} == set()
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py", "__main__.py"}
    rooms = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert (modules | rooms) - named == set()


@pytest.mark.parametrize(
    "picture", sorted((REPOSITORY / "docs" / "images").glob("*.svg")), ids=lambda p: p.name
)
def test_pictures_are_well_formed(picture: Path) -> None:
    root = ET.parse(picture).getroot()
    assert root.find("{http://www.w3.org/2000/svg}title") is not None, (
        "readers who cannot see it need its title"
    )


def pages(entry: object) -> list[str]:
    """The files of a piece of mkdocs.yml's `nav`."""
    if isinstance(entry, str):
        return [entry]
    return [page for part in (entry.values() if isinstance(entry, dict) else entry) for page in pages(part)]


def test_every_page_is_in_the_navigation() -> None:
    text = (REPOSITORY / "mkdocs.yml").read_text("utf-8")
    listed = pages(yaml.safe_load(text)["nav"])
    there = [str(path.relative_to(REPOSITORY / "docs")) for path in (REPOSITORY / "docs").rglob("*.md")]
    assert sorted(listed) == sorted(there), "add new pages of docs/ to `nav` in mkdocs.yml"


def test_the_page_of_options_is_that_of_the_commands() -> None:
    spec = importlib.util.spec_from_file_location("make_options", REPOSITORY / "scripts" / "make_options.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text("utf-8") == script.page(), "run scripts/python scripts/make_options.py"


def options_of_commands() -> dict[str, set[str]]:
    """The options of every command and its subcommands, together; "" is the main form."""

    def options(command: click.Command) -> set[str]:
        own = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
        below = command.commands.values() if isinstance(command, click.Group) else ()
        return own.union({"--help", "--verbose", "--version"}, *map(options, below))

    found = {name: importlib.import_module(module) for name, (module, _) in COMMANDS.items()}
    return {name: options(module.command) for name, module in {"": upscale, **found}.items()}


def test_options_in_the_documents_exist() -> None:
    known, wrong = options_of_commands(), []
    for document in DOCUMENTS:
        for block in re.findall(r"```(?:sh)?\n(.*?)```", document.read_text("utf-8"), re.DOTALL):
            for line in re.findall(r"(?:^|\| )(?:\./)?paragon-stream ([^|#<\n]+)", block, re.MULTILINE):
                words = line.split()
                for option in [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]:
                    if option not in known[words[0] if words[0] in known else ""]:
                        wrong.append(f"{document.name}: {line}")
    assert wrong == []


def test_every_public_name_is_in_the_reference() -> None:
    text = (REPOSITORY / "docs" / "api.md").read_text("utf-8")
    errors = {name for name in paragon_stream.__all__ if is_error(name)}
    names = set(paragon_stream.__all__) - errors - {"__version__"}
    assert {name for name in names if f"::: paragon_stream.{name}\n" not in text} == set()
    assert "::: paragon_stream.errors\n" in text


def is_error(name: str) -> bool:
    found = getattr(paragon_stream, name)
    return isinstance(found, type) and issubclass(found, Exception)


def said_by_the_program() -> str:
    """All text literals of the package, and the fixed parts of its formatted ones."""
    literals = (
        node.value
        for path in (REPOSITORY / "paragon_stream").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return "\n".join(literals)


def test_the_messages_of_the_troubleshooting_page_exist() -> None:
    text = (REPOSITORY / "docs" / "troubleshooting.md").read_text("utf-8")
    messages = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    said = said_by_the_program()
    assert len(messages) > 10
    assert [message for message in messages if message not in said] == []
