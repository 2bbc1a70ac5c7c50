"""YUV4MPEG2: raw planes with a text header, for external encoders and players.

The format has one constant frame rate and no timestamps, so variable rates become constant: every frame is
written once, and repeated to fill gaps of the source. The video stays in sync with the source's sound, and no
frame is lost.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import BinaryIO

from paragon_stream.errors import ConsumerGone, OutputError, UsageError, reason
from paragon_stream.frame import (
    PIXEL_FORMATS,
    ChromaLocation,
    ColorRange,
    Family,
    FrameFormat,
    Layout,
    PixelFormat,
    Timing,
)
from paragon_stream.media.encode.host_sink import HostSink
from paragon_stream.media.encode.outpipe import OutPipe
from paragon_stream.media.encode.workdir import WorkDir
from paragon_stream.media.ffmpeg.planes import Plane
from paragon_stream.number_text import counted

_SITED_420 = {
    ChromaLocation.LEFT: "420mpeg2",
    ChromaLocation.CENTER: "420jpeg",
    ChromaLocation.TOPLEFT: "420paldv",
}
_SUBSAMPLING = {(1, 1): "420", (1, 0): "422", (0, 0): "444", (2, 0): "411"}
_DEPTHS = (8, 9, 10, 12, 14, 16)


def check_y4m(source: PixelFormat) -> PixelFormat:
    """The planar format in which y4m stores `source`. Raises UsageError if there is none."""
    subsampling = _SUBSAMPLING.get(source.subsampling)
    ok = (source.family is Family.YUV and subsampling is not None) or source.family is Family.GRAY
    if (
        not ok
        or source.has_alpha
        or source.depth not in _DEPTHS
        or (subsampling == "411" and source.depth > 8)
    ):
        raise UsageError(f"y4m cannot hold {source.name}: it takes planar YUV and gray without alpha")
    if source.layout is Layout.PLANAR:
        return source
    return next(
        fmt
        for fmt in PIXEL_FORMATS.values()
        if fmt.layout is Layout.PLANAR
        and (fmt.family, fmt.depth, fmt.subsampling, fmt.has_alpha)
        == (source.family, source.depth, source.subsampling, False)
    )


def header(format: FrameFormat, rate: Fraction) -> bytes:
    """The stream header, with the tags that FFmpeg, x264, x265, SVT-AV1 and mpv read."""
    pixels, color = format.pixel_format, format.color
    name = "mono" if pixels.family is Family.GRAY else _SUBSAMPLING[pixels.subsampling]
    if pixels.depth > 8:
        chroma = f"{name}{pixels.depth}" if name == "mono" else f"{name}p{pixels.depth}"
    else:
        chroma = _SITED_420.get(color.chroma_location, "420mpeg2") if name == "420" else name
    aspect = format.sample_aspect_ratio
    words = [
        f"YUV4MPEG2 W{format.width} H{format.height} F{rate.numerator}:{rate.denominator} Ip",
        f"A{aspect.numerator}:{aspect.denominator} C{chroma}",
        f"XCOLORRANGE={'FULL' if color.range is ColorRange.FULL else 'LIMITED'}",
    ]
    return (" ".join(words) + "\n").encode("ascii")


class Y4mWriter(HostSink):
    """A sink that writes y4m to standard output, or to a file by way of its work folder."""

    done = 0
    journal = None

    def __init__(
        self,
        format: FrameFormat,
        rate: Fraction,
        *,
        work: WorkDir | None = None,
        pipe: BinaryIO | None = None,
    ) -> None:
        """`work` for a file; without it `pipe`, by default standard output, which is not closed."""
        self.warnings: list[str] = [work.notice] if work and work.notice else []
        self.bytes_written = 0
        self._rate = rate
        self._work = work
        self._where = str(work.destination) if work else "standard output"
        self._first: Fraction | None = None
        self._frames = 0
        self._repeated = 0
        self._off_beat = False
        self._held: list[bytes] | None = None
        self._given_up = False
        self._ended = False
        try:
            self._file: BinaryIO | OutPipe = (
                work.file.open("wb") if work else OutPipe(pipe or sys.stdout.buffer)
            )
            self._put(header(format, rate))
        except BaseException as error:
            if hasattr(self, "_file"):
                self._file.close()
            if work is not None:
                work.discard()  # releases the lock
            if isinstance(error, OSError):
                raise OutputError(f"cannot write {self._where}: {reason(error)}") from error
            raise

    def write(self, planes: Sequence[Plane], timing: Timing) -> None:
        """Write one frame at its place in the constant rate; see the module's rule."""
        self._put_at([plane.tobytes() for plane in planes], timing)

    def repeat(self, timing: Timing) -> None:
        """See `Sink.repeat`."""
        assert self._held is not None, "a frame was written"
        self._put_at(self._held, timing)

    def _put_at(self, frame: list[bytes], timing: Timing) -> None:
        time = timing.time
        if self._first is None:
            self._first = time
        slot = (time - self._first) * self._rate
        place = round(slot)
        if abs(slot - self._frames) > 1:
            self._off_beat = True
        while self._held is not None and self._frames < place:
            if self._given_up:
                return
            self._put_frame(self._held)
            self._repeated += 1
        self._put_frame(frame)
        self._held = frame

    def finish(self) -> None:
        with self._writing():
            self._file.flush()
        if self._off_beat:
            self.warnings.append(
                f"the frame rate varies, but y4m has one rate: written at {float(self._rate):.6g} frames per"
                f" second, {counted(self._repeated, 'frame')} repeated to fill gaps"
            )
        try:
            with self._writing():
                self._file.close()
            if self._work is not None:
                self._work.promote()
        except BaseException:
            self.abort()
            raise
        self._ended = True

    def abort(self) -> None:
        if self._ended:
            return
        self._ended = True
        with contextlib.suppress(OSError):
            self._file.close()
        if self._work is not None and (kept := self._work.abandon(worth_keeping=self._frames > 0)):
            self.warnings.append(kept)

    def give_up(self) -> None:
        """See `Sink.give_up`: a player may be paused, and gaps of hours are filled."""
        self._given_up = True
        if isinstance(self._file, OutPipe):
            self._file.give_up()

    def _put_frame(self, frame: Sequence[bytes]) -> None:
        self._put(b"FRAME\n")
        for plane in frame:
            self._put(plane)
        self._frames += 1

    def _put(self, data: bytes) -> None:
        with self._writing():
            self._file.write(data)
        self.bytes_written += len(data)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Errors of the file as those of this program."""
        try:
            yield
        except BrokenPipeError:
            raise ConsumerGone("the program that reads the y4m stream has closed it") from None
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot write {self._where}: {reason(error)}") from error
