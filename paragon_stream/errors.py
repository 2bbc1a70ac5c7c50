"""The exception tree.

Every error that this package raises on purpose is a `ParagonError`; the exceptions of foreign libraries
are mapped to one of these at the single module that imports the library.

    ParagonError                exit code 1
    ├── UsageError              exit code 2: the request makes no sense (unknown variant, engine, codec …)
    ├── InputError              the source cannot be read, or holds nothing to upscale
    ├── OutputError             the destination cannot be written
    │   └── ConsumerGone        the program that read the output has left
    ├── LossError               `strict` was asked for and something would be lost
    ├── FormatError             a pixel format, colour space or size that cannot be processed
    ├── CheckpointError         weights that are missing, damaged, or not what they are said to be
    ├── EngineError             a runtime failed to compile or to run a frame job
    │   └── DeviceMemoryError   an accelerator has not enough memory
    └── Interrupted             exit code 130: the user asked to stop

A message is one sentence that says what, where and, when it helps, what to do.
"""

from __future__ import annotations


class ParagonError(Exception):
    """Base of all errors raised on purpose; `str(error)` is one line fit for a user."""

    exit_code = 1


class UsageError(ParagonError):
    """The request itself is wrong: an unknown name, contradictory options, a value out of range."""

    exit_code = 2


class InputError(ParagonError):
    """The source cannot be opened or decoded, or has no video."""


class OutputError(ParagonError):
    """The destination cannot be written, exists already, or the encoder refused."""


class ConsumerGone(OutputError):
    """The program at the other end of a pipe has left: a window was closed, a pipeline was ended."""


class LossError(ParagonError):
    """`strict` was asked for and a stream or a property could not be carried over."""


class FormatError(ParagonError):
    """A pixel format, colour space or frame size that no frame job can process faithfully."""


class CheckpointError(ParagonError):
    """Weights that cannot be read, or whose tensors do not make a known network."""


class EngineError(ParagonError):
    """A runtime is absent, could not compile a frame job, or failed while running one."""


class DeviceMemoryError(EngineError):
    """An accelerator has not enough memory for what was asked; smaller tiles may fit."""


class Interrupted(ParagonError):
    """The user asked to stop; nothing was written under the final name."""

    exit_code = 130
