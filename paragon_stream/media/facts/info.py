"""What a media file holds, as plain facts: what `probe` reads and what the output plan is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

from paragon_stream.frame import FrameFormat
from paragon_stream.media.facts.appearance import Appearance, ColorNumbers
from paragon_stream.media.facts.cut import Cut
from paragon_stream.media.facts.fields import FieldJob, Parity
from paragon_stream.media.facts.probing import HEADERS, Probing
from paragon_stream.media.matroska.source import MatroskaFacts


class StreamKind(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"
    SUBTITLE = "subtitle"
    DATA = "data"
    ATTACHMENT = "attachment"
    COVER = "cover"
    """A still picture that accompanies the programme (an `attached_pic` video stream)."""


@dataclass(frozen=True, kw_only=True)
class StreamInfo:
    """One stream of the source, in container order. `detail` is a short human line: "aac 48000 Hz 5.1"."""

    index: int
    kind: StreamKind
    codec: str
    """FFmpeg's codec name ("h264", "ass", "mov_text"), whatever decoder is used; "" where it has none."""
    detail: str = ""
    language: str = ""
    """As FFmpeg gives it: mostly an ISO 639-2 code."""
    language_tag: str = ""
    """The whole BCP 47 tag ("pt-BR"), where the file has one."""
    title: str = ""
    dispositions: tuple[str, ...] = ()
    bit_rate: int | None = None
    """Bits per second, as the header states; None if it does not."""
    copyable: bool = True
    """False where FFmpeg cannot hand out usable packets (no codec parameters)."""


@dataclass(frozen=True, kw_only=True)
class HdrMetadata:
    """HDR10 static metadata, in the units of the x265 parameters `master-display` and `max-cll`."""

    mastering_display: str | None = None
    """G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min): chromaticities × 50000, luminances × 10000 cd/m²."""
    content_light: tuple[int, int] | None = None
    """MaxCLL, MaxFALL in cd/m²."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """An NVIDIA GPU that decodes, by its number. Frames stay in its memory if `resident`."""

    number: int
    resident: bool = False

    def __str__(self) -> str:
        return f"cuda:{self.number}"


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """The video stream that is upscaled. `format.color` is resolved; `guessed` names what was untagged."""

    index: int
    codec: str
    format: FrameFormat
    """Of the frames as shown: behind the container's crop."""
    appearance: Appearance | None = None
    """What the first frame says of itself; None for images."""
    header_colors: ColorNumbers = field(default_factory=ColorNumbers)
    """What holds where frames leave their colours open."""
    gpu: Gpu | None = None
    """What decodes it, to frames of `format`, which then is semi-planar; None is the CPU."""
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Columns and rows (left, top, right, bottom) of the decoded picture that the container says not to show;
    left and top are whole chroma samples."""
    guessed: tuple[str, ...] = ()
    """"matrix", "range", "transfer", "primaries", "chroma location"."""
    time_base: Fraction
    average_rate: Fraction | None = None
    """Frames per second, as far as the header can be believed: for rate control and missing timestamps."""
    durations_known: bool = True
    """False where packet durations come from a frame rate that is absurd, and are ignored."""
    start_pts: int | None = None
    """Of the first frame that decodes; None where frames have no timestamps."""
    duration: float | None = None
    """Seconds from the first frame to the end of the last, as the header says of this very stream."""
    frames: int | None = None
    """How many frames to expect, for progress; an estimate; None where nothing says so."""
    interlaced: bool = False
    """The first frames are interlaced, or the header says so where frames of this codec say nothing."""
    flagged_frames: bool = True
    """Whether that can be read off every single frame."""
    parity: Parity = Parity.AUTO
    """The order of fields in the header; AUTO where it has none."""
    fields: FieldJob | None = None
    """What is done about interlacing; None processes frames as they are."""
    display_matrix: tuple[int, ...] | None = None
    """Nine 16.16/2.30 fixed-point integers; None for upright video."""
    hdr: HdrMetadata | None = None
    uncarried: tuple[str, ...] = ()
    """What the first frames carry that no API lets through: "closed captions", "HDR10+", "Dolby Vision" …"""
    stereo_mode: str = ""
    """How the views of a stereo video share a frame, as Matroska's `stereo_mode`; "" where that is unknown
    or would not survive upscaling."""

    @property
    def decoded(self) -> str:
        """FFmpeg's name of the pixel format that the decoder gives; frames are converted where it is another
        than the format's."""
        return "" if self.appearance is None else self.appearance.pixel_format

    @property
    def sideways(self) -> bool:
        """Whether it is displayed rotated by 90° or 270°: rows as stored are columns as seen."""
        matrix = self.display_matrix
        return matrix is not None and abs(matrix[0]) < abs(matrix[1])

    @property
    def grain(self) -> int:
        """What the sides of a result should be multiples of: encoders and players expect even ones."""
        return max(2, *(1 << n for n in self.format.pixel_format.subsampling))

    @property
    def shown_rate(self) -> Fraction | None:
        """Frames per second behind the treatment of fields."""
        factor = self.fields.rate_factor if self.fields else 1
        return None if self.average_rate is None else self.average_rate * factor

    @property
    def shown_time_base(self) -> Fraction:
        """Seconds per tick of the frames' stamps behind the treatment of fields."""
        return self.time_base / (self.fields.ticks if self.fields else 1)


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    """A whole source file."""

    path: Path
    container: str
    """FFmpeg's demuxer names, comma separated: "matroska,webm"."""
    streams: tuple[StreamInfo, ...]
    video: VideoInfo
    chapters: int = 0
    duration: float | None = None
    start_time: float = 0.0
    """Earliest timestamp of all streams, in seconds."""
    seekable: bool = True
    """Whether it can be opened a second time and read from its start: true of every regular file."""
    piped: bool = False
    """Whether it comes out of a pipe."""
    cut: Cut | None = None
    """The part of it that is rendered; None for all of it."""
    probing: Probing = HEADERS
    """How every reader of this file must open it, to find the same streams under the same numbers."""
    matroska: MatroskaFacts | None = field(default=None, repr=False)
    """What FFmpeg does not pass on of a Matroska file."""
    hints: tuple[str, ...] = ()
    """Sentences about options that may suit this source better."""

    @property
    def programme_start(self) -> Fraction:
        """Where the programme begins on the clock of the source, seconds: its earliest timestamp.

        Below zero it is the picture that counts: sound begins there only because its encoder needed a run-up.
        """
        earliest = Fraction(round(self.start_time * 1_000_000), 1_000_000)
        if earliest >= 0:
            return earliest
        return min(Fraction(0), (self.video.start_pts or 0) * self.video.time_base)


@dataclass(frozen=True, kw_only=True)
class Damage:
    """What was wrong with the source's video packets and frames, in counts."""

    undecodable_packets: int = 0
    """Packets that the decoder refused."""
    corrupt_packets: int = 0
    """Packets that the container delivered incomplete or with errors."""
    corrupt_frames: int = 0
    """Frames that were decoded in spite of errors, with parts of the picture guessed."""
    broken_places: int = 0
    """Places where the structure of the file is broken: packets that stood there are lost."""
