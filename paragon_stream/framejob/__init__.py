"""Checkpoint + frame format → frame job: everything between the planes of two formats, as folded arrays."""

from paragon_stream.framejob.job import FrameJob, build_job
from paragon_stream.framejob.planes import allocate_planes

__all__ = ["FrameJob", "allocate_planes", "build_job"]
