"""The facts of a media file: `probe` reads them, and the output plan uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

from paragon_stream.frame import FrameFormat
from paragon_stream.media.facts.appearance import Appearance, ColorNumbers
from paragon_stream.media.facts.cut import Cut
from paragon_stream.media.facts.fields import FieldJob, Parity
from paragon_stream.media.matroska.source import MatroskaFacts
from paragon_stream.media.mpeg.programmes import Programme
from paragon_stream.media.source.probing import HEADERS, Probing
from paragon_stream.number_text import counted


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
    """One stream of the source, in container order. `detail` is a short description: "aac 48000 Hz 5.1"."""

    index: int
    kind: StreamKind
    codec: str
    """FFmpeg's codec name ("h264", "ass", "mov_text"), not the decoder's; "" if it has none."""
    detail: str = ""
    language: str = ""
    """FFmpeg's value: usually an ISO 639-2 code."""
    language_tag: str = ""
    """The whole BCP 47 tag ("pt-BR"), where the file has one."""
    title: str = ""
    dispositions: tuple[str, ...] = ()
    bit_rate: int | None = None
    """Bits per second from the header; None if the header does not state them."""
    copyable: bool = True
    """False if FFmpeg's packets are not usable (no codec parameters)."""
    tags: tuple[str, ...] = ()
    """The names of all of its tags."""


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
    """The video stream that is upscaled. `format.color` is resolved; `guessed` names the tags that were
    missing."""

    index: int
    codec: str
    format: FrameFormat
    """Size and format of the frames as shown: after the container's crop."""
    appearance: Appearance | None = None
    """The tags of the first frame; None for images."""
    header_colors: ColorNumbers = field(default_factory=ColorNumbers)
    """The tags that apply to frames without tags of their own."""
    gpu: Gpu | None = None
    """The GPU that decodes it; `format` is then semi-planar. None for the CPU."""
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Columns and rows (left, top, right, bottom) of the decoded picture that the container hides;
    left and top are whole chroma samples."""
    guessed: tuple[str, ...] = ()
    """"matrix", "range", "transfer", "primaries", "chroma location"."""
    time_base: Fraction
    average_rate: Fraction | None = None
    """Frames per second, from a header value that is plausible: for rate control and missing timestamps."""
    durations_known: bool = True
    """False if packet durations come from an implausible frame rate, and are ignored."""
    start_pts: int | None = None
    """Timestamp of the first frame that decodes, ticks; None if frames have no timestamps."""
    duration: float | None = None
    """Seconds from the first frame to the end of the last, from the header of this stream."""
    frames: int | None = None
    """The estimated number of frames, for progress; None if unknown."""
    interlaced: bool = False
    """Whether the first frames are flagged interlaced, or the header is if this codec does not flag
    frames."""
    flagged_frames: bool = True
    """Whether each frame of this codec is flagged."""
    parity: Parity = Parity.AUTO
    """The order of fields in the header; AUTO if the header has none."""
    fields: FieldJob | None = None
    """The treatment of interlaced frames; None processes frames as they are."""
    display_matrix: tuple[int, ...] | None = None
    """Nine 16.16/2.30 fixed-point integers; None for upright video."""
    hdr: HdrMetadata | None = None
    uncarried: tuple[str, ...] = ()
    """Data of the first frames that most outputs cannot hold: "closed captions", "HDR10+" …"""
    timecode: str = ""
    """SMPTE timecode of the first frame from the video itself (its SEI, or the headers of MPEG-2's groups of
    pictures): "01:02:03:04". "" if it has none that means anything, or if the file has one."""
    stereo_mode: str = ""
    """The arrangement of the views of a stereo video in a frame, as Matroska's `stereo_mode`; "" if it is
    unknown or upscaling does not preserve it."""

    @property
    def decoded(self) -> str:
        """FFmpeg's name of the decoder's pixel format; frames are converted if it differs from that of
        `format`."""
        return "" if self.appearance is None else self.appearance.pixel_format

    @property
    def sideways(self) -> bool:
        """Whether it is displayed rotated by 90° or 270°: rows as stored are columns as seen."""
        matrix = self.display_matrix
        return matrix is not None and abs(matrix[0]) < abs(matrix[1])

    @property
    def grain(self) -> int:
        """The sides of a result should be multiples of these numbers: encoders and players expect even
        ones."""
        return max(2, *(1 << n for n in self.format.pixel_format.subsampling))

    @property
    def shown_rate(self) -> Fraction | None:
        """Frames per second after the treatment of fields."""
        factor = self.fields.rate_factor if self.fields else 1
        return None if self.average_rate is None else self.average_rate * factor

    @property
    def shown_time_base(self) -> Fraction:
        """Seconds per tick of the frames' timestamps after the treatment of fields."""
        return self.time_base / (self.fields.ticks if self.fields else 1)


IMAGE_SEQUENCE = "image sequence"
"""`MediaInfo.container` of sequences of images."""


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
    """The part of the file that is rendered; None for the whole file."""
    probing: Probing = HEADERS
    """FFmpeg's search for streams. All readers of the file must use it, so that streams have the same
    indices."""
    continued_in: tuple[int, ...] = ()
    """Indices of streams in which the picture continues in the middle of the file; they are not rendered."""
    tags: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The tags of the file, as FFmpeg reads them."""
    programmes: tuple[Programme, ...] = ()
    """The programmes of a transport stream; none for other files."""
    matroska: MatroskaFacts | None = field(default=None, repr=False)
    """Facts of a Matroska file that FFmpeg does not report; None for other files."""
    hints: tuple[str, ...] = ()
    """Sentences for the user about options that may suit this source better."""

    @property
    def programme_start(self) -> Fraction:
        """The start of the programme on the source's clock, seconds: its earliest timestamp.

        If that is below zero, the first picture counts: sound begins there only because of its encoder's
        priming samples.
        """
        earliest = Fraction(round(self.start_time * 1_000_000), 1_000_000)
        if earliest >= 0:
            return earliest
        return min(Fraction(0), (self.video.start_pts or 0) * self.video.time_base)


@dataclass(frozen=True, kw_only=True)
class Damage:
    """Counts of damaged video packets and frames of the source."""

    undecodable_packets: int = 0
    """Packets that the decoder refused."""
    corrupt_packets: int = 0
    """Packets that the container delivered incomplete or with errors."""
    corrupt_frames: int = 0
    """Frames that were decoded with errors: parts of the picture are concealed."""
    broken_places: int = 0
    """Breaks in the structure of the file: the packets there are lost."""
    missing_ends: int = 0
    """1 if the file ends before its structure does: the packets after that are lost."""

    @property
    def sentences(self) -> list[str]:
        """One sentence for each kind of damage."""
        sentences = []
        if self.undecodable_packets:
            sentences.append(f"{counted(self.undecodable_packets, 'video packet')} could not be decoded")
        if self.corrupt_packets:
            sentences.append(
                f"{counted(self.corrupt_packets, 'video packet')} in the file: damaged or incomplete"
            )
        if self.broken_places:
            places = counted(self.broken_places, "place")
            sentences.append(f"the file is broken at {places}: the pictures or sound there are missing")
        if self.missing_ends:
            sentences.append("the file is cut off: the pictures or sound of its end are missing")
        if self.corrupt_frames:
            sentences.append(
                f"{counted(self.corrupt_frames, 'frame')} decoded with errors: parts may be wrong"
            )
        return sentences
