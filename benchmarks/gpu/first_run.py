"""The first minutes on a GPU: one command that ends within ten, in the order of what is worth most.

    python3 benchmarks/gpu/first_run.py                       # with the packages installed
    python3 benchmarks/gpu/first_run.py --packed gpu.tar.xz   # on a bare machine: scripts/pack_for_gpu

It prints what it is at, writes everything into `--out` after each step, and stops when `--minutes` are over.
The same command again goes on with what has not succeeded yet. `--copy-to` gets three files after each step,
for machines that return one folder and few files: steps.json, table.md, and everything as results.tar.gz.
Needs nothing but Python's standard library itself.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "benchmarks" / "results"
NO_GPU = 3
"""Exit status without a GPU."""
TERMINATED = 128 + signal.SIGTERM
"""Exit status after SIGTERM."""

_MINUTES = 9  # lent machines end a command after ten, and starting one takes time
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LEAST_SECONDS = 15  # a step is not begun with less left
_TOLD = 12  # last lines of a step that failed, which are printed

VERSIONS = """
import importlib.metadata, platform
print("Python", platform.python_version(), platform.platform())
for each in sorted(importlib.metadata.distributions(), key=lambda each: each.name.lower()):
    print(each.name, each.version)
"""
FIND_GPU = """
import sys
from paragon_stream.device.discovery import find_gpus
gpus, reason = find_gpus()
print(*gpus, sep="\\n")
sys.exit(f"no GPU: {reason}" if not gpus else 0)
"""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command. `needed` ones end the run where they fail; a program that is absent skips its step."""

    name: str
    what: str
    command: Sequence[str]
    seconds: int = 120
    needed: bool = False
    needs: str = ""
    """A program that must be there."""


def steps() -> list[Step]:
    """All of them, the most valuable first."""
    python = sys.executable
    bench = [python, "-m", "paragon_stream", "bench", "--verbose", "--engine"]
    odd = ["--size", "333x187", "--frames", "50"]
    engine = [python, "benchmarks/gpu/engine.py"]
    sanitizer = sanitizer_path() or "compute-sanitizer"
    small = ["--size", "131x61", "--frames", "2"]
    return [
        Step(name="versions", what="Python and packages", command=[python, "-c", VERSIONS]),
        Step(name="driver", what="nvidia-smi", command=["nvidia-smi"], needs="nvidia-smi"),
        Step(name="gpu", what="is there a GPU", command=[python, "-c", FIND_GPU], needed=True),
        Step(
            name="doctor",
            what="what is here",
            command=[python, "-m", "paragon_stream", "doctor", "--quick"],
            seconds=60,
        ),
        *(
            Step(
                name=f"check {variant}",
                what=f"{variant}: self-check at an odd size, graphs, NaN guard",
                command=[*bench, "cuda", "--variant", variant, *odd],
                seconds=90,
            )
            for variant in ("realtime", "stream")
        ),
        Step(
            name="right",
            what="all formats against the CPU",
            command=[*engine, "--only", "right"],
            seconds=150,
        ),
        Step(
            name="fast",
            what="frames and kernels, timed on the GPU",
            command=[*engine, "--only", "fast", "--rounds", "5", "--frames", "100"],
        ),
        *(
            Step(
                name=f"{tool} {variant}",
                what=f"compute-sanitizer's {tool} over two frames of {variant}",
                command=[
                    sanitizer, "--tool", tool, "--error-exitcode", "9",
                    *bench, "cuda", "--variant", variant, *small,
                ],
                seconds=120,
                needs=sanitizer,
            )
            for tool in ("memcheck", "racecheck")
            for variant in ("realtime", "stream")
        ),
        Step(
            name="pipeline",
            what="decode → engine → encode",
            command=[
                python, "benchmarks/gpu/pipeline.py", "--engines", "cuda", "--sizes", "1920x1080",
                "--frames", "300",
            ],
            seconds=180,
        ),
        Step(
            name="check torch",
            what="engine torch: compiled, by graphs",
            command=[*bench, "torch", "--device", "cuda", "--size", "1920x1080", "--frames", "100"],
            seconds=150,
        ),
        Step(
            name="torch",
            what="the engine cuda against torch.compile of the same network",
            command=[
                *engine, "--only", "torch", "--variant", "realtime", "--size", "1080p", "--rounds", "3",
                "--frames", "50",
            ],
            seconds=180,
        ),
        Step(
            name="tests",
            what="tests/gpu of the engine cuda, and videos",
            command=[
                python, "-m", "pytest", "-m", "gpu", "--require-gpu", "--maxfail", "10",
                "-k", "not torch and not tensorrt", "tests/gpu",
            ],
            seconds=300,
        ),
    ]  # fmt: skip


def sanitizer_path() -> str | None:
    """NVIDIA's compute-sanitizer, on the PATH or where CUDA's toolkit has it."""
    found = shutil.which("compute-sanitizer")
    places = sorted(Path("/usr/local").glob("cuda*/bin/compute-sanitizer"))
    return found or (str(places[-1]) if places else None)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = [step.name for step in steps()]
    parser.add_argument("--packed", type=Path, help="the archive of scripts/pack_for_gpu")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "out" / "first_run")
    parser.add_argument("--copy-to", type=Path, help="a folder that gets the results after each step too")
    parser.add_argument("--minutes", type=float, default=_MINUTES)
    parser.add_argument("--only", nargs="*", choices=every, metavar="STEP", help=", ".join(every))
    parser.add_argument("--skip", nargs="*", choices=every, default=(), metavar="STEP")
    options = parser.parse_args(arguments)
    chosen = [
        step for step in steps() if step.name in (options.only or every) and step.name not in options.skip
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # which ends the step, too
    run = Run(options.out, options.copy_to, options.minutes)
    if options.packed:
        run.unpack(options.packed)
    return run.all_of(chosen)


def finished(command: Sequence[str], log: TextIO, environment: Mapping[str, str], seconds: float) -> str:
    """The end of a command. A command that takes longer is killed, with the processes that it started.

    It has a process group and no session of its own: machines end what is left of a session. The kernel kills
    it if this process is killed, because it would share the GPU with the next run.
    """
    try:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=REPOSITORY,
            process_group=0,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    except OSError as error:
        return f"cannot be run: {error.strerror}"
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        return f"not done after {seconds:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return f"exit status {status}" if status else "ok"


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Written(NamedTuple):
    """A file of results, and when it was written last."""

    path: Path
    time_ns: int


def written() -> set[Written]:
    """The results of the GPU benchmarks on this machine."""
    return {Written(path, path.stat().st_mtime_ns) for path in RESULTS.glob("gpu_*.json")}


class Run:
    """The steps so far, in `folder`/steps.json, and the time that is left."""

    def __init__(self, folder: Path, copy: Path | None, minutes: float) -> None:
        self.folder, self.copy = folder.resolve(), copy
        self.begun, self.end = time.monotonic(), time.monotonic() + 60 * minutes
        self.folder.mkdir(parents=True, exist_ok=True)
        self.environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self.record, self.table_file = self.folder / "steps.json", self.folder / "table.md"
        self.steps: dict[str, dict[str, Any]] = {}
        if self.record.exists():
            try:
                self.steps = dict(json.loads(self.record.read_text(encoding="utf-8")))
            except ValueError as error:
                self.say(f"{self.record} is damaged, all steps run again: {error}")

    def unpack(self, archive: Path) -> None:
        """The packages of the archive, for the steps' processes. Once; the checkout in it is left alone."""
        place = self.folder / "packed"
        if not (place / "complete").exists():
            self.say(f"unpacking {archive} ({archive.stat().st_size / 2**20:.0f} MiB)")
            with tarfile.open(archive) as packed:
                members = [each for each in packed if each.name.split("/")[0] == "site"]
                packed.extractall(place, members=members, filter="data")
            (place / "complete").touch()
        # What is installed comes first: its torch, NumPy and CUDA packages fit each other.
        paths = (str(REPOSITORY), *(each for each in sys.path if "-packages" in each), str(place / "site"))
        self.environment["PYTHONPATH"] = os.pathsep.join(paths)

    def all_of(self, chosen: Sequence[Step]) -> int:
        """0 if all went well, 1 if something failed, 2 if the time was over, NO_GPU without a GPU."""
        for step in chosen:
            if self.steps.get(step.name, {}).get("status") == "ok" and not step.needed:
                self.say(f"{step.name}: done before")
                continue
            left = self.end - time.monotonic()
            if left < _LEAST_SECONDS:
                self.say(f"the time is over before {step.name}; the same command goes on there")
                return 2
            if step.needs and shutil.which(step.needs) is None:
                self.note(step, "skipped", 0.0, f"there is no {step.needs}")
                continue
            self.perform(step, min(step.seconds, left))
            if step.needed and self.steps[step.name]["status"] != "ok":
                self.say("nothing more can be done here")
                return NO_GPU
        failed = [name for name, each in self.steps.items() if each["status"] not in ("ok", "skipped")]
        self.say(f"failed: {', '.join(failed)}" if failed else "all steps went well")
        return 1 if failed else 0

    def perform(self, step: Step, seconds: float) -> None:
        self.say(f"{step.name}: {step.what} (at most {seconds:.0f} s)")
        word = step.name.replace(" ", "_")
        log, begin, before = self.folder / f"{word}.log", time.monotonic(), written()
        with log.open("w", encoding="utf-8") as file:
            file.write(f"$ {'; '.join(shlex.join(step.command).split(chr(10)))}\n")
            file.flush()
            status = finished(step.command, file, self.environment, seconds)
        for path, _ in written() - before:  # several steps write files of one name
            shutil.copy2(path, self.folder / f"{word}_{path.name}")
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
        self.note(step, status, time.monotonic() - begin, lines[-1] if lines else "")
        for line in lines[-_TOLD:] if status != "ok" else lines[-2:]:
            print(f"    {line[:300]}", flush=True)

    def note(self, step: Step, status: str, seconds: float, last: str) -> None:
        """Into the record, the table and the copy."""
        self.steps[step.name] = {
            "status": status,
            "seconds": round(seconds, 1),
            "what": step.what,
            "last": last[:300],
        }
        whole = self.record.with_suffix(".part")
        whole.write_text(json.dumps(self.steps, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        whole.replace(self.record)
        self.table_file.write_text("\n".join(self.table()) + "\n", encoding="utf-8")
        if self.copy is not None:
            try:
                self.copy_to(self.copy)
            except OSError as error:
                self.say(f"the results stay in {self.folder}: {error}")
        self.say(f"{step.name}: {status}{f', {seconds:.0f} s' if seconds else f' ({last})'}")

    def copy_to(self, folder: Path) -> None:
        """Three files: machines that return files return few. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / "results.tar.gz.part"
        with tarfile.open(part, "w:gz") as archive:
            for path in sorted(each for each in self.folder.iterdir() if each.is_file()):
                archive.add(path, path.name)
        part.replace(folder / "results.tar.gz")
        for path in (self.record, self.table_file):
            shutil.copy2(path, folder)

    def table(self) -> Iterator[str]:
        """The steps that ran, for docs/gpu.md."""
        gpu = self.steps.get("gpu", {}).get("last") or "a GPU"
        yield f"First run on {gpu}, {time.strftime('%Y-%m-%d')}\n"
        yield "| step | what | result | s |"
        yield "|---|---|---|---:|"
        for name, each in self.steps.items():
            yield f"| {name} | {each['what']} | {each['status']} | {each['seconds']:.0f} |"

    def say(self, what: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self.begun), 60)
        print(f"[{minutes}:{seconds:02}] {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
