"""Finds and loads the compiled kernels, and tests what this processor supports."""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from pathlib import Path

from paragon_stream.errors import EngineError
from paragon_stream.native import abi
from paragon_stream.native.build import is_current, library_file
from paragon_stream.native.forms import FORMS, Form, Processor, machine


@dataclass(frozen=True, kw_only=True, eq=False)
class Kernels:
    """One form of the library, ready to be called."""

    form: Form
    entry: abi.Form
    is_fast: bool
    """Whether it is faster here than the forms before it."""

    @property
    def block(self) -> int:
        """Outputs that a dense kernel computes at once: how weights are packed."""
        return int(self.entry.block)


@functools.cache
def kernels() -> tuple[Kernels, ...]:
    """The forms in the library that this processor can run, slowest first. Raises EngineError without a
    library."""
    library = _load(library_file())
    words = (ctypes.c_uint32 * 10)()
    library.paragon_cpu(words)
    processor = Processor(words=tuple(words), machine=machine())
    return tuple(
        Kernels(
            form=form,
            entry=abi.Form.in_dll(library, f"paragon_form_{form.name}"),
            is_fast=processor.gains_by(form),
        )
        for form in FORMS
        if processor.runs(form) and hasattr(library, f"paragon_form_{form.name}")
    )


def missing() -> str:
    """Why there are no kernels here; "" if there are."""
    try:
        found = kernels()
    except EngineError as error:
        return str(error)
    return "" if found else "this processor has neither AVX2 with FMA nor NEON"


def _load(path: Path) -> ctypes.CDLL:
    if not path.is_file():
        raise EngineError(f"the CPU kernels are not built ({path} does not exist)")
    if not is_current():
        raise EngineError(
            "the CPU kernels are older than their sources: run python -m paragon_stream.native.build"
        )
    try:
        library = ctypes.CDLL(str(path))
        found = library.paragon_abi()
    except (OSError, AttributeError) as error:
        raise EngineError(f"the CPU kernels cannot be loaded: {error}") from error
    if found != abi.ABI:
        raise EngineError(
            f"the CPU kernels in {path} are of version {found}, not {abi.ABI}: build them again"
        )
    return library
