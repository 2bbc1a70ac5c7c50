"""Compilation that all GPU engines share: choice of GPUs, tiles if memory is short, the check at the
start."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from functools import partial

from paragon_stream.device import Device
from paragon_stream.device.discovery import LOADING_ERRORS, ordinals
from paragon_stream.errors import DeviceMemoryError, EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.runtimes.base import Session, SessionOptions
from paragon_stream.runtimes.gpu.program import Load
from paragon_stream.runtimes.gpu.session import DeviceSession
from paragon_stream.runtimes.gpu.team import DeviceTeam
from paragon_stream.runtimes.registry import cpu_reference
from paragon_stream.runtimes.self_check import check_engine
from paragon_stream.runtimes.tiles import TiledSession, needs_whole_frame, tile_size

logger = logging.getLogger(__name__)


def open_device(ordinal: int) -> Device:
    """The CUDA device of that number. Raises EngineError without it."""
    try:
        from paragon_stream.device.cuda import CudaDevice
    except LOADING_ERRORS as error:
        raise EngineError(f"the package cuda-bindings cannot be loaded: {error}") from error
    return CudaDevice(ordinal)


def compile_on_gpus(job: FrameJob, options: SessionOptions, load_for: Callable[[FrameJob], Load]) -> Session:
    """A session of `job` on the GPU, or GPUs, that `options` name.

    Raises UsageError for an invalid name, and EngineError: see `compile_on_device` and `DeviceTeam`.
    """
    openers = [partial(open_device, ordinal) for ordinal in ordinals(options.device)]
    return compile_on_devices(job, openers, load_for)


def compile_on_devices(
    job: FrameJob,
    openers: Sequence[Callable[[], Device]],
    load_for: Callable[[FrameJob], Load],
    reference: Callable[[FrameJob], Session] = cpu_reference,
    *,
    graphs: bool = True,
) -> Session:
    """`compile_on_device` for each of `openers`, combined to one session.

    A device that needs tiles is used only if it is the only one: others would wait for it.
    """
    sessions: list[Session] = []
    try:
        for opener in openers:
            sessions.append(compile_on_device(job, opener, load_for, reference, graphs=graphs))
        whole = [session for session in sessions if isinstance(session, DeviceSession)]
        kept: Sequence[Session] = whole or sessions[:1]
        for session in [session for session in sessions if session not in kept]:
            logger.warning("%s is not used: whole frames do not fit into its memory", session.device)
            sessions.remove(session)
            session.close()
        return DeviceTeam(whole) if len(whole) > 1 else kept[0]
    except BaseException:
        for session in sessions:
            session.close()
        raise


def compile_on_device(
    job: FrameJob,
    open_device: Callable[[], Device],
    load_for: Callable[[FrameJob], Load],
    reference: Callable[[FrameJob], Session] = cpu_reference,
    *,
    graphs: bool = True,
) -> Session:
    """A session of `job` that has computed one frame correctly; in tiles, if the device's memory is too small
    and the network allows them.

    Raises EngineError for a wrong result, the errors of `load_for` and the device, and DeviceMemoryError if
    even small tiles do not fit.
    """

    def compile_whole(fitting: FrameJob) -> DeviceSession:
        load = load_for(fitting)
        return DeviceSession(
            fitting,
            open_device(),
            load,
            second_opinion=lambda: reference(fitting),
            graphs=graphs,
        )

    def check(session: Session) -> None:
        check_engine(session, reference)

    return _fitting(job, compile_whole, check)


def _fitting(
    job: FrameJob, compile_whole: Callable[[FrameJob], Session], check: Callable[[Session], object]
) -> Session:
    """A checked session for whole frames, or for tiles, each attempt a quarter of the size of the last one.

    The check is part of the attempt, because libraries may allocate memory only with the first frame.
    """
    size, working_set = (job.source.height, job.source.width), job.working_set
    session, short = _attempt(lambda: compile_whole(job), check)
    while session is None:
        if job.spec.sees_whole_frame:
            raise DeviceMemoryError(needs_whole_frame(job, f"more than the GPU's ({short})"))
        gc.collect()  # objects in a reference cycle with their exception would keep their memory
        working_set //= 4
        smaller = tile_size(job, working_set)
        if smaller == size:
            tiles = f"{size[1]}×{size[0]}"
            raise DeviceMemoryError(
                f"{job.source} does not fit into the GPU's memory, not even in tiles of {tiles}: {short}"
            )
        size = smaller
        logger.warning(
            "%s does not fit into the GPU's memory; trying tiles of %d×%d", job.source, *size[::-1]
        )
        session, short = _attempt(partial(TiledSession, job, *size, compile_whole), check)
    return session


def _attempt(
    compile_it: Callable[[], Session], check: Callable[[Session], object]
) -> tuple[Session | None, str]:
    """The session, or the message of a lack of memory. Raises all other errors.

    The function returns only the message, because the exception's traceback would keep the failed session,
    and with it the memory that the next attempt needs.
    """
    try:
        session = compile_it()
        try:
            check(session)
        except BaseException:
            session.close()
            raise
    except DeviceMemoryError as error:
        return None, str(error)
    return session, ""
