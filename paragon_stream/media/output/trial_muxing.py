"""Tests by scratch files, before a render, whether FFmpeg's muxers accept all streams."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import av

from paragon_stream.errors import UsageError, reason
from paragon_stream.media.encode.encoder_job import EncoderJob, configure
from paragon_stream.media.facts.containers import Container, Tags
from paragon_stream.media.facts.streams import codec_name
from paragon_stream.media.ffmpeg.encoder_guard import guarded_opening
from paragon_stream.media.ffmpeg.errors import AV_ERRORS
from paragon_stream.media.ffmpeg.log import captured_log
from paragon_stream.media.output.aac.adts import has_adts
from paragon_stream.media.output.aac.latm import BareAac
from paragon_stream.media.output.audio import AudioConverter, SoundCoding
from paragon_stream.media.output.windows_codec import WindowsCodec

logger = logging.getLogger(__name__)


def add_copy(out: Any, template: Any, windows: WindowsCodec | None = None, aac: BareAac | None = None) -> Any:
    """Add a stream to `out` for packets copied from `template`, by its codec's name `windows`, or `aac`."""
    if windows is not None:
        return windows.add(out, template)
    if aac is not None:
        stream = out.add_stream_from_template(aac.template(), opaque=True)
        stream.codec_context.extradata = aac.config.audio
        return stream
    stream = out.add_stream_from_template(template, opaque=True)
    context = stream.codec_context
    if template.type == "audio" and context.layout.name in _LAYOUTS:
        # Matroska stores the number of channels, not their layout, which MP4 needs for PCM.
        context.layout = _LAYOUTS[context.layout.name]
    return stream


_LAYOUTS = {"1 channels": "mono", "2 channels": "stereo"}


def first_packets(source: Any, *, late: bool = False) -> dict[int, bytes]:
    """The payload of the first packet of each stream in the open `source`, if it is found quickly.

    With `late`, streams that begin late are searched at their beginning.
    """
    found: dict[int, bytes] = {}
    try:
        _note_packets(source, list(source.streams), found)
        for stream in source.streams if late else ():
            if stream.index not in found and stream.start_time is not None:
                source.seek(stream.start_time, stream=stream)
                _note_packets(source, [stream], found)
    except AV_ERRORS as error:
        logger.debug("looking for first packets: %s", reason(error))
    return found


def _note_packets(source: Any, streams: Sequence[Any], found: dict[int, bytes]) -> None:
    read = 0
    for packet in source.demux(streams):
        if packet.size and packet.stream.index not in found:
            found[packet.stream.index] = bytes(packet)
        read += packet.size
        if read > _LOOK_AT or all(stream.index in found for stream in streams):
            break


_LOOK_AT = 8 << 20
"""Bytes of packets read in search of the first of every stream."""


def refusal(container: Container, template: Any, sample: bytes | None) -> str | None:
    """Why `container` cannot hold packets copied from `template`; None if it can.

    `template` is a stream of an open source; nothing is read from it. `sample` is a packet of it: some muxers
    complain only when they have seen one, or at the end.
    """
    name = codec_name(template)
    if not name and template.type != "data":
        return "FFmpeg does not know its codec"
    if container.codecs is not None and name not in container.codecs:
        return f"{container.name} cannot hold {name or 'its data'}"
    refused = f"{container.name} cannot hold {name or 'its data'}"
    written = sample is not None and not (has_adts(template) and container.codecs is None)
    file = io.BytesIO()
    try:
        with _scratch(container, file) as scratch:
            stream = add_copy(scratch, template)
            scratch.start_encoding()
            if sample is not None and written:
                packet: Any = av.Packet(sample)
                packet.stream, packet.time_base = stream, stream.time_base
                packet.pts = packet.dts = 0
                packet.duration, packet.is_keyframe = 1, True
                scratch.mux_one(packet)
        known = container.codecs is not None or template.type not in ("audio", "subtitle")
        if written and not known and not _comes_back(file, name):
            return refused
    except AV_ERRORS:
        return refused
    return None


def _comes_back(file: io.BytesIO, name: str) -> bool:
    """Whether a demuxer finds the codec `name` in the scratch `file`: muxers also write streams that no
    demuxer reads."""
    file.seek(0)
    try:
        with av.open(file) as back:
            found = [codec_name(stream) for stream in back.streams]
    except AV_ERRORS:
        return True  # a single packet may be too little for a demuxer
    return not found or name in found or {name, *found} <= MPEG_AUDIO


MPEG_AUDIO = {"mp1", "mp2", "mp3"}
"""Whether both are MPEG audio: MP4 has one code for all layers, and its demuxer returns the most common
one."""


def check_video(container: Container, job: EncoderJob) -> None:
    """Raise UsageError if `container` cannot hold the codec of `job`'s encoder."""
    check_codec(container, job)
    try:
        with guarded_opening(), _scratch(container) as scratch:
            stream = scratch.add_stream(job.encoder.name, rate=job.rate)
            configure(stream.codec_context, job)
            scratch.start_encoding()
    except AV_ERRORS as error:
        raise _unfit(container, job) from error


def check_codec(container: Container, job: EncoderJob) -> None:
    """Raise UsageError if no player finds the codec of `job`'s encoder in `container`: the muxer of transport
    streams stores any codec, unknown ones as data."""
    if container.codecs is not None and job.encoder.codec not in container.codecs:
        raise _unfit(container, job)


def _unfit(container: Container, job: EncoderJob) -> UsageError:
    better = " or ".join(container.encoders)
    return UsageError(f"{job.encoder.codec} video cannot be written to {container.name}: choose {better}")


_USUAL_SOUND = ("aac", "ac3", "libopus", "flac", "alac", "pcm_s24le")


def check_sound(container: Container, template: Any, coding: SoundCoding) -> None:
    """Raise UsageError if the sound of the stream `template` cannot be encoded as `coding`, or `container`
    cannot hold it."""
    why_not = _sound_refusal(container, template, coding)
    if why_not is None:
        return
    usual = [SoundCoding(encoder=name) for name in _USUAL_SOUND if name != coding.encoder]
    fit = [each.encoder for each in usual if _sound_refusal(container, template, each) is None]
    hint = f": choose {' or '.join(fit)}" if fit else ""
    raise UsageError(f"--audio-codec {coding.encoder}: {why_not}{hint}")


def _sound_refusal(container: Container, template: Any, coding: SoundCoding) -> str | None:
    """Why the sound of `template` cannot be stored as `coding`. It is tried with half a second of silence."""
    unfit = f"{container.name} cannot hold {coding.codec}"
    if container.codecs is not None and coding.codec not in container.codecs:
        return unfit
    file = io.BytesIO()
    try:
        with _scratch(container, file) as scratch:
            target = scratch.add_stream(coding.encoder, options=coding.options)
            AudioConverter(template, target, coding)
            if words := _opening_refusal(target.codec_context):
                return words
            scratch.start_encoding()
            scratch.mux([*target.encode(_silence(template)), *target.encode(None)])
    except AV_ERRORS:
        return unfit
    return None if _comes_back(file, coding.codec) else unfit


def _opening_refusal(context: Any) -> str:
    """What the encoder `context` complains about when it is opened; "" if it opens."""
    try:
        with captured_log() as captured:
            context.open()
    except AV_ERRORS as error:
        return next(iter(captured.lines), reason(error))  # the lines below list what it takes
    return ""


def _silence(template: Any) -> Any:
    """Half a second of silence in the form of the decoder of `template`."""
    context = template.codec_context
    frame = av.AudioFrame(context.format.name, context.layout.name, samples=context.sample_rate // 2)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.sample_rate, frame.time_base, frame.pts = context.sample_rate, Fraction(1, context.sample_rate), 0
    return frame


def lost_tags(container: Container, tags: Mapping[str, str], options: Mapping[str, str]) -> list[str]:
    """The keys of `tags` that a file of this kind, written with muxer `options`, does not store."""
    if not tags or container.tags is Tags.ALL:
        return []
    if container.tags is Tags.NONE:
        return sorted(key for key in tags if key.casefold() not in container.unread_tags)
    file = io.BytesIO()
    with av.open(file, "w", format=container.muxer, container_options=dict(options)) as scratch:
        scratch.add_mux_stream("mjpeg", width=16, height=16)
        scratch.metadata.update(tags)
        scratch.start_encoding()
    file.seek(0)
    with av.open(file, format=container.muxer) as back:
        kept = {key.casefold() for key in back.metadata}
    return sorted(key for key in tags if key.casefold() not in kept)


def _scratch(container: Container, file: io.BytesIO | None = None) -> Any:
    return av.open(
        file or io.BytesIO(), "w", format=container.muxer, container_options=dict(container.options)
    )
