"""Callbacks of a caller whose exceptions end a run over many files: they are no failures of a file."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class CallbackError(BaseException):
    """Carries the exception `error` of a callback past handlers of `Exception`, up to `callback_errors`."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def passing[**P, Result](callback: Callable[P, Result]) -> Callable[P, Result]:
    """`callback`, whose exceptions become CallbackError."""

    @functools.wraps(callback)
    def call(*args: P.args, **kwargs: P.kwargs) -> Result:
        try:
            return callback(*args, **kwargs)
        except Exception as error:
            raise CallbackError(error) from error

    return call


@contextmanager
def callback_errors() -> Iterator[None]:
    """Raise the exception of a callback in the block as it was."""
    failed: Exception | None = None
    try:
        yield
    except CallbackError as error:
        failed = error.error
    if failed is not None:
        raise failed
