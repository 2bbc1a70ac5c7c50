"""Write docs/options.md: every command with its options, from the texts of `--help`.

    scripts/python scripts/make_options.py

The page is a plain file, so that it can be read in the repository too. A test compares it with the commands.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from paragon_stream.cli.display.sections import sections_of
from paragon_stream.cli.main import COMMANDS, MAIN, SETTINGS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "options.md"

INTRO = """# Options

The texts of `--help` of every command, written by `scripts/make_options.py`. Environment variables never
change a result.
"""

EVERYWHERE = ("-h, --help", "--help", "--version")
"""Options of every command, which the page leaves out."""


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written to {PAGE}")


def page() -> str:
    """The whole page."""
    parts = [INTRO]
    for name, module in {"": MAIN, **{name: module for name, (module, _) in COMMANDS.items()}}.items():
        command: click.Command = importlib.import_module(module).command
        # click keeps the help option that it makes first: it must be the program's, with -h.
        ctx = click.Context(command, info_name=f"paragon-stream {name}".strip(), **SETTINGS)
        parts += chapter(command, ctx)
    return "\n".join(parts)


def chapter(command: click.Command, ctx: click.Context) -> Iterator[str]:
    """A command: its usage, what it does, a table for each group of options; then its subcommands."""
    usage = command.collect_usage_pieces(ctx)
    yield f"## {ctx.command_path}\n"
    yield f"```\n{' '.join([ctx.command_path, *usage])}\n```\n"
    yield plain(inspect.cleandoc(command.help or "")) + "\n"
    for heading, records in sections_of(command, ctx).items():
        rows = [
            f"| `{cell(forms)}` | {cell(plain(meaning))} |"
            for forms, meaning in records
            if forms not in EVERYWHERE
        ]
        if rows:
            yield "\n".join([f"| {heading} | |", "|---|---|", *rows, ""])
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from chapter(below, click.Context(below, info_name=name, parent=ctx))


def plain(text: str) -> str:
    """A text without the signs of Markdown: globs have stars."""
    return text.replace("*", "\\*")


def cell(text: str) -> str:
    """A text in a cell of a table."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
