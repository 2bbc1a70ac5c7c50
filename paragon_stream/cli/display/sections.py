"""Headings in the help of commands with many options."""

from __future__ import annotations

import inspect
from typing import Any

import click

from paragon_stream.options.cluster import ClusterOptions
from paragon_stream.options.folder import FolderOptions
from paragon_stream.options.live import CaptureOptions, LiveOutputOptions
from paragon_stream.options.network import EngineOptions, NetworkOptions
from paragon_stream.options.option import Options
from paragon_stream.options.output import (
    CautionOptions,
    CodecOptions,
    MuxingOptions,
    OutputOptions,
    StorageOptions,
    TrackOptions,
)
from paragon_stream.options.source import FieldOptions, SourceOptions

NETWORK = "Network and size"
_SECTIONS: dict[type[Options], str] = {
    NetworkOptions: NETWORK,
    EngineOptions: "Engine",
    FieldOptions: "Source",
    SourceOptions: "Source",
    CaptureOptions: "Source",
    StorageOptions: "Encoder and output",
    CodecOptions: "Encoder and output",
    LiveOutputOptions: "Encoder and output",
    TrackOptions: "Tracks",
    MuxingOptions: "Encoder and output",
    CautionOptions: "Resuming, losses, repeated frames",
    OutputOptions: "Resuming, losses, repeated frames",
    FolderOptions: "Folders",
    ClusterOptions: "Ray cluster",
}
"""Headings in the help of `SectionedCommand`, by the class that defines an option."""
_OWN, _OTHERS = "Options", "Other options"


class SectionedOption(click.Option):
    """An option with a heading in the help of its command."""

    def __init__(self, *arguments: Any, section: str | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help shows options under headings.

    Options without a heading are the command's own if they are defined before the others, and come first;
    those that are defined later come last.
    """

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, records in sections_of(self, ctx).items():
            with formatter.section(heading):
                formatter.write_dl(records)


def sections_of(command: click.Command, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
    """The options of a command under their headings, in the order of its help: forms and meaning of each."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None or not isinstance(parameter, click.Option):
            continue
        shared = parameter.section if isinstance(parameter, SectionedOption) else None
        heading = shared or (_OTHERS if sections.keys() - {_OWN} else _OWN)
        sections.setdefault(heading, []).append(record)
    if _OTHERS in sections:
        sections[_OTHERS] = sections.pop(_OTHERS)  # the last
    return sections


def section_of(kind: type[Options], name: str) -> str | None:
    """The heading of the field `name` of `kind`; None if it has none."""
    owner = next(each for each in kind.__mro__ if name in inspect.get_annotations(each))
    return _SECTIONS.get(owner)
