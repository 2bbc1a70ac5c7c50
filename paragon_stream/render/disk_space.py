"""Tests before the first frame whether the disk has room for the output."""

from __future__ import annotations

import shutil

from paragon_stream.media.encode.workdir import work_folder
from paragon_stream.number_text import size
from paragon_stream.render.plan import RenderPlan


def space_warnings(plan: RenderPlan) -> list[str]:
    """A warning if the estimated output is larger than the free space in its folder; else empty.

    With `--resume`, the unfinished file is deleted only when the new one contains all of its packets.
    """
    destination, wanted = plan.output.destination, plan.estimated_bytes
    if destination is None or wanted is None:
        return []
    try:
        free = shutil.disk_usage(destination.parent).free
        unfinished = work_folder(destination) / destination.name
        done = unfinished.stat().st_size if plan.output.options.resume and unfinished.exists() else 0
    except OSError:
        return []  # opening the output reports it
    wanted = max(done, wanted - done)
    if wanted <= free:
        return []
    return [
        f"the output may not fit: it needs about {size(wanted)}, and {size(free)} are free in"
        f" {destination.parent}; a render that fills the disk is kept for --resume"
    ]
