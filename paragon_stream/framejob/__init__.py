"""Builds frame jobs: a checkpoint and two frame formats become folded arrays that map planes to planes."""

from paragon_stream.framejob.job import FrameJob, build_job
from paragon_stream.framejob.planes import allocate_planes

__all__ = ["FrameJob", "allocate_planes", "build_job"]
