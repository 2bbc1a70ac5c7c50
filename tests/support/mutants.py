"""Damaged copies of small files, the same ones in every run; and a process in which they are rendered.

    python mutants.py IN OUT IN OUT …       renders each in turn, a line of JSON before and after each

The process exists so that a crash of a decoder, which takes it along, is seen and named.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from places import REPOSITORY

HANG = 120
"""Seconds after which a file that takes well under one is called a hang."""


def mutate(data: bytes, seed: int) -> bytes:
    """`data` with flipped bits, a zeroed or lost or repeated range, or its end missing; by `seed`."""
    chance = random.Random(seed)
    damaged = bytearray(data)
    kind = ("flips", "header", "cut", "zeros", "lost", "repeated")[seed % 6]
    at = chance.randrange(len(data))
    length = chance.randint(1, max(1, len(data) // 4))
    if kind == "flips":
        for _ in range(chance.choice((1, 4, 16, 64, 256))):
            damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == "header":
        for _ in range(chance.choice((1, 2, 4))):
            damaged[chance.randrange(min(len(data), 1500))] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del damaged[at:]
    elif kind == "zeros":
        damaged[at : at + length] = bytes(len(damaged[at : at + length]))
    elif kind == "lost":
        del damaged[at : at + length]
    else:
        damaged[at:at] = damaged[at : at + length]
    return bytes(damaged)


class Outcome(NamedTuple):
    """`code`: exit status of the command line; None where the process crashed or hung, as `said` tells."""

    code: int | None
    said: str
    seconds: float


def render_all(jobs: Sequence[tuple[Path, Path]]) -> dict[Path, Outcome]:
    """The command line on every (source, destination), the null engine computing; by source.

    A process that crashes or hangs is replaced; the others go on.
    """
    done: dict[Path, Outcome] = {}
    while len(done) < len(jobs):
        _render_some([job for job in jobs if job[0] not in done], done)
    return done


def _render_some(jobs: Sequence[tuple[Path, Path]], done: dict[Path, Outcome]) -> None:
    names = [str(path) for job in jobs for path in job]
    command = [sys.executable, "-X", "faulthandler", __file__, *names]
    root = REPOSITORY
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        trouble: list[str] = []
        listener = threading.Thread(target=lambda: trouble.extend(process.stderr), daemon=True)
        listener.start()
        hung = threading.Event()

        def stop() -> None:
            hung.set()
            process.kill()

        for source, _ in jobs:
            watchdog = threading.Timer(HANG, stop)
            watchdog.start()
            begin = time.monotonic()
            line = process.stdout.readline()
            watchdog.cancel()
            seconds = time.monotonic() - begin
            if not line:
                process.kill()
                process.wait()
                listener.join()
                what = "hung" if hung.is_set() else f"crashed with {process.returncode}"
                done[source] = Outcome(None, what + "\n" + "".join(trouble)[-3000:], seconds)
                return
            code, said = json.loads(line)
            done[source] = Outcome(code, said, seconds)


def main(names: Sequence[str]) -> None:
    sys.path.insert(0, str(REPOSITORY))
    from paragon_stream.cli.main import run

    for source, destination in zip(names[::2], names[1::2], strict=True):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            code = run([source, destination, "--engine", "null", "--preset", "ultrafast", "--quiet"])
        print(json.dumps((code, said.getvalue())), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
