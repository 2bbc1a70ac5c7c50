"""What all engines on GPUs do alike: which GPUs, tiles where memory is short, the check at the start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from paragon_stream.device import Device
from paragon_stream.device.discovery import ordinals
from paragon_stream.errors import DeviceMemoryError, EngineError
from paragon_stream.framejob.job import FrameJob
from paragon_stream.runtimes.base import Precision, Session, SessionOptions
from paragon_stream.runtimes.gpu.program import Load
from paragon_stream.runtimes.gpu.session import DeviceSession
from paragon_stream.runtimes.gpu.team import DeviceTeam
from paragon_stream.runtimes.self_check import check_engine
from paragon_stream.runtimes.tiles import TiledSession, tile_size

logger = logging.getLogger(__name__)


def open_device(ordinal: int) -> Device:
    """The CUDA device of that number. Raises EngineError without it."""
    try:
        from paragon_stream.device.cuda import CudaDevice
    except ImportError as error:
        raise EngineError(f"the package cuda-bindings is missing: {error}") from error
    return CudaDevice(ordinal)


def cpu_reference(job: FrameJob) -> Session:
    """`job` in fp32 on the CPU: what devices are compared with, and what computes frames that they cannot."""
    from paragon_stream.runtimes.openvino import RUNTIME

    return RUNTIME.compile(job, SessionOptions(precision=Precision.FP32))


def compile_on_gpus(job: FrameJob, options: SessionOptions, load_for: Callable[[FrameJob], Load]) -> Session:
    """A session of `job` on the GPU that `options` name, or on all of them.

    Raises UsageError for no GPU's name, and EngineError: see `compile_on_device` and `DeviceTeam`.
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
    """`compile_on_device` for each of `openers`, as one session.

    A device that computes in tiles works alone or not at all: others would wait for it.
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
    """A session of `job` that has computed one frame right; in tiles, where the device's memory is too small.

    Raises EngineError: for a device that computes something else, and what `load_for` and the device raise;
    DeviceMemoryError if even small tiles do not fit.
    """

    def compile_whole(fitting: FrameJob) -> DeviceSession:
        return DeviceSession(
            fitting,
            open_device(),
            load_for(fitting),
            second_opinion=lambda: reference(fitting),
            graphs=graphs,
        )

    session = _fitting(job, compile_whole)
    try:
        check_engine(session, reference)
    except BaseException:
        session.close()
        raise
    return session


def _fitting(job: FrameJob, compile_whole: Callable[[FrameJob], Session]) -> Session:
    """The frame at once, or in tiles a quarter of what did not fit."""
    size, working_set = (job.source.height, job.source.width), job.working_set
    try:
        return compile_whole(job)
    except DeviceMemoryError as error:
        short = error
    while True:
        working_set //= 4
        smaller = tile_size(job, working_set)
        if smaller == size:
            tiles = f"{size[1]}×{size[0]}"
            raise DeviceMemoryError(
                f"{job.source} does not fit into the GPU's memory, not even in tiles of {tiles}: {short}"
            ) from short
        size = smaller
        logger.warning(
            "%s does not fit into the GPU's memory; trying tiles of %d×%d", job.source, *size[::-1]
        )
        try:
            return TiledSession(job, *size, compile_whole)
        except DeviceMemoryError as error:
            short = error
