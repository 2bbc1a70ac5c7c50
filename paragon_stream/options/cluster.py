"""The options of a render on several machines."""

from __future__ import annotations

from dataclasses import dataclass

from paragon_stream.options.option import option


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Rendering on several machines; see docs/cluster.md."""

    cluster: str | None = option(
        None,
        "Render on a Ray cluster: auto (this machine's), local (only this machine) or host:port.",
        metavar="ADDRESS",
    )
    chunk_seconds: float | None = option(
        None, "With --cluster: length of the pieces (default: 30, less for many machines).", metavar="S"
    )
