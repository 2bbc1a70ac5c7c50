"""The plan of a render in chunks: what any machine needs to render one of them, as JSON."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from paragon_stream import __version__
from paragon_stream.chunks.folder import ChunkFolder
from paragon_stream.chunks.quality import why_no_chunks
from paragon_stream.chunks.ranges import CHUNK_SECONDS, Chunk, cut_into_chunks
from paragon_stream.errors import OutputError, UsageError
from paragon_stream.framejob.temporal import Temporal
from paragon_stream.json_text import json_text
from paragon_stream.media.encode.abilities import encoder_build
from paragon_stream.media.ffmpeg.versions import versions
from paragon_stream.media.frame_times import FrameTimes, frame_times
from paragon_stream.media.source.opening import check_local, check_name
from paragon_stream.media.source.pipes import is_pipe
from paragon_stream.number_text import counted
from paragon_stream.render.plan import RenderPlan, plan_render
from paragon_stream.render.request import RenderRequest

_FORMAT = 1
"""Version of the JSON format."""
_Y4M = "y4m and sequences of images cannot be written in chunks: give a video file"


@dataclass(frozen=True, kw_only=True)
class ChunkPlan:
    """A request, the identity of the render, and its chunks. All paths are absolute."""

    request: RenderRequest
    identity: Mapping[str, str]
    """`identity_of` the whole render. A chunk is rendered only on machines where it is the same."""
    builds: Mapping[str, str]
    """The versions of everything that decodes and encodes; they must be the same for every chunk."""
    chunks: tuple[Chunk, ...]
    from_start: str = ""
    """Why every chunk is read from the beginning of the file; "" where decoding begins near it."""

    @property
    def frames(self) -> int:
        """Number of frames that are rendered."""
        return sum(chunk.frames for chunk in self.chunks)

    @property
    def destination(self) -> Path:
        return Path(self.request.destination)

    @property
    def digest(self) -> str:
        """SHA-256 of everything that the chunks depend on, in hex."""
        facts = dict(self.identity), dict(self.builds), [asdict(chunk) for chunk in self.chunks]
        return hashlib.sha256(json_text(facts).encode()).hexdigest()

    def chunk(self, number: int) -> Chunk:
        """Raises UsageError for a number that is not in the plan."""
        if not 0 <= number < len(self.chunks):
            raise UsageError(
                f"there is no chunk {number}: they are numbered from 0 to {len(self.chunks) - 1}"
            )
        return self.chunks[number]

    def to_json(self) -> str:
        facts = {
            "format": _FORMAT,
            "request": json.loads(self.request.to_json()),
            "identity": dict(self.identity),
            "builds": dict(self.builds),
            "from_start": self.from_start,
            "chunks": [asdict(chunk) for chunk in self.chunks],
        }
        return json_text(facts, indent=1)

    @classmethod
    def from_json(cls, text: str) -> ChunkPlan:
        """The plan from the text of `to_json`. Raises OutputError for other texts."""
        try:
            found = json.loads(text)
            if found["format"] != _FORMAT:
                raise OutputError("this plan of chunks was made by another version of paragon-stream")
            return cls(
                request=RenderRequest.from_json(json.dumps(found["request"])),
                identity=found["identity"],
                builds=found["builds"],
                from_start=found["from_start"],
                chunks=tuple(_chunk(each) for each in found["chunks"]),
            )
        except (ValueError, KeyError, TypeError, UsageError) as error:
            raise OutputError(f"this is not a plan of chunks: {error}") from None


def plan_chunks(
    request: RenderRequest, *, seconds: float | None = None, workers: int = 0
) -> tuple[ChunkPlan, RenderPlan]:
    """Divide the render of `request` into chunks of about `seconds`; nothing is written.

    `workers` is the number of chunks that are rendered at the same time, if it is known; see
    `cut_into_chunks`. Returns the plan of the whole render, too. Raises the errors of `plan_render`, and
    UsageError for renders that are not possible in chunks.
    """
    whole = plan_whole(request)
    length = CHUNK_SECONDS if seconds is None else seconds
    return cut_whole(whole, frame_times(whole.source), length, workers), whole


def plan_whole(request: RenderRequest) -> RenderPlan:
    """The plan of a render that can be done in chunks; see `plan_chunks`."""
    check_name(request.source)
    check_name(request.destination)
    if str(request.destination) == "-":
        raise UsageError(_Y4M)
    if is_pipe(request.source):
        raise UsageError("a pipe can be read only once, and every chunk reads the source: give a file")
    check_local(request.source)
    whole = plan_render(absolute(request))
    job = whole.output.job
    if job is None:
        raise UsageError(_Y4M)
    if whole.request.network.temporal != Temporal.OFF:
        raise UsageError(
            "--temporal needs the frame before, and chunks are rendered separately: leave it out"
        )
    if why := why_no_chunks(job):
        raise UsageError(f"chunks need constant quality (--crf) or a lossless codec: {why}")
    return whole


def cut_whole(whole: RenderPlan, times: FrameTimes, seconds: float, workers: int = 0) -> ChunkPlan:
    """`whole` in chunks of about `seconds`. Raises UsageError."""
    if not 0 < seconds < math.inf:
        raise UsageError(f"--chunk-seconds must be a length above 0, not {seconds:g}")
    return ChunkPlan(
        request=whole.request,
        identity=whole.identity,
        builds=builds(whole),
        chunks=cut_into_chunks(times, seconds, workers),
        from_start=times.from_start,
    )


def builds(whole: RenderPlan) -> dict[str, str]:
    """The versions of what decodes and encodes on this machine."""
    assert whole.output.job is not None
    found = {"paragon-stream": __version__, **versions()}
    if build := encoder_build(whole.output.job):
        found[whole.output.job.encoder.name] = build
    return found


def differences(plan: ChunkPlan, here: RenderPlan, *, tracks: bool = True) -> list[str]:
    """The differences between this machine and the one that made `plan`, such as "PyAV 19.1 instead of 19.0".
    Without `tracks`, only differences of the video count."""
    found = builds(here)
    names = sorted(found.keys() | plan.builds.keys())
    sentences = [
        f"{name} {found.get(name, 'absent')} instead of {plan.builds.get(name, 'none')}"
        for name in names
        if found.get(name) != plan.builds.get(name)
    ]
    facts = plan.identity.keys() | here.identity.keys()
    changed = sorted(key for key in facts if plan.identity.get(key) != here.identity.get(key))
    sentences += [
        f"other {key}" for key in changed if (tracks or key != "tracks") and not key.endswith(" version")
    ]
    return sentences


def absolute(request: RenderRequest) -> RenderRequest:
    """`request` with absolute paths."""
    weights = request.weights
    if weights is not None and Path(weights).is_file():
        weights = str(Path(weights).absolute())
    return replace(
        request,
        source=str(Path(request.source).absolute()),
        destination=str(Path(request.destination).absolute()),
        weights=weights,
        add=tuple(str(Path(each).absolute()) for each in request.add),
    )


def load_plan(destination: Path) -> tuple[ChunkPlan, ChunkFolder]:
    """The plan in the work folder of `destination`. Raises OutputError if there is none."""
    folder = ChunkFolder(destination.absolute())
    text = folder.plan_text
    if text is None:
        raise OutputError(
            f"there is no plan of chunks for {destination}: make it with `paragon-stream chunks plan`"
        )
    return ChunkPlan.from_json(text), folder


def begin(plan: ChunkPlan) -> tuple[ChunkPlan, ChunkFolder]:
    """Write `plan` into its folder, or continue with the existing one.

    An existing plan of the same render is continued with `resume`, for the options of the present request;
    any plan is replaced with `overwrite`, and without it if no chunk is finished or being rendered. Raises
    OutputError otherwise.
    """
    folder = ChunkFolder(plan.destination)
    text = folder.plan_text
    request = plan.request
    if text is not None and (request.resume or not request.overwrite):
        there = ChunkPlan.from_json(text)
        changed = ", ".join(_changed(there, plan))
        if request.resume:
            if changed:
                raise OutputError(
                    f"the chunks in {folder.path} were made with different {changed}: repeat the "
                    "command that they were made with, or start again with --overwrite"
                )
            kept = replace(there, request=request)
            folder.write_plan(kept.to_json())
            return kept, folder
        if done := finished(there, folder):
            raise OutputError(
                f"{folder.path} has {counted(done, 'finished chunk')} of a render with different {changed}:"
                " --overwrite replaces what is there"
                if changed
                else f"{folder.path} has chunks of this render: --resume continues, --overwrite starts again"
            )
        if folder.is_busy:
            what = f"a render with different {changed}" if changed else "this render"
            raise OutputError(f"chunks of {what} are being made in {folder.path}: --overwrite replaces them")
    if text is not None:
        folder.clear()
    folder.write_plan(plan.to_json())
    return plan, folder


def finished(plan: ChunkPlan, folder: ChunkFolder) -> int:
    """Number of the plan's chunks that are finished."""
    return sum(folder.record(chunk.number, plan.digest) is not None for chunk in plan.chunks)


def _changed(there: ChunkPlan, plan: ChunkPlan) -> list[str]:
    """The names of the facts that differ."""
    then, now = {**there.identity, **there.builds}, {**plan.identity, **plan.builds}
    return [key for key in {**now, **then} if then.get(key) != now.get(key)]


def _chunk(found: Mapping[str, Any]) -> Chunk:
    start, end = found["start"], found["end"]
    return Chunk(
        number=found["number"],
        start=None if start is None else Fraction(start),
        end=None if end is None else Fraction(end),
        first_frame=found["first_frame"],
        frames=found["frames"],
    )
