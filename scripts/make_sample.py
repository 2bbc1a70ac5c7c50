"""Make examples/sample.mkv, the clip that ships with the project: picture, music, subtitles, chapters, font.

    python scripts/make_sample.py [OUTPUT]

Everything in it is computed here (the only foreign part is the font Aileron, CC0, which Pillow carries), so
that the clip is free to share. It takes about two minutes. Needs Pillow besides the run-time dependencies.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sample_layers import font
from sample_scene import SECONDS, Scene

WIDTH, HEIGHT = 480, 270
RATE = Fraction(24000, 1001)
FRAMES = round(SECONDS * RATE)
AUDIO_RATE = 48000
REPOSITORY = Path(__file__).resolve().parent.parent

CHAPTERS = ((0.0, "The balloon"), (2.4, "The sail"), (4.8, "The shore"))

ENGLISH = """[Script Info]
Title: Evening at Paragon Lake
ScriptType: v4.00+
PlayResX: 480
PlayResY: 270

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, \
Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, \
MarginR, MarginV, Encoding
Style: Default,Aileron,18,&H00FFFFFF,&H000000FF,&H00402818,&H80000000,0,0,0,0,100,100,0,0,1,1.4,0,2,12,12,14,1
Style: Title,Aileron,22,&H00C8E8FF,&H000000FF,&H00402818,&H80000000,0,0,0,0,100,100,1,0,1,1.4,0,8,12,12,16,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.30,0:00:02.30,Title,,0,0,0,,{\\fad(300,300)}Evening at Paragon Lake
Dialogue: 0,0:00:02.60,0:00:04.60,Default,,0,0,0,,The wind is just right.
Dialogue: 0,0:00:04.90,0:00:06.80,Default,,0,0,0,,{\\i1}Let us read the small print …{\\i0}
"""

GERMAN = """1
00:00:00,300 --> 00:00:02,300
Abend am Paragonsee

2
00:00:02,600 --> 00:00:04,600
Der Wind steht günstig.

3
00:00:04,900 --> 00:00:06,800
<i>Lesen wir das Kleingedruckte …</i>
"""


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "examples" / "sample.mkv"
    target.parent.mkdir(parents=True, exist_ok=True)
    scene = Scene()
    pictures = []
    for index in range(FRAMES):
        pictures.append(shrunk(scene.frame(float(index / RATE))))
        print(f"\rframe {index + 1} of {FRAMES}", end="", flush=True)
    print()
    write(target, pictures)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


def shrunk(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A painted frame filtered down to the clip's size, in linear light as a lens would."""
    linear = (picture.astype(np.float32) / 255) ** 2.2
    planes = [
        np.asarray(Image.fromarray(linear[..., c]).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))
        for c in range(3)
    ]
    light = np.stack(planes, axis=-1).clip(0, 1)
    return np.round(255 * light ** (1 / 2.2)).astype(np.uint8)


def yuv420p(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """BT.709, limited range, chroma co-sited left: filtered [1,2,1]/4 across, [1,1]/2 down."""
    red, green, blue = np.moveaxis(picture.astype(np.float32) / 255, -1, 0)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    planes = [16 + 219 * luma]
    for colour, weight in ((blue, 1.8556), (red, 1.5748)):
        chroma = np.pad((colour - luma) / weight, ((0, 0), (1, 1)), mode="edge")
        across = (chroma[:, :-2] + 2 * chroma[:, 1:-1] + chroma[:, 2:])[:, ::2] / 4
        planes.append(128 + 224 * (across[::2] + across[1::2]) / 2)
    return tuple(np.round(plane).clip(0, 255).astype(np.uint8) for plane in planes)


def music() -> NDArray[np.float32]:
    """2×samples: a slow pad of four chords, plucked notes above it, a little room."""
    count = round(SECONDS * AUDIO_RATE)
    t = np.arange(count) / AUDIO_RATE
    out = np.zeros((2, count))
    chords = ((57, 60, 64), (53, 57, 60), (48, 55, 64), (55, 59, 62))
    length = SECONDS / len(chords)
    for number, chord in enumerate(chords):
        local = t - number * length
        envelope = np.clip(local / 0.35, 0, 1) * np.clip((length + 0.3 - local) / 0.6, 0, 1) * (local >= 0)
        for voice, note in enumerate(chord):
            hertz = 440 * 2 ** ((note - 69) / 12)
            for side, detune in ((0, 0.9985), (1, 1.0015)):
                wave = sum(np.sin(2 * np.pi * hertz * k * detune * t + voice) / k**2.2 for k in (1, 2, 3, 4))
                out[side] += 0.055 * envelope * wave
    step = length / 4
    for number in range(16):
        chord = chords[number // 4]
        note = chord[(0, 2, 1, 2)[number % 4]] + 12 * (1 + (number % 8 == 5))
        local = t - number * step
        hertz = 440 * 2 ** ((note - 69) / 12)
        pluck = (local >= 0) * np.exp(-4.5 * np.maximum(local, 0)) * np.clip(local / 0.004, 0, 1)
        tone = np.sin(2 * np.pi * hertz * local) + 0.35 * np.sin(4 * np.pi * hertz * local)
        place = 0.5 + 0.35 * np.sin(number * 1.9)
        out[0] += 0.16 * (1 - place) * pluck * tone
        out[1] += 0.16 * place * pluck * tone
    for delay, gain in ((1511, 0.3), (3347, 0.24), (7103, 0.18), (12211, 0.12)):
        out[:, delay:] += gain * out[::-1, :-delay]
    fade = np.clip(t / 0.05, 0, 1) * np.clip((SECONDS - t) / 0.8, 0, 1)
    return (out * fade * 0.8 / np.abs(out).max()).astype(np.float32)


def write(target: Path, pictures: list[NDArray[np.uint8]]) -> None:
    with av.open(str(target), "w", format="matroska") as out:
        video, audio = video_stream(out), out.add_stream("aac", rate=AUDIO_RATE, layout="stereo")
        audio.bit_rate = 112_000
        english = av.open(io.BytesIO(ENGLISH.encode()), format="ass")
        german = av.open(io.BytesIO(GERMAN.encode()), format="srt")
        texts = [out.add_stream_from_template(s.streams[0], opaque=True) for s in (english, german)]
        default = av.stream.Disposition.default
        for stream, language, title in (
            (video, "", "Evening at Paragon Lake"),
            (audio, "zxx", "Music"),
            (texts[0], "eng", "English"),
            (texts[1], "deu", "Deutsch"),
        ):
            stream.metadata["title"] = title
            if language:
                stream.metadata["language"] = language
        video.disposition = audio.disposition = texts[0].disposition = default
        out.metadata["title"] = "Evening at Paragon Lake"
        out.metadata["comment"] = "Computed by scripts/make_sample.py of paragon-stream. Public domain (CC0)."
        out.set_chapters(chapters())
        out.add_attachment("Aileron-Regular.ttf", "font/ttf", font(16).path.getvalue())
        out.add_attachment("cover.jpg", "image/jpeg", jpeg(pictures[FRAMES // 3]))
        packets = [*video_packets(video, pictures), *audio_packets(audio)]
        for source, stream in zip((english, german), texts, strict=True):
            for packet in source.demux():
                if packet.size:
                    packet.stream = stream
                    packets.append(packet)
        for packet in sorted(packets, key=lambda packet: packet.dts * Fraction(packet.time_base)):
            out.mux(packet)


def video_stream(out: Any) -> Any:
    options = {"preset": "veryslow", "crf": "19", "x264-params": "keyint=48:no-info=1"}
    stream = out.add_stream("libx264", rate=RATE, options=options)
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context = stream.codec_context
    context.time_base = 1 / RATE
    context.thread_count = 1  # the same file from every machine
    context.colorspace = context.color_trc = context.color_primaries = 1  # BT.709
    context.color_range = context.chroma_sample_location = 1  # limited, left
    return stream


def video_packets(stream: Any, pictures: list[NDArray[np.uint8]]) -> Iterator[Any]:
    for index, picture in enumerate(pictures):
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, values in zip(frame.planes, yuv420p(picture), strict=True):
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            rows[: values.shape[0], : values.shape[1]] = values
        frame.pts, frame.time_base = index, 1 / RATE
        yield from stream.encode(frame)
    yield from stream.encode(None)


def audio_packets(stream: Any) -> Iterator[Any]:
    samples = music()
    for start in range(0, samples.shape[1], 4800):
        piece = np.ascontiguousarray(samples[:, start : start + 4800])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, start, Fraction(1, AUDIO_RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def chapters() -> list[Any]:
    starts = [round(1000 * start) for start, _ in CHAPTERS]
    ends = [*starts[1:], round(1000 * SECONDS)]
    return [
        {
            "id": i + 1,
            "start": start,
            "end": end,
            "time_base": Fraction(1, 1000),
            "metadata": {"title": title},
        }
        for i, (start, end, (_, title)) in enumerate(zip(starts, ends, CHAPTERS, strict=True))
    ]


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "jpeg", quality=85)
    return file.getvalue()


if __name__ == "__main__":
    main()
