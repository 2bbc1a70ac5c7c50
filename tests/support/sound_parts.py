"""Clips whose sound changes its rate or its channels on the way, as in broadcasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from clips import make_frame, scene

RATE = 25


@dataclass(frozen=True, kw_only=True)
class Part:
    """A second of a broadcast, with a tone of `hertz`."""

    codec: str
    rate: int
    layout: str
    hertz: int


def broadcast(path: Path, parts: Sequence[Part]) -> Path:
    """Write `parts` one after another into the transport stream `path`."""
    path.write_bytes(b"".join(second(path.with_suffix(f".{n}.ts"), part, n) for n, part in enumerate(parts)))
    return path


def second(path: Path, part: Part, begin: int = 0, silent: int = 0) -> bytes:
    """The file of a second that begins at second `begin`; it is written to `path`, whose suffix names the
    container. Its sound begins after `silent` seconds more."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "bf": "0"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = out.add_stream(part.codec, rate=part.rate, layout=part.layout)
        packets = []
        for n in range(RATE * (1 + silent)):
            frame = make_frame(scene(n, 96, 64), "yuv420p")
            frame.pts, frame.time_base = begin * RATE + n, Fraction(1, RATE)
            packets += video.encode(frame)
        packets += video.encode(None)
        # Shorter than the pictures: an encoder's first and last packets must not overlap the next part's.
        wave = np.sin(np.arange(part.rate * 9 // 10) * (2 * np.pi * part.hertz / part.rate)) / 4
        channels = sound.layout.nb_channels
        frame = av.AudioFrame.from_ndarray(
            np.tile(wave.astype(np.float32), (channels, 1)), "fltp", part.layout
        )
        frame.sample_rate, frame.pts = part.rate, (begin + silent) * part.rate + part.rate // 20
        frame.time_base = Fraction(1, part.rate)
        packets += [*sound.encode(frame), *sound.encode(None)]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)
    return path.read_bytes()


def tones(path: Path) -> list[int]:
    """The strongest frequency in the middle of each second of the sound of `path`, in tens of hertz, without
    seconds of silence."""
    with av.open(str(path)) as file:
        frames = [(float(frame.pts * frame.time_base), frame) for frame in file.decode(audio=0)]
    begin = frames[0][0]
    found = []
    for second in range(round(frames[-1][0] - begin)):
        middle = [frame for time, frame in frames if second + 0.25 < time - begin < second + 0.75]
        if not middle:
            continue
        wave = np.concatenate([_first_channel(frame) for frame in middle])
        strength = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
        found.append(round(int(np.argmax(strength)) * middle[0].sample_rate / len(wave) / 10) * 10)
    return found


def _first_channel(frame: av.AudioFrame) -> np.ndarray:
    samples = frame.to_ndarray()
    return samples[0] if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)[:, 0]
