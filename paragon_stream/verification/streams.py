"""Compares all streams but the video with the source's: their presence, tags, packets and times."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

from paragon_stream.media.decode.timestamps import MOST_STRAYS
from paragon_stream.media.facts.containers import Container
from paragon_stream.media.facts.cut import Cut
from paragon_stream.media.facts.info import MediaInfo, StreamInfo, StreamKind
from paragon_stream.media.facts.languages import same_language
from paragon_stream.media.measure.packets import NO_TIME, FileLog, PacketLog
from paragon_stream.media.output.stream_plans import Action, StreamPlan, stream_label
from paragon_stream.media.output.trial_muxing import MPEG_AUDIO
from paragon_stream.number_text import counted
from paragon_stream.verification.findings import Check, Finding, in_seconds

_SYNC = Fraction(3, 1000)
"""Seconds by which a packet may be moved, in addition to a tick of its container."""
_CONVERTED_SYNC = Fraction(60, 1000)
"""The same for sound that was encoded again: encoders need a run-up."""
_HELD_BACK = 2
"""Packets at the beginning of an audio stream from which a decoder may return no samples."""
_CUT_PIECES = 3
"""Pieces of PCM that the ends of a part may cut: the first, the last, and one more after silence."""
_SPREAD = Fraction(1, 20)
"""Seconds over which a render spreads packets of sound with the same time: a packet, at most."""
_JUMP = 2
"""Seconds. Where the source's times go back by more (joined recordings), the comparison of times ends."""
_EDGE = 1
"""Seconds at the ends of a part of which the output may have some packets, or none."""
_SHOWN = ("default", "forced", "hearing_impaired", "visual_impaired", "comment", "original", "dub")
"""Dispositions that players act on."""


@dataclass(frozen=True)
class Expected:
    """A stream that the output should have. `log` has the source's packets, `attached` the hash of an
    attached file; `shift` (seconds) is subtracted from the source's times; `cut` is the part of the source
    that the output should have, None for all of it."""

    plan: StreamPlan
    shift: Fraction
    cut: Cut | None
    log: PacketLog | None = None
    attached: int | None = None

    @property
    def whole(self) -> bool:
        return self.cut is None

    @property
    def label(self) -> str:
        """The stream's name in messages."""
        return stream_label(self.plan.stream)


class StreamCheck:
    """Compares the streams of an output with those that the plan announced."""

    def __init__(
        self, all_expected: Sequence[Expected], info: MediaInfo, log: FileLog, container: Container
    ) -> None:
        """`info` and `log` describe the output."""
        self._container = container
        self._log = log
        self._video = info.video.index
        self._found: dict[StreamKind, list[StreamInfo]] = {}
        for stream in info.streams:
            if stream.index != info.video.index:
                self._found.setdefault(stream.kind, []).append(stream)
        self._pairs: list[tuple[Expected, StreamInfo]] = []
        self._lost: list[Expected] = []
        self._surplus: list[StreamInfo] = []
        self._pair(all_expected)

    def _pair(self, all_expected: Sequence[Expected]) -> None:
        """Pair the streams of each kind in their order; by codec and language if the output has too few."""
        for kind in StreamKind:
            wanted = [stream for stream in all_expected if stream.plan.stream.kind is kind]
            found = list(self._found.get(kind, ()))
            for position, expected in enumerate(wanted):
                rest = len(wanted) - position
                alike = [stream for stream in found if self._is_like(expected, stream)]
                if not found or (len(found) < rest and not alike):
                    self._lost.append(expected)
                    continue
                chosen = alike[0] if alike and len(found) < rest else found[0]
                found.remove(chosen)
                self._pairs.append((expected, chosen))
            self._surplus += [stream for stream in found if not _is_chapter_track(stream)]

    def _is_like(self, expected: Expected, stream: StreamInfo) -> bool:
        if expected.attached is not None:
            return self._log.attachments.get(stream.index) == expected.attached
        return stream.codec == expected.plan.codec and stream.language == expected.plan.stream.language

    def findings(self) -> Iterator[Finding]:
        """All differences from the source."""
        for expected in self._lost:
            check = Check.ATTACHMENTS if expected.plan.stream.kind is StreamKind.ATTACHMENT else Check.STREAMS
            yield Finding(check=check, message=f"{expected.label} is missing")
        for stream in self._surplus:
            yield Finding(check=Check.STREAMS, message=f"{stream_label(stream)} is not in the source")
        for expected, stream in self._pairs:
            yield from self._description(expected, stream)
            if expected.attached is not None:
                yield from self._attachment(expected, stream)
            elif expected.log is not None:
                yield from self._packets(expected, expected.log, self._log.streams[stream.index])
        yield from self._statistics()

    def _description(self, expected: Expected, stream: StreamInfo) -> Iterator[Finding]:
        ours, theirs = expected.plan.stream, stream
        alike = ours.codec == theirs.codec or {ours.codec, theirs.codec} <= MPEG_AUDIO
        if expected.plan.action is Action.COPY and not alike:
            yield Finding(check=Check.STREAMS, message=f"{expected.label} became {theirs.codec}")
        storable = ours.kind is not StreamKind.VIDEO or self._container.video_language
        if ours.language and storable and not same_language(ours.language, theirs.language):
            yield Finding(
                check=Check.STREAMS,
                message=f"{expected.label} has the language {theirs.language or 'none'}, not {ours.language}",
            )
        if ours.title and self._container.track_titles and ours.title != theirs.title:
            yield Finding(check=Check.STREAMS, message=f"{expected.label} has the title {theirs.title!r}")
        if self._container.name == "mkv":
            flags = set(ours.dispositions) ^ set(theirs.dispositions)
            if changed := [name for name in _SHOWN if name in flags]:
                yield Finding(
                    check=Check.STREAMS,
                    message=f"{expected.label}: {', '.join(changed)} is not as in the source",
                )

    def _attachment(self, expected: Expected, stream: StreamInfo) -> Iterator[Finding]:
        if self._log.attachments.get(stream.index) != expected.attached:
            yield Finding(check=Check.ATTACHMENTS, message=f"{expected.label} has other contents")

    def _packets(self, expected: Expected, ours: PacketLog, theirs: PacketLog) -> Iterator[Finding]:
        if expected.plan.action is Action.CONVERT:
            yield from self._converted(expected, ours, theirs)
            return
        if expected.plan.action is not Action.COPY or expected.plan.stream.kind is StreamKind.COVER:
            return
        without_headers = ours.configuration is not None and theirs.configuration is None
        converted = bool(ours.others) and without_headers  # to the one configuration
        if without_headers and (ours.others or ours.broken):
            ours = ours.of_one_configuration()
        if ours.hashes == theirs.hashes:  # counting packets takes more memory than their hashes
            if not self._is_in_sync(expected, ours, theirs):
                yield from self._sync(expected, ours, theirs)
            return
        missing = Counter(_certain(expected, ours)) - Counter(theirs.hashes)
        # Converted packets are not the source's.
        extra = Counter[int]() if converted else Counter(theirs.hashes) - Counter(ours.hashes)
        what = "packets" if ours.pieces is None else "pieces"
        changed = min(missing.total(), extra.total()) if expected.whole else extra.total()
        if ours.pieces is not None and not expected.whole and changed <= _CUT_PIECES:
            changed = 0
        if changed:
            first = next(n for n, value in enumerate(theirs.hashes) if value in extra)
            yield Finding(
                check=Check.PACKETS,
                message=f"{changed} of {len(theirs)} {what} of {expected.label} differ from the source's",
                seconds=in_seconds(theirs.time(first)),
            )
        if (lost := missing.total() - changed) > 0:
            yield Finding(
                check=Check.PACKETS, message=f"{lost} of {len(ours)} {what} of {expected.label} are missing"
            )
        if expected.whole and (added := extra.total() - changed):
            yield Finding(
                check=Check.PACKETS,
                message=f"{expected.label} has {counted(added, what[:-1])} that the source does not have",
            )
        yield from self._sync(expected, ours, theirs)

    def _converted(self, expected: Expected, ours: PacketLog, theirs: PacketLog) -> Iterator[Finding]:
        if not len(theirs) and len(_certain(expected, ours)):
            yield Finding(check=Check.STREAMS, message=f"{expected.label} is empty")
        elif expected.whole and expected.plan.stream.kind is StreamKind.AUDIO and len(ours):
            last = len(ours) - 1
            begins = ours.time(min(ours.run_up, last)), theirs.time(0)
            if begins[0] is not None and begins[1] is not None:
                error = begins[1] - (begins[0] - expected.shift)
                held = ours.time(min(ours.run_up + _HELD_BACK, last)) or begins[0]  # by decoders of WMA
                if not -_CONVERTED_SYNC <= error <= _CONVERTED_SYNC + held - begins[0]:
                    yield self._out_of_sync(expected, error, begins[1])

    def _is_in_sync(self, expected: Expected, ours: PacketLog, theirs: PacketLog) -> bool:
        """Whether all packets have times and keep them. Both logs have the same packets in the same order."""
        if NO_TIME in ours.pts or NO_TIME in theirs.pts:
            return False
        before, after = (np.array(log.pts) * float(log.unit) for log in (ours, theirs))
        return bool((abs(after - before + float(expected.shift)) < float(_SYNC)).all())

    def _sync(self, expected: Expected, ours: PacketLog, theirs: PacketLog) -> Iterator[Finding]:
        """Compare the times of packets that are in both logs, until the source's times jump back.

        Sound whose times do not rise is damaged; a render puts it after the packet before.
        """
        tolerance = _SYNC + ours.unit + theirs.unit
        sound = expected.plan.stream.kind is StreamKind.AUDIO
        position, latest, last = 0, None, None
        worst, where = Fraction(0), None
        wrong = compared = strays = 0
        first_positions: dict[int, int] | None = None
        for number, value in enumerate(theirs.hashes):
            after = theirs.time(number)
            if position >= len(ours) or ours.hashes[position] != value:
                position = -1 if after is None else _position_at(ours, value, after + expected.shift)
                if position < 0:
                    first_positions = first_positions or _first_positions(ours.hashes)
                    position = first_positions.get(value, -1)
            before = ours.time(position) if position >= 0 else None
            position += 1
            if before is None or after is None:
                continue
            if latest is not None and abs(before - latest) > _JUMP:
                strays += 1
                if strays <= MOST_STRAYS:  # damaged timestamps, which a render repairs
                    continue
                if before < latest:
                    break
            strays = 0
            repaired = False
            if sound and latest is not None and last is not None and before <= latest:
                repaired = last <= after <= latest - expected.shift + _SPREAD
            latest, last = before if latest is None else max(latest, before), after
            compared += 1
            if repaired:
                continue
            error = after - (before - expected.shift)
            if abs(error) > tolerance and (before - expected.shift >= 0 or after > tolerance):
                wrong += 1
                if abs(error) > abs(worst):
                    worst, where = error, after
        if wrong > compared // 50:  # a few repaired timestamps are announced and do not shift a stream
            yield self._out_of_sync(expected, worst, where)

    def _out_of_sync(self, expected: Expected, error: Fraction, where: Fraction | None) -> Finding:
        return Finding(
            check=Check.SYNC,
            message=f"{expected.label} is {float(error) * 1000:+.0f} ms off against the picture",
            seconds=in_seconds(where),
        )

    def _statistics(self) -> Iterator[Finding]:
        """Compare the statistics in Matroska's tags with the packets of the file."""
        for index, log in self._log.streams.items():
            for key, said in log.tags.items():
                name = key.upper().partition("-")[0]
                true = {"NUMBER_OF_FRAMES": log.packets, "NUMBER_OF_BYTES": log.size}.get(name)
                if true is not None and said.strip().isdigit() and int(said) != true:
                    yield Finding(
                        check=Check.TAGS,
                        message=f"the tag {key} of stream {index} says {said}; the file has {true}",
                    )


def _certain(expected: Expected, log: PacketLog) -> Sequence[int]:
    """The hashes of the packets that the output has for certain: all, or those well inside of the part. None
    are certain if times are missing or jump back."""
    cut = expected.cut
    if cut is None:
        return log.hashes
    times = [time for number in range(len(log)) if (time := log.time(number)) is not None]
    if len(times) < len(log) or any(after - before < -_JUMP for before, after in pairwise(times)):
        return ()
    inside = Cut(start=cut.start + _EDGE, end=None if cut.end is None else cut.end - _EDGE)
    return [value for value, time in zip(log.hashes, times, strict=True) if time in inside]


def _position_at(log: PacketLog, value: int, time: Fraction) -> int:
    """The position in `log` of the packet with the hash `value` at `time` (seconds); -1 if there is none.
    Packets of silence have equal hashes and differ only in their times."""
    near = bisect_left(log.pts, round(time / log.unit))
    positions = (position for position in (near, near - 1, near + 1) if 0 <= position < len(log))
    return next((position for position in positions if log.hashes[position] == value), -1)


def _first_positions(hashes: Sequence[int]) -> dict[int, int]:
    """The first position of each hash."""
    positions: dict[int, int] = {}
    for number, value in enumerate(hashes):
        positions.setdefault(value, number)
    return positions


def _is_chapter_track(stream: StreamInfo) -> bool:
    """Whether `stream` is the text track with the titles of chapters in MP4 and MOV; FFmpeg lists it as
    data."""
    return stream.kind is StreamKind.DATA and stream.codec in ("bin_data", "")


def compare_tags(wanted: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Finding]:
    """Compare the tags of the file that the plan copies."""
    by_name = {_tag_name(key): value for key, value in found.items()}
    for key, value in wanted.items():
        actual = by_name.get(_tag_name(key))
        if actual is None:
            yield Finding(check=Check.TAGS, message=f"the tag {key} is missing")
        elif key.casefold().startswith("location") and _same_place(actual, value):
            continue
        elif actual.strip() != value.strip() and key.casefold() not in ("creation_time", "date"):
            yield Finding(check=Check.TAGS, message=f"the tag {key} is {actual!r}, not {value!r}")


def _same_place(one: str, other: str) -> bool:
    """Whether two locations (ISO 6709) differ only in their digits: MP4 stores 1/65536 degrees."""
    a, b = ([float(number) for number in _DEGREES.findall(text)] for text in (one, other))
    return bool(a) and len(a) == len(b) and all(abs(x - y) < 1e-3 for x, y in zip(a, b, strict=True))


_DEGREES = re.compile(r"[+-][0-9.]+")


def _tag_name(key: str) -> str:
    """A name without differences between containers: Matroska's have capitals and no spaces."""
    return key.casefold().replace(" ", "_")


def compare_chapters(
    wanted: Sequence[tuple[Fraction, Fraction, str]], found: Sequence[tuple[Fraction, Fraction, str]]
) -> Iterator[Finding]:
    """Compare the number, starts and titles of chapters; the times of `wanted` are on the output's clock."""
    if len(wanted) != len(found):
        yield Finding(check=Check.CHAPTERS, message=f"{len(found)} chapters, not {len(wanted)}")
        return
    for number, ((start, _, title), (begin, _, name)) in enumerate(zip(wanted, found, strict=True), 1):
        if abs(max(start, Fraction(0)) - begin) > Fraction(2, 1000):
            yield Finding(
                check=Check.CHAPTERS,
                message=f"chapter {number} begins {float(begin - start) * 1000:+.0f} ms off",
                seconds=in_seconds(begin),
            )
        if title and title != name:
            yield Finding(check=Check.CHAPTERS, message=f"chapter {number} is called {name!r}, not {title!r}")
