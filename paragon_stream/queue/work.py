"""Renders one file of a run: a video by a render, a picture in tiles; engines are kept for later files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from paragon_stream.cluster.connection import Connection, parse_address
from paragon_stream.cluster.render import render_on_cluster
from paragon_stream.errors import CannotResume, UsageError
from paragon_stream.number_text import counted
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.option import part
from paragon_stream.pictures.job import upscale_picture
from paragon_stream.pictures.tiles import PictureUpscaler
from paragon_stream.queue.observer import QueueItem, QueueObserver
from paragon_stream.queue.progress import QueueProgress
from paragon_stream.queue.request import QueueRequest
from paragon_stream.render.kept import KeptUpscalers
from paragon_stream.render.plan import plan_render
from paragon_stream.render.progress import RenderProgress
from paragon_stream.render.request import RenderRequest
from paragon_stream.render.run import run
from paragon_stream.report import ImageResult, Report
from paragon_stream.verification.findings import Verification
from paragon_stream.verification.verifier import verify

type Show = Callable[[QueueProgress, float, float], None]
"""Takes progress, the part of the file that is done, and the part that an earlier run had done."""

_NO_RESUME = (".y4m",)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A result under its name. `error` is not empty if `verification` found something wrong."""

    bytes_out: int
    render: Report | None = None
    image: ImageResult | None = None
    verification: Verification | None = None
    error: str = ""


class Worker:
    """Renders file after file. Close it."""

    def __init__(self, request: QueueRequest, observer: QueueObserver, *, pictures_alone: bool) -> None:
        """With `pictures_alone` there are no videos, and all options apply to the pictures. Raises
        UsageError."""
        if request.cluster is not None:
            parse_address(request.cluster)
        elif request.chunk_seconds is not None:
            raise UsageError("--chunk-seconds is for --cluster")
        self._request, self._observer, self._alone = request, observer, pictures_alone
        self._kept = KeptUpscalers()
        self._connection: Connection | None = None
        self._pictures = PictureUpscaler(part(request, UpscalerOptions))

    @property
    def compiled(self) -> int:
        """Engines that were compiled for videos."""
        return self._kept.compiled

    def run(self, item: QueueItem, *, resume: bool, overwrite: bool, show: Show) -> Made:
        """Upscale the file. Raises the errors of `upscale` and `upscale_images`; an existing file with the
        target's name is unchanged then."""
        created = [folder for folder in item.target.parents if not folder.exists()]
        with suppress(OSError):  # the render reports it
            item.target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if item.file.is_picture:
                return self._picture(item, overwrite, show)
            return self._video(item, resume and item.target.suffix.lower() not in _NO_RESUME, overwrite, show)
        except BaseException:
            for folder in created:
                with suppress(OSError):  # not empty
                    folder.rmdir()
            raise

    def forget_engines(self) -> None:
        """Close all engines and the connection to a cluster, so that the next file does not use one that
        failed."""
        self._kept.clear()
        self._pictures.close()
        self._disconnect()

    def close(self) -> None:
        self._kept.close()
        self._pictures.close()
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _picture(self, item: QueueItem, overwrite: bool, show: Show) -> Made:
        def on_tile(tile: int, tiles: int) -> None:
            show(self._progress(item, tile=tile, tiles=tiles), tile / tiles, 0.0)

        output = self._request.of_picture(overwrite=overwrite, alone=self._alone)
        options = part(self._request, UpscalerOptions)
        result, _ = upscale_picture(self._pictures, options, item.file.path, item.target, output, on_tile)
        item.made = True
        for warning in result.warnings:
            self._observer.warning(item, warning)
        return Made(bytes_out=result.bytes_out, image=result)

    def _video(self, item: QueueItem, resume: bool, overwrite: bool, show: Show) -> Made:
        has_begun, free = False, 0.0

        def on_progress(progress: RenderProgress) -> None:
            nonlocal has_begun, free
            total = progress.total or 0
            part_done = min(1.0, progress.frames / total) if total else 0.0
            if progress.fps > 0:
                has_begun = True
            elif not has_begun:
                free = part_done  # frames of an earlier run
            show(self._progress(item, render=progress), part_done, free)

        try:
            report = self._render(item, resume, overwrite, on_progress)
        except CannotResume as error:  # after all other errors, the unfinished file can still be continued
            if self._request.resume or (item.target.exists() and not overwrite):
                raise
            self._observer.warning(item, f"started again from the first frame: {error}")
            report = self._render(item, False, True, on_progress)
        item.made = True
        if not self._request.verify:
            return Made(bytes_out=report.bytes_out, render=report)
        found = verify(report.source, report.destination, plan=report)
        first = "; ".join(map(str, found.findings[:3]))
        wrong = (
            ""
            if found.ok
            else f"{report.destination} is wrong ({counted(len(found.findings), 'finding')}): {first}"
        )
        return Made(bytes_out=report.bytes_out, render=report, verification=found, error=wrong)

    def _render(
        self, item: QueueItem, resume: bool, overwrite: bool, on_progress: Callable[[RenderProgress], None]
    ) -> Report:
        request = self._request.of_video(item.file.path, item.target, resume=resume, overwrite=overwrite)
        if self._request.cluster is not None:
            return self._render_on_cluster(item, request, self._request.cluster, on_progress)
        plan = plan_render(request)
        self._observer.rendering(item, plan)
        return run(
            plan,
            kept=self._kept,
            on_progress=on_progress,
            on_warning=lambda sentence: self._observer.warning(item, sentence),
        )

    def _render_on_cluster(
        self,
        item: QueueItem,
        request: RenderRequest,
        address: str,
        on_progress: Callable[[RenderProgress], None],
    ) -> Report:
        if self._connection is None:
            self._connection = Connection(address)  # for all files: a local cluster takes a while to start
        return render_on_cluster(
            request,
            address,
            chunk_seconds=self._request.chunk_seconds,
            on_plan=lambda plan: self._observer.rendering(item, plan),
            on_progress=on_progress,
            on_warning=lambda sentence: self._observer.warning(item, sentence),
        )

    def _progress(
        self, item: QueueItem, *, render: RenderProgress | None = None, tile: int = 0, tiles: int = 0
    ) -> QueueProgress:
        return QueueProgress(
            number=item.number,
            count=item.count,
            source=item.file.path,
            destination=item.target,
            part=0.0,
            eta=None,
            render=render,
            tile=tile,
            tiles=tiles,
        )
