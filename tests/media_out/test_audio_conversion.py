"""Sound that a container cannot hold is encoded again, in step with the picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip
from numpy.typing import NDArray
from rendering import decoded_pts, render

from paragon_stream.errors import LossError
from paragon_stream.media.output.stream_plans import Action

RATE = 48_000


def heard(path: Path) -> tuple[float, NDArray[np.float32]]:
    """When the sound begins, in seconds, and its first channel's samples."""
    begin, pieces = None, []
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        for frame in file.decode(stream):
            if begin is None:
                begin = float(frame.pts * frame.time_base)
            pieces += [made.to_ndarray()[0] for made in resampler.resample(frame)]
        pieces += [made.to_ndarray()[0] for made in resampler.resample(None)]
    assert begin is not None
    return begin, np.concatenate(pieces)


def delay_between(one: tuple[float, NDArray[np.float32]], other: tuple[float, NDArray[np.float32]]) -> float:
    """By how many seconds the same sound comes later in `other`, from its samples and its start."""
    a, b = one[1], other[1]
    size = 1 << (max(len(a), len(b)) * 2 - 1).bit_length()
    match = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)
    shift = int(np.argmax(match))
    shift -= size if shift > size // 2 else 0
    return other[0] - one[0] + shift / RATE


def noisy_clip(path: Path, codec: str, delay: float, layout: str = "stereo") -> Path:
    """Two seconds of video with noise, which matches itself at one place only."""
    clip = make_clip(path.with_name("silent.mkv"), frames=50)
    chance = np.random.default_rng(5)
    with av.open(str(clip)) as a, av.open(str(path), "w") as b:
        video = b.add_stream_from_template(a.streams[0], opaque=True)
        sound = b.add_stream(codec, rate=RATE, layout=layout)
        sound.bit_rate = 256_000
        made = []
        for start in range(0, 2 * RATE, 4800):
            noise = (chance.normal(size=(sound.layout.nb_channels, 4800)) * 0.1).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout=layout)
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = start + round(delay * RATE)
            made += sound.encode(frame)
        for packet in [p for p in a.demux() if p.size]:
            packet.stream = video
            b.mux(packet)
        b.mux([*made, *sound.encode(None)])
    return path


@pytest.mark.parametrize("delay", [0.0, 0.3])
@pytest.mark.parametrize(
    ("codec", "suffix", "becomes"),
    [
        ("aac", "webm", "opus"),
        ("flac", "webm", "opus"),
        ("ac3", "webm", "opus"),
        ("libopus", "mov", "aac"),
        ("flac", "ts", "aac"),
    ],
)
def test_encoded_again_and_in_step(
    tmp_path: Path, codec: str, suffix: str, becomes: str, delay: float
) -> None:
    source = noisy_clip(tmp_path / "in.mkv", codec, delay)
    out = tmp_path / f"out.{suffix}"
    done = render(source, out)
    fate = done.plan.streams[0]
    assert fate.action is Action.CONVERT and fate.loss and done.warnings == [str(fate)]
    with av.open(str(out)) as file:
        assert file.streams.audio[0].codec_context.codec.canonical_name == becomes
    had, has = heard(source), heard(out)
    assert abs(len(has[1]) - len(had[1])) < 3000
    moved = float(decoded_pts(out)[0] - decoded_pts(source)[0])
    assert abs(delay_between(had, has) - moved) < 0.003


def test_surround(tmp_path: Path) -> None:
    source = noisy_clip(tmp_path / "in.mkv", "flac", 0.0, layout="5.1")
    render(source, tmp_path / "out.webm")
    with av.open(str(tmp_path / "out.webm")) as file:
        assert file.streams.audio[0].layout.nb_channels == 6
        assert sum(frame.samples for frame in file.decode(audio=0)) > 1.9 * RATE


def test_strict_refuses(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=3, audio="aac")
    with pytest.raises(LossError, match=r"aac\) converted to libopus: webm cannot hold aac"):
        render(source, tmp_path / "out.webm", strict=True)
