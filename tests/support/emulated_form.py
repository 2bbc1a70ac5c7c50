"""Forms of the CPU kernels with instructions that this processor has in place of those that it lacks.

Everything around the instructions is tested so; the instructions themselves in `bare_form`.
"""

from __future__ import annotations

import ctypes
import dataclasses
from pathlib import Path

import pytest

from paragon_stream.native import abi, build
from paragon_stream.native.forms import FORMS, Form, forms_of, machine
from paragon_stream.native.library import Kernels, kernels, missing


def form(name: str) -> Form:
    return next(each for each in FORMS if each.name == name)


def _like(emulated: Form, host: Form, *options: str) -> Form:
    """`emulated`, compiled for processors that run `host`."""
    options = (*host.options, *options)
    return dataclasses.replace(emulated, options=options, needs=host.needs, registers=host.registers)


HOSTS = {"avx512_fp16": form("avx512"), "amx_bf16": form("avx512_bf16")}
"""The forms whose instructions are sufficient."""

EMULATED = {
    # Every operation in fp16 becomes several, which take a compiler long to optimise.
    "avx512_fp16": _like(form("avx512_fp16"), HOSTS["avx512_fp16"], "-DFORM_FP16_EMULATED", "-O1"),
    "amx_bf16": _like(form("amx_bf16"), HOSTS["amx_bf16"], "-DFORM_AMX_EMULATED"),
}


def forms() -> list[Form]:
    """All of this kind of processor, emulated where that is possible."""
    return [EMULATED.get(each.name, each) for each in forms_of(machine())]


def emulated(name: str, folder: Path) -> Kernels:
    """The form of that name, built in `folder`. Skips the test on processors that cannot run it."""
    if reason := missing():
        pytest.skip(reason)
    if not any(each.form is HOSTS[name] for each in kernels()):
        pytest.skip(f"this processor cannot run {HOSTS[name].name}")
    library = build.build(folder / "kernels.so", forms=[EMULATED[name]])
    entry = abi.Form.in_dll(ctypes.CDLL(str(library)), f"paragon_form_{name}")
    return Kernels(form=EMULATED[name], entry=entry, is_fast=True)
