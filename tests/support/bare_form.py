"""A form of the CPU kernels on an emulated processor that has its instructions: Bochs with a Sapphire Rapids.

`programs/run_form_bare.cpp` is the kernel that GRUB starts; jobs are its modules, and it sends the results to
the serial port. Debian 13 has the programs: bochs, vgabios, grub-pc-bin, xorriso, mtools.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from foreign_form import job_image, planes_from
from numpy.typing import NDArray
from places import PROGRAMS

from paragon_stream.framejob import FrameJob
from paragon_stream.native import build
from paragon_stream.native.forms import Form

_SECONDS = 600

_MACHINE = """\
display_library: rfb, options="timeout=0"
cpu: model=sapphire_rapids, count=1, ips=100000000, reset_on_triple_fault=0
memory: guest=512, host=512
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0: enabled=1
ata0-master: type=cdrom, path={disc}, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={serial}
log: {log}
panic: action=fatal
error: action=ignore
clock: sync=none
"""

_LINKER = ("-Wl,-Ttext-segment=0x100000,-estart,--build-id=none,-n,-z,max-page-size=0x1000",)

type Job = tuple[FrameJob, Sequence[NDArray[Any]], float]
"""A job, the planes of a frame, its strength."""


def compute_bare(form: Form, block: int, jobs: Sequence[Job], folder: Path) -> list[tuple[NDArray[Any], ...]]:
    """The results of all `jobs`, by `form` with dense kernels for `block` outputs at once. Skips the test
    without the programs."""
    for program in ("bochs", "grub-mkrescue", "xorriso", "g++"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}; Debian 13 has it")
    models = subprocess.run(["bochs", "--help", "cpu"], capture_output=True, text=True)
    if "sapphire_rapids" not in models.stdout + models.stderr:
        pytest.skip("this Bochs is older than 3.0")
    boot = folder / "disc" / "boot"
    (boot / "grub").mkdir(parents=True)
    options = [option for option in build.COMPILER_OPTIONS if option != "-fPIC"]
    subprocess.run(
        [
            *("g++", "-static", "-ffreestanding", "-nostdlib", "-fno-pic", "-no-pie", "-mno-red-zone"),
            *(*options, *form.options, *form.definitions, f"-I{build.SOURCES}"),
            *(PROGRAMS / "run_form_bare.cpp", *_LINKER, "-o", boot / "kernel"),
        ],
        check=True,
        timeout=240,
    )
    menu, results = ["set timeout=0", "menuentry jobs {", "multiboot /boot/kernel"], []
    for number, (job, planes, strength) in enumerate(jobs):
        image, outputs = job_image(form, block, job, planes, strength)
        (boot / f"job{number}").write_bytes(image)
        menu.append(f"module /boot/job{number}")
        results.append(outputs)
    (boot / "grub" / "grub.cfg").write_text("\n".join([*menu, "boot", "}", ""]))
    disc, serial = folder / "disc.iso", folder / "serial"
    subprocess.run(["grub-mkrescue", "-o", disc, folder / "disc"], check=True, capture_output=True)
    (folder / "machine").write_text(_MACHINE.format(disc=disc, serial=serial, log=folder / "log"))
    return list(planes_from(_run(folder, serial), results))


def _run(folder: Path, serial: Path) -> bytes:
    """What the machine sends between BEGIN and END."""
    with subprocess.Popen(
        ["bochs", "-q", "-f", str(folder / "machine")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as machine:  # fmt: skip
        end = time.monotonic() + _SECONDS
        try:
            while time.monotonic() < end and machine.poll() is None:
                time.sleep(0.5)
                sent = serial.read_bytes() if serial.exists() else b""
                if sent.endswith(b"END"):
                    return sent.removeprefix(b"BEGIN").removesuffix(b"END")
        finally:
            machine.terminate()
    raise AssertionError(f"the machine did not finish; see {folder / 'log'}")
