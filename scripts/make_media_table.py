"""Runs every clip of a folder through the tool, reads the results back, and writes docs/media.md.

    scripts/python scripts/make_media_table.py --folder FOLDER [--duration 0.2] [--only NAME …]

The folder has a `manifest.tsv` whose first columns are the file, its size and what is odd about it. Each clip
is rendered by the command line, as a user would, with the default network; a clip that is refused is named
with the sentence that says so. What comes out is compared with a plain PyAV reading of what went in: nothing
of the package is used for that.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import struct
import tempfile
import time
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import av

from paragon_stream.cli.main import run

ROOT = Path(__file__).resolve().parent.parent
SCALE = 2
NOT_VIDEO = (".tsv", ".srt")
LATER = 2.2
"""Seconds more of a clip that has no picture at first."""
TICK = Fraction(1, 90000)
"""By which a frame is shown after the one before whose timestamp it has: MPEG's clock."""
LONGER = {"h264_ts_resolution_change_640x360_to_960x540.ts": 1.4}
"""Seconds of clips that become odd only later."""
UNSAID = (2, 0, 2, 2)
"""Matrix, range, transfer and primaries of a stream that leaves them open."""

INTRO = """# The media folder

Odd and ordinary clips, each rendered by `paragon-stream CLIP OUT.mkv --duration {duration}` ×2 with the
default network and checked against a plain PyAV reading of the source. Written by
`scripts/make_media_table.py` ({later:g} s more of a clip that has no picture at first, and as far as the
change in one that changes its size); the clips themselves are not in this repository.

- *frames*: as many come out as the source has in that time, all decode
- *times*: each frame is shown at the source's time, counted from the first, to a millisecond
- *size*: twice the picture; *aspect*, *turn*: sample aspect ratio and display matrix are the source's
- *progressive*: what was interlaced no longer is; *HDR10*: mastering display and content light are kept
- *colour*: every tag that the source has is on the output, and none is left open
- *streams*: sound, subtitles, fonts and covers are all there, or their loss was announced; *packets*: those
  of copied streams are bit for bit a run of the source's

{summary}

| clip | what is odd | what happened | checked |
|---|---|---|---|
"""


@dataclass
class Facts:
    """The facts of a file from plain PyAV."""

    times: list[Fraction] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    aspect: Fraction = Fraction(1)
    turn: tuple[int, ...] = ()
    """The display matrix without its translations, which Matroska does not hold."""
    colour: tuple[int, ...] = ()
    """Matrix, range, transfer, primaries."""
    begin: Fraction = Fraction(0)
    interlaced: bool = False
    hdr: tuple[float, ...] = ()
    """HDR10: chromaticities and luminances of the mastering display, MaxCLL and MaxFALL."""
    streams: list[str] = field(default_factory=list)
    """Kind and codec of the others, in order."""
    packets: list[list[bytes]] = field(default_factory=list)
    """Their payloads."""


@dataclass
class Row:
    name: str
    odd: str
    happened: str
    checks: list[str]
    wrong: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="clips and their manifest.tsv")
    parser.add_argument("--duration", type=float, default=0.2, help="seconds of each clip")
    parser.add_argument("--only", nargs="*", help="some clips; prints the rows and writes nothing")
    parser.add_argument(
        "--keep",
        type=Path,
        help="a folder for the results; those that are there are read again, not made again",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "media.md")
    options = parser.parse_args()
    with (options.folder / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        manifest = {row["file"]: row["what_is_odd"] for row in csv.DictReader(file, delimiter="\t")}
    names = options.only or sorted(name for name in manifest if Path(name).suffix not in NOT_VIDEO)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            begin = time.monotonic()
            folder = options.keep or Path(scratch)
            duration = LONGER.get(name, options.duration)
            rows.append(row_of(options.folder / name, manifest[name], folder, duration))
            print(f"{time.monotonic() - begin:5.1f} s  {in_words(rows[-1])}", flush=True)
    if options.only:
        return
    refused = sum(row.happened.startswith("refused") for row in rows)
    wrong = [row.name for row in rows if row.wrong]
    summary = f"{len(rows)} clips: {len(rows) - refused} rendered, {refused} refused with a sentence; " + (
        f"failed checks: {', '.join(wrong)}." if wrong else "every check passed."
    )
    text = INTRO.format(duration=f"{options.duration:g}", later=LATER, summary=summary)
    options.output.write_text(text + "".join(in_words(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{summary}\nwritten to {options.output}")


def in_words(row: Row) -> str:
    checked = ", ".join(row.checks) + "".join(f"; **{each}**" for each in row.wrong)
    return f"| {row.name} | {row.odd} | {row.happened} | {checked} |".replace("\n", " ")


def row_of(source: Path, odd: str, folder: Path, duration: float) -> Row:
    out, report = folder / f"{source.name}.mkv", folder / f"{source.name}.json"
    refused = None
    if not (out.exists() and report.exists()):
        refused = render(source, out, report, duration)
    if refused is not None and "has no frame from" in refused:
        duration += LATER
        refused = render(source, out, report, duration)
    if refused is not None:
        wrong = ["no sentence"] if "internal error" in refused else []
        wrong += ["a file under the final name"] if out.exists() else []
        sentence = refused.removeprefix("paragon-stream: ").replace(f"{source.parent}/", "")
        return Row(source.name, odd, f"refused: {sentence}", ["exit code, no file"], wrong)
    facts = json.loads(report.read_text(encoding="utf-8"))
    happened = f"{facts['source_format']} → {facts['target_format']}, {facts['codec']}"
    warnings = [sentence.replace(f"{source.parent}/", "") for sentence in facts["warnings"]]
    row = Row(source.name, odd, "; ".join([happened, *warnings]), [], [])
    before, after = read(source, duration + LATER), read(out, None)
    if after.times and before.times and min(before.times) - before.begin >= Fraction(duration):
        duration += LATER
    compare(before, after, row, duration, facts["warnings"])
    return row


def render(source: Path, out: Path, report: Path, duration: float) -> str | None:
    """Run the command line; the sentence with which it failed, None if it did not."""
    command = [str(source), str(out), "--quiet", "--duration", str(duration), "--report", str(report)]
    command += ["--preset", "ultrafast"] if source.stem != "ffv1_16bit" else []  # ffv1 has no presets
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed):
        code = run(command)
    return (printed.getvalue().splitlines() or ["internal error: there is no message"])[-1] if code else None


def read(path: Path, duration: float | None) -> Facts:
    """Decode the main video as far as `duration` seconds, and keep the packets of the other streams."""
    facts = Facts()
    with av.open(str(path)) as file:
        video = main_video(file)
        others = [stream for stream in file.streams if stream.index != video.index]
        facts.streams = [describe(stream) for stream in others]
        facts.packets = [[] for _ in others]
        place = {stream.index: number for number, stream in enumerate(others)}
        facts.begin = Fraction(file.start_time or 0, 1_000_000)
        aspect = video.sample_aspect_ratio
        facts.aspect = Fraction(aspect) if aspect else Fraction(1)
        context = video.codec_context
        frame = None
        for packet in file.demux():
            if packet.stream.index != video.index:
                if packet.size:
                    facts.packets[place[packet.stream.index]].append(bytes(packet))
                continue
            if packet.size == 0 and packet.dts is not None:
                continue
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError):  # the counts of frames show what is missing
                continue
            for frame in frames:
                unit = Fraction(frame.time_base.numerator, frame.time_base.denominator)
                if frame.pts is not None:
                    facts.times.append(frame.pts * unit)
                if not facts.colour:
                    look(frame, context, facts)
            limit = facts.begin + Fraction(duration or 0)
            if duration is not None and len(facts.times) > 32 and min(facts.times[-32:]) > limit:
                break
    return facts


def look(frame: Any, context: Any, facts: Facts) -> None:
    top, bottom, left, right = struct.unpack(
        "=4I", context.coded_side_data.get("frame_cropping") or bytes(16)
    )
    facts.size = (frame.width - left - right, frame.height - top - bottom)
    facts.interlaced = frame.interlaced_frame
    facts.hdr = hdr(frame, context)
    pairs = (
        (frame.colorspace, context.colorspace),
        (frame.color_range, context.color_range),
        (frame.color_trc, context.color_trc),
        (frame.color_primaries, context.color_primaries),
    )
    facts.colour = tuple(
        other if own == unsaid else own for (own, other), unsaid in zip(pairs, UNSAID, strict=True)
    )
    matrix = frame.side_data.get("DISPLAYMATRIX")
    facts.turn = struct.unpack("=9i", bytes(matrix))[:5] if matrix else ()


def hdr(frame: Any, context: Any) -> tuple[float, ...]:
    found: list[float] = []
    for name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        data = frame.side_data.get(name) or context.coded_side_data.get(name.lower())
        if data is None:
            continue
        numbers = struct.unpack(
            "=22i" if name.startswith("M") else "=2I", bytes(data)[: 88 if name.startswith("M") else 8]
        )
        if len(numbers) == 2:
            found += numbers
        else:
            found += [round(numbers[n] / numbers[n + 1], 4) for n in range(0, 20, 2) if numbers[n + 1]]
    return tuple(found)


def main_video(file: Any) -> Any:
    """The first that is no cover picture and has frames."""
    videos = [s for s in file.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    videos.sort(key=lambda s: not s.disposition & av.stream.Disposition.default)
    return next((s for s in videos if s.codec_context is not None), None)


def describe(stream: Any) -> str:
    context = stream.codec_context
    return f"{stream.type} {context.codec.canonical_name}" if context else str(stream.type)


def compare(before: Facts, after: Facts, row: Row, duration: float, warnings: list[str]) -> None:
    """Fill the row's checks and what is wrong."""

    def check(name: str, fine: bool, detail: str = "") -> None:
        (row.checks if fine else row.wrong).append(name if fine else f"{name}: {detail}")

    begin = before.begin if before.begin >= 0 else min(Fraction(0), *before.times)
    slack = Fraction(1, 2000)  # times are given to a millisecond
    begin, end = begin - slack, begin + Fraction(duration).limit_denominator(1000) - slack
    repaired = any("timestamp not later than the frame before" in w for w in warnings)
    times = accumulate(before.times, lambda a, b: max(a + TICK, b)) if repaired else sorted(before.times)
    expected = [t for t in times if begin <= t < end]
    check(
        f"{len(after.times)} frames",
        len(after.times) == len(expected),
        f"{len(expected)} expected, {len(after.times)} came",
    )
    if len(after.times) == len(expected) and expected:
        drift = max(
            abs((a - after.times[0]) - (b - expected[0])) for a, b in zip(after.times, expected, strict=True)
        )
        check(
            "times, repaired as announced" if repaired else "times",
            drift <= Fraction(2, 1000),
            f"off by {float(drift):.4f} s",
        )
    wanted = (before.size[0] * SCALE, before.size[1] * SCALE)
    check("size", after.size == wanted, f"{after.size} for {before.size}")
    check("aspect", after.aspect == before.aspect, f"{after.aspect} for {before.aspect}")
    check("turn", after.turn == before.turn, f"{after.turn} for {before.turn}")
    tags = list(zip(before.colour, after.colour, UNSAID, strict=True))
    kept = all(had in (unsaid, has) and has != unsaid for had, has, unsaid in tags)
    check("colour", kept, f"{before.colour} became {after.colour}")
    if before.interlaced:
        check("progressive", not after.interlaced, "still interlaced")
    if before.hdr:
        check("HDR10", after.hdr == before.hdr, f"{after.hdr} for {before.hdr}")
    lost = len(before.streams) - len(after.streams)
    explained = sum("stream" in w or "dropped" in w or "attached" in w for w in warnings)
    check(
        f"{len(after.streams)} streams" if before.streams else "",
        lost <= explained,
        f"{before.streams} became {after.streams}",
    )
    copied = [
        any(
            had == has and runs_through(were, are)
            for had, were in zip(before.streams, before.packets, strict=True)
        )
        for has, are in zip(after.streams, after.packets, strict=True)
        if has in before.streams and are
    ]
    check("packets" if copied else "", all(copied), f"{copied} of {after.streams}")
    row.checks[:] = [name for name in row.checks if name]


def runs_through(packets: list[bytes], part: list[bytes]) -> bool:
    """Whether `part` is a run of `packets`, but for headers that the container does without."""
    starts = [n for n, packet in enumerate(packets) if packet.endswith(part[0])]
    return any(
        len(packets) >= start + len(part)
        and all(a.endswith(b) for a, b in zip(packets[start:], part, strict=False))
        for start in starts
    )


if __name__ == "__main__":
    main()
