"""The forms of the kernels, one per set of instructions, and which of them a processor can run."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Literal

CPU_FLAGS = {
    # name: (word of `paragon_cpu`, bit)
    "fma": (0, 12),
    "osxsave": (0, 27),
    "avx": (0, 28),
    "avx2": (1, 5),
    "avx512f": (1, 16),
    "avx512dq": (1, 17),
    "avx512bw": (1, 30),
    "avx512vl": (1, 31),
    "avx512_bf16": (4, 5),
    "avx512_fp16": (3, 23),
    "amx_bf16": (3, 22),
    "amx_tile": (3, 24),
    "tiles_granted": (9, 0),
    "arm_fp16": (9, 1),
}
"""Intel's manual, volume 2A, CPUID; and what the operating system reports."""

_YMM, _ZMM, _TMM = 0b110, 0b11100110, 0b110_0000_0000_1110_0110
"""Registers that the operating system must save (XCR0): SSE and AVX; with AVX-512; with AMX too."""

_AVX2 = ("osxsave", "avx", "avx2", "fma")
_AVX512 = (*_AVX2, "avx512f", "avx512dq", "avx512bw", "avx512vl")


Precision = Literal["fp32", "bf16", "fp16"]
"""The arithmetic of a block's layers; docs/cpu.md lists the exceptions."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """One compilation of `src/form.cpp`."""

    name: str
    machine: str
    """The kind of processor: x86_64 or aarch64."""
    lanes: int
    """Numbers in fp32 that a vector holds."""
    precision: Precision = "fp32"
    amx: bool = False
    """Whether sums of bf16 products are computed by tile registers (src/amx.h)."""
    options: tuple[str, ...] = ()
    """Instruction sets, as GCC and Clang name them."""
    zig_options: tuple[str, ...] = ()
    """The same as zig names them, if that differs."""
    needs: tuple[str, ...] = ()
    """Flags of the processor."""
    registers: int = 0
    """Bits of XCR0."""
    is_measured: bool = True
    """Whether it has run on such a processor. If not, `auto` tries it before it takes it."""
    maker: str = ""
    """Whose processors alone are faster with it than with the form before; "" for everybody's."""

    @property
    def definitions(self) -> tuple[str, ...]:
        """The compiler definitions that `src/form.cpp` needs."""
        return f"-DFORM={self.name}", f"-DFORM_LANES={self.lanes}", f"-DFORM_{self.precision.upper()}=1"


_V3 = ("-mavx2", "-mfma")
_V4 = (*_V3, "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl")

FORMS = (
    Form(name="neon", machine="aarch64", lanes=4),
    Form(
        name="neon_fp16",
        machine="aarch64",
        lanes=4,
        precision="fp16",
        options=("-march=armv8.2-a+fp16",),
        zig_options=("-mcpu=generic+fullfp16",),
        needs=("arm_fp16",),
        is_measured=False,
    ),
    Form(name="avx2", machine="x86_64", lanes=8, options=_V3, needs=_AVX2, registers=_YMM),
    Form(name="avx512", machine="x86_64", lanes=16, options=_V4, needs=_AVX512, registers=_ZMM),
    Form(
        name="avx512_bf16",
        machine="x86_64",
        lanes=16,
        precision="bf16",
        options=(*_V4, "-mavx512bf16"),
        needs=(*_AVX512, "avx512_bf16"),
        registers=_ZMM,
        maker="AuthenticAMD",  # Intel's multiply bf16 vectors half as fast as fp32 ones
    ),
    Form(
        name="avx512_fp16",
        machine="x86_64",
        lanes=16,
        precision="fp16",
        options=(*_V4, "-mavx512fp16"),
        needs=(*_AVX512, "avx512_fp16"),
        registers=_ZMM,
        is_measured=False,
    ),
    Form(
        name="amx_bf16",
        machine="x86_64",
        lanes=16,
        precision="bf16",
        amx=True,
        options=(*_V4, "-mavx512bf16", "-mamx-tile", "-mamx-bf16"),
        needs=(*_AVX512, "avx512_bf16", "amx_tile", "amx_bf16", "tiles_granted"),
        registers=_TMM,
        is_measured=False,
    ),
)
"""Slowest first, for each kind of processor."""


def machine() -> str:
    """The kind of this machine's processor, by its usual name on Linux."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def forms_of(kind: str) -> tuple[Form, ...]:
    """The forms for a kind of processor, slowest first."""
    return tuple(form for form in FORMS if form.machine == kind)


@dataclass(frozen=True, kw_only=True)
class Processor:
    """The facts that a processor reports: the words of `paragon_cpu`, and its kind."""

    words: tuple[int, ...]
    machine: str

    def has(self, flag: str) -> bool:
        word, bit = CPU_FLAGS[flag]
        return bool(self.words[word] >> bit & 1)

    def runs(self, form: Form) -> bool:
        """Whether it has the form's instructions, and the operating system keeps their registers."""
        kept = self.words[5] & form.registers == form.registers
        return form.machine == self.machine and kept and all(map(self.has, form.needs))

    def gains_by(self, form: Form) -> bool:
        """Whether the form is faster than those before it; for a processor that runs it."""
        maker = b"".join(word.to_bytes(4, "little") for word in self.words[6:9]).decode("ascii", "replace")
        return form.maker in ("", maker)
