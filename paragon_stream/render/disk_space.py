"""Tests before the first frame whether the disk has room for the output."""

from __future__ import annotations

import shutil

from paragon_stream.byte_text import size
from paragon_stream.media.encode.workdir import work_folder
from paragon_stream.render.plan import RenderPlan


def space_warnings(plan: RenderPlan) -> list[str]:
    """A sentence where the estimated output is larger than what is free in its folder; empty elsewhere.

    An unfinished file that is continued stays until the new one has what it has.
    """
    destination, wanted = plan.output.destination, plan.estimated_bytes
    if destination is None or wanted is None:
        return []
    try:
        free = shutil.disk_usage(destination.parent).free
        there = work_folder(destination) / destination.name
        done = there.stat().st_size if plan.output.options.resume and there.exists() else 0
    except OSError:
        return []  # opening the output says what is wrong
    wanted = max(done, wanted - done)
    if wanted <= free:
        return []
    return [
        f"the output may not fit: it needs about {size(wanted)}, and {size(free)} are free in"
        f" {destination.parent}; a render that stops for lack of room is kept for --resume"
    ]
