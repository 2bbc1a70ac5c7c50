"""Sound that a container cannot hold is encoded again, in step with the picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip, packets
from numpy.typing import NDArray
from rendering import decoded_pts, render

from paragon_stream.errors import LossError, UsageError
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
        ("libopus", "mov", "pcm_s24le"),
        ("flac", "ts", "aac"),
    ],
)
def test_encoded_again_and_in_step(
    tmp_path: Path, codec: str, suffix: str, becomes: str, delay: float
) -> None:
    source = noisy_clip(tmp_path / "in.mkv", codec, delay)
    out = tmp_path / f"out.{suffix}"
    done = render(source, out)
    planned = done.plan.streams[0]
    assert planned.action is Action.CONVERT and planned.loss == (becomes in ("opus", "aac"))
    assert done.warnings == ([str(planned)] if planned.loss else [])
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


def samples(path: Path) -> list[bytes]:
    """The sound as 32-bit integers, one buffer for each channel."""
    with av.open(str(path)) as file:
        resampler = av.AudioResampler(format="s32p")
        frames = [made for frame in file.decode(audio=0) for made in resampler.resample(frame)]
    return [b"".join(frame.to_ndarray()[n].tobytes() for frame in frames) for n in range(2)]


@pytest.mark.parametrize(
    ("codec", "suffix", "becomes"),
    [
        ("pcm_s16be", "mkv", "pcm_s16be"),
        ("pcm_f32be", "mkv", "pcm_f32le"),
        ("pcm_f64be", "mkv", "pcm_f64le"),
        ("pcm_s32be", "mp4", "pcm_s32be"),
        ("pcm_mulaw", "mp4", "alac"),
        ("pcm_mulaw", "mkv", "pcm_mulaw"),
        ("flac", "mov", "pcm_s16le"),
        ("alac", "mkv", "alac"),
        ("wavpack", "mp4", "alac"),
        ("tta", "mov", "pcm_s16le"),
        ("pcm_s16le", "mp4", "pcm_s16le"),
    ],
)
def test_without_loss_where_it_can_be(tmp_path: Path, codec: str, suffix: str, becomes: str) -> None:
    container = "mkv" if codec in ("flac", "wavpack", "tta", "alac") else "mov"
    source = noisy_clip(tmp_path / f"in.{container}", codec, 0.0)
    out = tmp_path / f"out.{suffix}"
    done = render(source, out, strict=True)
    with av.open(str(out)) as file:
        assert file.streams.audio[0].codec_context.codec.canonical_name == becomes
    assert done.warnings == [] and samples(out) == samples(source)


@pytest.mark.parametrize("codec", ["pcm_f32le", "pcm_s32le"])
def test_a_loss_of_bits_is_announced_whoever_chose_the_codec(tmp_path: Path, codec: str) -> None:
    wide = tmp_path / "wide.mkv"
    render(noisy_clip(tmp_path / "in.mkv", codec, 0.0), wide, audio_codec="wavpack", strict=True)
    for name, options in (("out.mp4", {}), ("out.mkv", {"audio_codec": "flac"})):
        done = render(wide, tmp_path / name, **options)
        assert ["stores 24 of its 32 bits" in each for each in done.warnings] == [True], name


@pytest.mark.parametrize("rate", [96_000, 192_000])
def test_high_rates_stay(tmp_path: Path, rate: int) -> None:
    clip = make_clip(tmp_path / "silent.mkv", frames=5)
    source = tmp_path / "in.mov"
    with av.open(str(clip)) as a, av.open(str(source), "w") as b:
        video = b.add_stream_from_template(a.streams[0], opaque=True)
        sound = b.add_stream("pcm_f32be", rate=rate, layout="stereo")
        noise = np.random.default_rng(1).uniform(-1, 1, (2, rate // 5)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        for packet in [p for p in a.demux() if p.size]:
            packet.stream = video
            b.mux(packet)
        b.mux([*sound.encode(frame), *sound.encode(None)])
    render(source, tmp_path / "out.mkv", strict=True)
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert file.streams.audio[0].codec_context.sample_rate == rate
    assert samples(tmp_path / "out.mkv") == samples(source)


def test_the_users_choice(tmp_path: Path) -> None:
    source = noisy_clip(tmp_path / "in.mkv", "flac", 0.0)
    done = render(source, tmp_path / "out.mkv", audio_codec="opus", audio_bitrate="64k", strict=True)
    assert str(done.plan.streams[0]).endswith("converted to libopus: as requested") and done.warnings == []
    with av.open(str(tmp_path / "out.mkv")) as file:
        sound = file.streams.audio[0]
        assert sound.codec_context.codec.canonical_name == "opus"
        size = sum(packet.size for packet in file.demux(sound))
    assert 10_000 < size < 24_000  # 16 kB in two seconds
    copied = render(source, tmp_path / "same.mkv", audio_codec="flac")
    assert copied.plan.streams[0].action is Action.COPY
    with pytest.raises(UsageError, match="unknown audio codec 'libx264'"):
        render(source, tmp_path / "no.mkv", audio_codec="libx264")
    with pytest.raises(UsageError, match="--audio-bitrate much is not a bit rate from 1k to 100M"):
        render(source, tmp_path / "no.mkv", audio_codec="aac", audio_bitrate="much")


def exact(path: Path) -> NDArray[np.float64]:
    """The samples of the first sound, in units of its full scale."""
    with av.open(str(path)) as file:
        pieces = [
            frame.to_ndarray() if frame.format.is_planar else frame.to_ndarray().reshape(-1, 2).T
            for frame in file.decode(audio=0)
        ]
    found = np.concatenate(pieces, axis=1)
    return found / (1.0 if found.dtype.kind == "f" else float(1 << (8 * found.itemsize - 1)))


@pytest.mark.parametrize(
    ("source", "codec", "loss"),
    [
        ("pcm_s16le", "flac", ""),
        ("pcm_s16le", "tta", ""),
        ("pcm_s16le", "wavpack", ""),
        ("pcm_s24le", "flac", ""),
        ("pcm_s24le", "alac", ""),
        ("pcm_s24le", "tta", ""),
        ("pcm_s24le", "wavpack", ""),
        ("pcm_s32le", "wavpack", ""),
        ("pcm_f32le", "wavpack", ""),
        ("pcm_s32le", "flac", "flac stores 24 of its 32 bits"),
        ("pcm_f32le", "tta", "tta stores 24 of its 32 bits"),
        ("pcm_f64le", "wavpack", "wavpack stores 32 of its 64 bits"),
    ],
)
def test_a_lossless_choice_keeps_every_bit(tmp_path: Path, source: str, codec: str, loss: str) -> None:
    plain = noisy_clip(tmp_path / "in.mkv", source, 0.0)
    done = render(plain, tmp_path / "out.mkv", audio_codec=codec)
    assert [loss in str(each) and each.loss == bool(loss) for each in done.plan.streams] == [True]
    assert [loss in warning for warning in done.warnings] == [True] * bool(loss)
    assert loss or np.array_equal(exact(plain), exact(tmp_path / "out.mkv"))


@pytest.mark.parametrize(
    ("codec", "suffix", "message"),
    [
        ("flac", "mov", "--audio-codec flac: mov cannot hold flac: choose aac or ac3 or alac or pcm_s24le"),
        ("flac", "ts", "--audio-codec flac: ts cannot hold flac: choose aac or ac3 or libopus"),
        ("wmav2", "mkv", "mkv cannot hold wmav2"),
        ("truehdd", "mkv", "unknown audio codec 'truehdd'"),
        ("", "mkv", "unknown audio codec ''"),
    ],
)
def test_a_choice_that_cannot_be_stored_is_refused(
    tmp_path: Path, codec: str, suffix: str, message: str
) -> None:
    source = noisy_clip(tmp_path / "in.mkv", "aac", 0.0)
    with pytest.raises(UsageError, match=message):
        render(source, tmp_path / f"out.{suffix}", audio_codec=codec)


def test_a_bit_rate_without_an_encoder_is_announced(tmp_path: Path) -> None:
    source = noisy_clip(tmp_path / "in.mkv", "aac", 0.0)
    done = render(source, tmp_path / "out.mkv", audio_bitrate="96k", strict=True)  # not a loss
    assert ["has no effect" in warning for warning in done.warnings] == [True]


def test_an_encoder_gets_a_rate_that_it_has(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as file:
        video = file.add_stream("ffv1", rate=25, width=16, height=16, pix_fmt="yuv420p")
        sound = file.add_stream("flac", rate=96_000, layout="5.1")
        file.mux([*video.encode(av.VideoFrame(16, 16, "yuv420p")), *video.encode(None)])
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 6 * 9600), np.int16), format="s16", layout="5.1")
        frame.sample_rate, frame.time_base, frame.pts = 96_000, Fraction(1, 96_000), 0
        file.mux([*sound.encode(frame), *sound.encode(None)])
    render(source, tmp_path / "out.mkv", audio_codec="ac3")
    with av.open(str(tmp_path / "out.mkv")) as file:
        context = file.streams.audio[0].codec_context
        assert (context.name, context.sample_rate, context.layout.nb_channels) == ("ac3", 48_000, 6)
    with pytest.raises(UsageError, match=r"channel layout '5\.1' is not supported .* choose aac or ac3"):
        render(source, tmp_path / "out.mp4", audio_codec="mp2")


@pytest.mark.parametrize("name", ["lpcm.m2ts", "lpcm.vob"])
def test_shared_lpcm(name: str, shared: Path, tmp_path: Path) -> None:
    source = shared / "media" / "faults" / name
    render(source, tmp_path / "out.mkv", strict=True)
    assert samples(tmp_path / "out.mkv") == samples(source)
    done = render(source, tmp_path / "out.ts")
    assert [w for w in done.warnings if "converted to aac: ts cannot hold" in w]


@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp4"])
def test_what_the_decoder_holds_back_comes_in_time(tmp_path: Path, suffix: str) -> None:
    """WMA's last frame comes at the very end, without a timestamp."""
    source = noisy_clip(tmp_path / "in.wmv", "wmav2", 0.0)
    with av.open(str(source)) as file:
        length = float(file.duration or 0) / 1_000_000
    out = tmp_path / f"out.{suffix}"
    options = {} if suffix != "webm" else {"codec": "libvpx-vp9", "preset": "8"}
    done = render(source, out, **options)
    assert not [w for w in done.warnings if "packet" in w]
    with av.open(str(out)) as file:
        assert abs(float(file.duration or 0) / 1_000_000 - length) < 0.1
    assert abs(len(heard(out)[1]) - len(heard(source)[1])) < 3000


@pytest.mark.parametrize("codec", ["wmav2", "adpcm_ms", "adpcm_ima_wav", "pcm_mulaw", "pcm_alaw"])
def test_windows_codecs_are_copied_into_matroska(tmp_path: Path, codec: str) -> None:
    """The same packets as from `ffmpeg -c copy`, which decode to the same samples."""
    source = noisy_clip(tmp_path / "in.wmv", codec, 0.0)
    out = tmp_path / "out.mkv"
    done = render(source, out, strict=True)
    assert [plan.action for plan in done.plan.streams] == [Action.COPY] and done.warnings == []
    with av.open(str(out)) as file:
        context = file.streams.audio[0].codec_context
        assert context.codec.canonical_name == codec
        assert (context.sample_rate, context.layout.nb_channels) == (RATE, 2)
    assert packets(out, 1) == packets(source, 1)
    assert samples(out) == samples(source)
    webm = render(source, tmp_path / "out.webm", codec="libvpx-vp9", preset="8")
    assert [plan.codec for plan in webm.plan.streams] == ["libopus"]
