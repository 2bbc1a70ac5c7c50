"""Decides what happens to a file when its turn comes, by the journal and by the file at its result's path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from paragon_stream.errors import InputError
from paragon_stream.media.source.fingerprint import fingerprint
from paragon_stream.queue.journal import FileFacts, Record, State

CONTENTS = "contents"
"""The key of a record's options that has the fingerprints of files: option → fingerprint or list of them."""


class Action(StrEnum):
    """The treatment of a file."""

    RUN = "run"
    LEAVE = "left alone"
    REFUSE = "refused"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What happens to a file, and why. `resume` and `overwrite` are options of the render; `why` is a
    sentence about an unusual treatment."""

    action: Action
    resume: bool = False
    overwrite: bool = False
    why: str = ""


def decide(
    record: Record | None,
    source: Path,
    target: Path,
    choices: Mapping[str, Any],
    *,
    overwrite: bool,
    resume: bool,
) -> Decision:
    """Decide what happens to a file. `record` is its last record in the journal that has the same `target`,
    `choices` are the present options."""
    existing = FileFacts.of(target)
    same_source = record is not None and _is_same_source(record, source)
    same_choices = record is not None and not _differences(record.options, choices)
    begun = record is not None and record.state is not State.FINISHED
    tried = begun and same_source and same_choices
    if record is None or record.written is None:
        if existing is None or overwrite:
            return Decision(action=Action.RUN, resume=resume or tried, overwrite=overwrite)
        if resume:
            return Decision(action=Action.LEAVE, why=f"{target} was there already: it was not examined")
        return Decision(action=Action.RUN)  # which fails: the file is not ours
    ours = record.written.same_times(existing)
    if existing is None:
        return Decision(
            action=Action.RUN, resume=tried, overwrite=overwrite, why=f"{target} is gone: it is made again"
        )
    if not begun and same_source and same_choices:
        if ours:
            return Decision(action=Action.LEAVE)
        if not overwrite:
            return Decision(action=Action.LEAVE, why=f"{target} was changed since it was made: it is kept")
        return Decision(action=Action.RUN, overwrite=True)
    if not ours and not overwrite:
        return Decision(
            action=Action.REFUSE, why=f"{target} was changed since it was made: --overwrite makes it again"
        )
    if not same_source:
        return Decision(
            action=Action.RUN, overwrite=True, why=f"{source} was changed: {target} is made again"
        )
    if not same_choices and not overwrite:
        other = _differences(record.options, choices)
        verb = "begun" if begun else "made"
        return Decision(
            action=Action.REFUSE,
            why=f"{target} was {verb} with a different {', '.join(other)}: --overwrite makes it again",
        )
    return Decision(action=Action.RUN, resume=begun and (resume or tried), overwrite=True)


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names of the options that differ. Files count by their content, not by the spelling of their paths,
    if both have it: records of earlier versions have the paths alone."""
    contents = [options.get(CONTENTS, {}) for options in (then, now)]
    both = contents[0].keys() & contents[1].keys()
    names = sorted({*then, *now} - {CONTENTS} - both)
    other = [name for name in names if then.get(name) != now.get(name)]
    return sorted([*other, *(name for name in both if contents[0][name] != contents[1][name])])


def _is_same_source(record: Record, source: Path) -> bool:
    """Whether the source is unchanged, by its times or else by its content."""
    now = FileFacts.of(source)
    if record.read is None or now is None:
        return False
    if record.read.same_times(now):
        return True
    try:
        return bool(record.read.content) and record.read.content == fingerprint(source)
    except InputError:
        return False
