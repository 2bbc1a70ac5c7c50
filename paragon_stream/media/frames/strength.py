"""The compression strength of each frame of a stream: the mean of its and its neighbours' quantisers.

**The window.** A frame's strength comes from the mean quantiser of the frame and of up to REACH frames on
either side, none of them further away than REACH_SECONDS nor beyond a scene cut. Within a group of pictures
quantisers vary while the quality of the picture does not (B frames are predicted from I and P frames), so the
mean is used. The window is finite and two frames decide a cut: wherever decoding began, the same frame gets
the same strength. For live sources the window is `causal`: earlier frames only, twice as far.

**Held frames.** A frame that is identical to the one before gets the same strength, so that its result is the
same too. The window decides again every REACH_SECONDS of the source's time, so this looks back no further.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import av
import numpy as np
from numpy.typing import NDArray

from paragon_stream.device import DevicePlane
from paragon_stream.frame import PIXEL_FORMATS, Timing
from paragon_stream.media.decode.decoder import Decoder
from paragon_stream.media.decode.nvdec import is_on_gpu
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.ffmpeg.planes import plane_view, same_samples
from paragon_stream.media.frames.scene_cuts import is_cut, means, row_step, small_picture
from paragon_stream.media.quantisers.meter import Origin, Reading
from paragon_stream.media.quantisers.scale import strength_of

REACH = 8
"""Frames."""
REACH_SECONDS = Fraction(1, 3)

PROBED_FRAMES = 40
"""Frames looked at for `probe`: two or three groups of pictures of most streams."""
_NAMES = {
    "h264": "H.264",
    "hevc": "HEVC",
    "av1": "AV1",
    "vp9": "VP9",
    "mpeg2video": "MPEG-2",
    "mpeg4": "MPEG-4",
}

type TimedFrame = tuple[av.VideoFrame, Timing]
type Read = Callable[[av.VideoFrame], Reading | None]
type Fetch = Callable[[DevicePlane], NDArray[np.uint8]]
"""Brings rows of a picture in device memory to the host: (rows, row_bytes)."""


@dataclass(slots=True)
class _Seen:
    """A frame of the window. `starts_scene`: it shows something else than the one before."""

    size: tuple[int, int]
    time: Fraction
    reading: Reading | None
    picture: NDArray[np.float32]
    starts_scene: bool
    repeats: bool
    """Whether it is identical to the frame before."""


@dataclass(frozen=True, kw_only=True)
class Compression:
    """The compression strength of the first frames of a stream, which `probe` shows."""

    codec: str
    quantiser: float
    """Mean, on H.264's 8-bit scale."""
    strength: float
    source: str
    """The source of the quantiser, in words."""
    frames: int

    def __str__(self) -> str:
        codec = _NAMES.get(self.codec, self.codec)
        measured = self.source in (Origin.DECODER, Origin.HEADERS)
        scale = " on H.264's scale" if self.codec != "h264" else ""
        how = f"mean quantiser {self.quantiser:.0f}{scale}" if measured else self.source
        return f"{codec}, {how} → strength {self.strength:.2f}"


def measure_strength(info: MediaInfo, frames: int = PROBED_FRAMES) -> Compression:
    """The strengths of the first `frames` frames of a video file. Raises InputError."""
    decoder = Decoder(info.path, info.video.index, quantisers=True, probing=info.probing)
    try:
        readings = [decoder.reading(frame) for frame in islice(decoder, frames)]
    finally:
        decoder.close()
    known = [each for each in readings if each is not None]
    quantiser = mean_quantiser(known)
    return Compression(
        codec=info.video.codec,
        quantiser=quantiser,
        strength=strength_of(quantiser),
        source=in_words(Counter(each.origin for each in known)),
        frames=len(readings),
    )


def mean_quantiser(readings: Sequence[Reading]) -> float:
    """Mean on H.264's scale, 0 without readings; estimates count only where nothing better is known."""
    known = [each.quantiser for each in readings if each.origin is not Origin.ESTIMATED]
    counted = known or [each.quantiser for each in readings]
    # Sorted: the sum must not depend on the order of addition.
    return sum(sorted(counted)) / len(counted) if counted else 0.0


def in_words(origins: Counter[Origin]) -> str:
    """The sources of the frames' quantisers, in words."""
    if not origins:
        return "unknown"
    if len(origins) == 1:
        return str(next(iter(origins)))
    return ", ".join(f"{origin} ({count} frames)" for origin, count in origins.most_common())


class StrengthTrack:
    """Computes the strengths of a stream of frames: `watch` returns the frames unchanged, `at` the strength.

    `read` returns a frame's quantiser (`Decoder.reading`), `fetch` copies rows of frames on a GPU. With
    `causal` no frame waits for later ones.
    """

    def __init__(self, read: Read, *, causal: bool = False, fetch: Fetch | None = None) -> None:
        self._read, self._fetch = read, fetch
        self._back, self._ahead = (2 * REACH, 0) if causal else (REACH, REACH)
        self._reach = REACH_SECONDS * (2 if causal else 1)
        self._strengths: deque[tuple[Fraction, float]] = deque()
        self._latest: av.VideoFrame | None = None
        self.origins: Counter[Origin] = Counter()
        """Number of frames by the source of their quantiser."""

    def watch(self, frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        """The same frames in the same order, up to REACH later; times must rise."""
        seen: deque[_Seen] = deque()
        """The frames before the current one, that one, and those after it."""
        waiting: deque[TimedFrame] = deque()
        for frame, timing in frames:
            previous = seen[-1] if seen else None
            seen.append(self._look(frame, timing, previous))
            waiting.append((frame, timing))
            if len(waiting) > self._ahead:
                yield self._measured(waiting, seen)
        while waiting:
            yield self._measured(waiting, seen)

    def at(self, time: Fraction) -> float:
        """The strength of the frame that is shown at `time` (seconds of the frames' timestamps).

        Times rise from call to call, and `watch` has returned the frame before.
        """
        while len(self._strengths) > 1 and self._strengths[1][0] <= time:
            self._strengths.popleft()
        return self._strengths[0][1] if self._strengths else 0.0

    @property
    def source(self) -> str:
        """The sources of the frames' quantisers, in words."""
        return in_words(self.origins)

    def _look(self, frame: av.VideoFrame, timing: Timing, previous: _Seen | None) -> _Seen:
        # Concealment of a damaged frame depends on the decoder's threads, so such a frame decides no cut.
        guessed = frame.is_corrupt and previous is not None
        picture = previous.picture if previous and guessed else _small_picture(frame, self._fetch)
        size = frame.width, frame.height
        latest, self._latest = self._latest, frame
        repeats = (
            latest is not None
            and previous is not None
            and not guessed
            and np.array_equal(previous.picture, picture)
            and same_samples(latest, frame)
        )
        return _Seen(
            size=size,
            time=timing.time,
            reading=self._read(frame),
            picture=picture,
            starts_scene=previous is not None
            and (previous.size != size or is_cut(previous.picture, picture)),
            repeats=repeats,
        )

    def _measured(self, waiting: deque[TimedFrame], seen: deque[_Seen]) -> TimedFrame:
        """The first waiting frame, whose strength is now known to `at`."""
        here = len(seen) - len(waiting)
        now = seen[here]
        if now.repeats and here and seen[here - 1].time // self._reach == now.time // self._reach:
            strength = self._strengths[-1][1]
        else:
            strength = strength_of(self._mean(seen, here))
        self._strengths.append((now.time, strength))
        if now.reading is not None:
            self.origins[now.reading.origin] += 1
        if here >= self._back:
            seen.popleft()
        return waiting.popleft()

    def _mean(self, seen: deque[_Seen], here: int) -> float:
        """Mean quantiser around `seen[here]`."""
        now = seen[here]
        around = [now]
        for index in range(here, max(0, here - self._back), -1):
            if seen[index].starts_scene or now.time - seen[index - 1].time > self._reach:
                break
            around.append(seen[index - 1])
        for after in islice(seen, here + 1, here + 1 + self._ahead):
            if after.starts_scene or after.time - now.time > self._reach:
                break
            around.append(after)
        return mean_quantiser([each.reading for each in around if each.reading is not None])


def _small_picture(frame: av.VideoFrame, fetch: Fetch | None) -> NDArray[np.float32]:
    format = frame.sw_format if is_on_gpu(frame) else frame.format
    assert format is not None
    if format.name not in PIXEL_FORMATS and not is_on_gpu(frame) and not format.name.startswith("yuvj"):
        frame = frame.reformat(format="gray")  # from single bits, palettes, floats, big-endian samples …
        format = frame.format
    depth, known = format.components[0].bits, PIXEL_FORMATS.get(format.name)
    dtype = np.dtype(np.uint8 if depth <= 8 else np.uint16)
    peak = (1 << depth) - 1 << (known.shift if known else 0)
    row_bytes = frame.width * (dtype.itemsize if format.is_planar else format.padded_bits_per_pixel // 8)
    row_bytes = row_bytes // dtype.itemsize * dtype.itemsize
    if not is_on_gpu(frame):
        return small_picture(plane_view(frame, 0)[:, :row_bytes].view(dtype), peak)
    assert fetch is not None
    luma, step = frame.planes[0], row_step(frame.height)
    rows = DevicePlane(
        pointer=luma.buffer_ptr,
        pitch=step * luma.line_size,
        row_bytes=row_bytes,
        rows=-(-frame.height // step),
    )
    return means(fetch(rows).view(dtype), peak)
