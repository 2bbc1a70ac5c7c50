"""The work of test_bounds in separate processes: many formats through one library; many frames.

python sanitized.py LIBRARY [FORM]: all forms in the library, those of other processors emulated, or a
selection of cases for one
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from emulated_form import forms
from native_material import make_job, noise

from paragon_stream.framejob import allocate_planes
from paragon_stream.native import library
from paragon_stream.pixels import PIXEL_FORMATS
from paragon_stream.runtimes import Flavour
from paragon_stream.runtimes.native.session import NativeSession

SIZES = ((1, 1), (3, 2), (16, 16), (33, 17), (97, 61))


type Case = tuple[str, int, tuple[int, int], tuple[int, int] | None]
"""Variant, scale, size, and the size to which frames are brought afterwards."""

SELECTION = ("yuv420p", "yuv422p10le", "rgb24", "p010le", "yuva420p")
"""Formats that CI runs: planar, of more bits, packed, semi-planar, with alpha."""


def main(path: str, form: str = "") -> None:
    library.library_file = lambda: Path(path)  # type: ignore[assignment]
    library.is_current = lambda: True  # type: ignore[assignment]
    if form:
        library.FORMS = tuple(each for each in library.FORMS if each.name == form)  # type: ignore[misc]
    else:
        library.FORMS = tuple(forms())  # type: ignore[misc]
    library.kernels.cache_clear()
    frames = 0
    for each in library.kernels():
        for number, name in enumerate(SELECTION if form else PIXEL_FORMATS):
            cases: list[Case] = [("realtime", 2 + number % 3, SIZES[number % len(SIZES)], None)]
            if number % 9 == 0:
                cases += [("realtime", 2, size, None) for size in SIZES]
                cases += [("stream", 2, SIZES[number % 3 + 2], None), ("realtime", 2, (61, 33), (95, 70))]
            for case in cases:
                job = make_job(case[0], case[1], name, *case[2:])
                session = NativeSession(job, each, 1 + number % 3, Flavour.LATENCY)
                session.run(noise(job), allocate_planes(job.target), 0.5).wait()
                session.close()
                frames += 1
    sys.stdout.write(f"{frames} frames\n")


def many(count: int) -> None:
    """Frames of one session; what the process held at most after a tenth of them, and at the end."""
    job = make_job("realtime", 2, "yuv420p", (48, 32))
    session = NativeSession(job, library.kernels()[-1], 2, Flavour.THROUGHPUT)
    planes, outputs = noise(job), allocate_planes(job.target)
    held = []
    for number in range(count):
        session.run(planes, outputs).wait()
        if number in (count // 10, count - 1):
            held.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    session.close()
    sys.stdout.write(f"{held[0]} {held[1]}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
