"""`upscale(…, cluster=…)`: a render in chunks on a Ray cluster, from the request to the file."""

from __future__ import annotations

from collections.abc import Callable

from paragon_stream import resource_usage
from paragon_stream.chunks.join import join_chunks
from paragon_stream.chunks.plan import begin, cut_whole, finished, plan_whole
from paragon_stream.chunks.ranges import CHUNK_SECONDS
from paragon_stream.cluster.connection import LOCAL, Connection, load_ray, parse_address
from paragon_stream.cluster.driver import Driver, weights_data
from paragon_stream.cluster.worker_pool import capacity_of, nodes_of
from paragon_stream.media.frame_times import FrameTimes, frame_times
from paragon_stream.render.plan import RenderPlan
from paragon_stream.render.progress import OnProgress
from paragon_stream.render.request import RenderRequest
from paragon_stream.report import Report, Warnings

_CHUNKS_EACH = 4
"""Chunks per worker that there should be, so that all end at about the same time."""
_SHORTEST = 8.0
"""Seconds: chunks are not made shorter than this for the sake of many workers."""


def render_on_cluster(
    request: RenderRequest,
    address: str,
    *,
    chunk_seconds: float | None = None,
    on_plan: Callable[[RenderPlan], None] | None = None,
    on_progress: OnProgress | None = None,
    on_warning: Callable[[str], None] | None = None,
    usage: resource_usage.Usage | None = None,
) -> Report:
    """Render `request` on the Ray cluster at `address`: "auto", "local" or "host:port".

    With `resume`, the chunks that an earlier run has rendered are kept. Raises what `upscale` raises;
    UsageError for what cannot be rendered in chunks; EngineError where no cluster answers, none of its
    machines can render, or a chunk fails wherever it is rendered. After that, and after KeyboardInterrupt,
    finished chunks stay for `resume`.
    """
    usage = usage or resource_usage.Usage()
    if parse_address(address) != LOCAL:
        load_ray()
    warnings = Warnings(on_warning)
    whole = plan_whole(request)
    if on_plan is not None:
        on_plan(whole)
    times = frame_times(whole.source)
    warnings.add(whole.warnings)
    with Connection(address) as connection:
        workers = sum(
            capacity_of(node, request.engine, request.threads, local=connection.local).workers
            for node in nodes_of(connection.ray)
        )
        seconds = _chunk_seconds(times, max(workers, 1)) if chunk_seconds is None else chunk_seconds
        plan, folder = begin(cut_whole(whole, times, seconds, workers))
        driver = Driver(connection, plan, folder, weights_data(plan.request.weights), warnings, on_progress)
        try:
            driver.run()
        except BaseException:
            if finished(plan, folder):
                warnings.add([f"kept the finished chunks, --resume continues with them: {folder.path}"])
            raise
    return join_chunks(
        plan,
        folder,
        whole=whole,
        on_progress=on_progress,
        on_warning=on_warning,
        usage=usage,
        tries=driver.schedule.tries(),
        warnings=warnings,
    )


def _chunk_seconds(times: FrameTimes, workers: int) -> float:
    """The usual length, or less where workers would have too few chunks each."""
    length = float(times.shown[-1] - times.shown[0])
    if times.from_start:
        # Each is decoded from the beginning: as few as there can be.
        return max(CHUNK_SECONDS, length / workers)
    return min(CHUNK_SECONDS, max(_SHORTEST, length / (workers * _CHUNKS_EACH)))
