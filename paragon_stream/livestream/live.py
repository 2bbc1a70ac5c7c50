"""`live()`: upscale a screen, a device or a stream in real time."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from paragon_stream import resource_usage
from paragon_stream.checkpoint import Weights
from paragon_stream.geometry import Placement
from paragon_stream.livestream.meter import TICK, LiveMeter, LiveProgress
from paragon_stream.livestream.session import LiveSession, Stopping
from paragon_stream.media.facts.cut import parse_time
from paragon_stream.media.facts.fields import Deinterlace, parse_method
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.frames.field_choice import field_job
from paragon_stream.media.frames.reader import VideoReader
from paragon_stream.media.live.feed import LiveFeed
from paragon_stream.media.live.live_sink import LiveSink
from paragon_stream.media.live.plan import LivePlan, plan_live
from paragon_stream.media.live.sink import open_live_sink
from paragon_stream.media.live.soundtrack import SoundSource
from paragon_stream.media.live.source import RECONNECT, Kind, find_source
from paragon_stream.options.live import CaptureOptions, LiveOutputOptions
from paragon_stream.options.network import UpscalerOptions
from paragon_stream.options.option import called_with, described, option, part
from paragon_stream.pipeline.interrupt import HeldInterrupt
from paragon_stream.pipeline.pipeline import PipelineStats
from paragon_stream.render.plan import beyond_the_network
from paragon_stream.render.strengths import Strengths
from paragon_stream.render.stretches import run_stretches
from paragon_stream.render.tracing import traced
from paragon_stream.render.upscalers import Upscalers
from paragon_stream.report import (
    FormatReport,
    LatencyReport,
    LiveReport,
    ModelReport,
    StageReport,
    Warnings,
)
from paragon_stream.runtimes import Flavour
from paragon_stream.upscaler import Upscaler, choose_network, doubts, parse_strength

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LiveRequest(LiveOutputOptions, CaptureOptions, UpscalerOptions):
    """A request for a live session: the arguments of `live` without the callbacks."""

    source: str | Path = field(
        default="screen", kw_only=False, metadata=described('A screen, a device, an address, a file, or "-".')
    )
    destination: str | Path | None = field(
        default=None, kw_only=False, metadata=described('None: a window; an address, a file, or "-".')
    )


@dataclass(frozen=True, kw_only=True)
class LiveCall(LiveRequest):
    """The arguments of `live`."""

    trace: str | Path | None = option(None, "File for the times of every stage, for ui.perfetto.dev.")
    stop: threading.Event | None = option(None, "Ends the session when it is set.")
    on_progress: Callable[[LiveProgress], None] | None = option(
        None, "Called on this thread about twice a second."
    )
    on_event: Callable[[str], None] | None = option(
        None, "Called on this thread with one sentence for each event."
    )
    on_warning: Callable[[str], None] | None = option(
        None, "Called with one sentence for each guess and each property that is not carried over."
    )


@called_with(LiveCall)
def live(call: LiveCall) -> LiveReport:
    """Upscale a live source in real time. Frames that cannot be computed in time are dropped.

    `source` is "screen" or an X display (":0.0"), a capture device ("/dev/video0", "camera"), the address of
    a stream ("rtmp://…", "rtsp://…", "udp://…", "https://….m3u8"), "-" for standard input, or a file, which
    is played at its own rate. See `media.live.source` for `input_format` to `timeout`.

    `destination` None shows a window (mpv, or the program `player`). "-" writes y4m to standard output, or
    the container `format`: "nut", "mkv", "ts", "flv". An address sends a stream ("rtmp://…", "udp://…",
    "tcp://…"). Anything else is a file. Encoders are configured without delay; see `media.live.plan`.

    The session ends when the source ends, after `duration` (seconds of the source), when the window or the
    pipe is closed, after Ctrl-C, or when `stop` is set. The output is then finished properly. A source that
    breaks off is opened again for up to `reconnect` seconds; if that fails, the report's `failure` holds the
    reason. A server that takes the output is treated likewise; if that fails, OutputError is raised.

    Raises a `ParagonError`, and KeyboardInterrupt for a stop before the first picture.
    """
    usage = resource_usage.SessionUsage()
    warnings = Warnings(call.on_warning)
    events: list[str] = []

    def announce(sentence: str) -> None:
        events.append(sentence)
        (call.on_event or logger.info)(sentence)

    method = parse_method(call.deinterlace)
    feed = LiveFeed(
        find_source(str(call.source), call, sys.platform),
        quantisers=parse_strength(call.strength) is None,
        sound=call.sound,
        duration=None if call.duration is None else parse_time(call.duration, "--duration"),
    )
    with HeldInterrupt() as interrupt:
        stopping = Stopping(interrupt, call.stop)
        try:
            info = _opened(feed, stopping, method, announce)
            plan, network, placement = _plan(call, info, warnings)
            if stopping:
                raise KeyboardInterrupt  # before a server gets an empty stream
            sink = open_live_sink(
                plan,
                SoundSource.of(feed.connection, feed.sound),
                player=call.player,
                title=f"{feed.source.name} – paragon-stream",
                reconnect=RECONNECT if call.reconnect is None else call.reconnect,
            )
            try:
                ended = _run(call, info, plan, network, placement, feed, sink, stopping, announce)
            except BaseException:
                sink.abort()
                warnings.add([*sink.warnings, *feed.sound.warnings])
                raise
        finally:
            feed.stop()
    warnings.add([*ended.reader.warnings, *sink.warnings, *feed.sound.warnings])
    return _report(call, plan, ended, usage, events, warnings.shown)


def _plan(call: LiveCall, info: MediaInfo, warnings: Warnings) -> tuple[LivePlan, Weights, Placement]:
    """The output, the network and the placement of the picture."""
    video = info.video
    network, placement = choose_network(
        video.format, part(call, UpscalerOptions), grain=video.grain, sideways=video.sideways
    )
    destination = None if call.destination is None else str(call.destination)
    plan = plan_live(info, destination, placement, call, sound=call.sound)
    warnings.add([*doubts(call), *info.hints, *plan.warnings])
    warnings.add(beyond_the_network(network, placement))
    return plan, network, placement


@dataclass(frozen=True, kw_only=True)
class _Ended:
    """The parts of a session that has ended, for its report."""

    session: LiveSession
    reader: VideoReader
    upscaler: Upscaler
    strengths: Strengths
    stats: PipelineStats


def _run(
    call: LiveCall,
    info: MediaInfo,
    plan: LivePlan,
    network: Weights,
    placement: Placement,
    feed: LiveFeed,
    sink: LiveSink,
    stopping: Stopping,
    announce: Callable[[str], None],
) -> _Ended:
    """Compile the network, start the source, and run the stages until the session ends."""
    options = part(call, UpscalerOptions)
    follows = network.spec.conditioned and parse_strength(call.strength) is None
    if feed.source.kind not in (Kind.FILE, Kind.PIPE):  # those wait until everything is ready
        feed.begin()
    with (
        Upscaler.for_format(
            info.video.format,
            options,
            pixel_format=plan.target.pixel_format,
            color=plan.target.color,
            network=(network, placement),
        ) as upscaler,
        Upscalers(upscaler, options, grain=info.video.grain, flavour=Flavour.LATENCY) as upscalers,
        VideoReader(
            info, strengths=follows, frame_data=plan.frame_data, follow=True, source=feed, live=True
        ) as reader,
        traced(call.trace, upscalers) as spans,
    ):
        if stopping:
            raise KeyboardInterrupt
        strengths = Strengths(reader if follows else None, upscaler.strength)
        session = LiveSession(feed, reader, sink, strengths, spans, stopping)
        meter = LiveMeter(session, call.on_progress, announce)
        upscalers.slots(info.video.format)
        feed.forget()
        feed.begin()
        stats = run_stretches(reader, upscalers, session.stages, spans, meter, TICK)
        meter.report_events()
    return _Ended(session=session, reader=reader, upscaler=upscaler, strengths=strengths, stats=stats)


def _report(
    call: LiveCall,
    plan: LivePlan,
    ended: _Ended,
    usage: resource_usage.Usage,
    events: Sequence[str],
    warnings: Sequence[str],
) -> LiveReport:
    session, stats, upscaler = ended.session, ended.stats, ended.upscaler
    feed, sink, engine = session.feed, session.sink, upscaler.session
    conditioned = upscaler.weights.spec.conditioned
    return LiveReport(
        source=feed.source.name,
        destination=plan.name,
        ended=session.ended,
        failure=session.failure,
        seconds=round(stats.wall, 3),
        frames_in=session.frames_in,
        frames_out=session.delivered,
        dropped_before_engine=feed.dropped + stats.stages["capture"].dropped,
        dropped_before_output=stats.stages["engine"].dropped + session.lost,
        fps_in=session.frames_in / stats.wall,
        fps_out=session.delivered / stats.wall,
        latency=LatencyReport.of(session.latency),
        reconnects=feed.reconnects,
        output_reconnects=sink.reconnects,
        stages=StageReport.of(stats),
        decoder=feed.name,
        engine=engine.engine,
        precision=engine.precision,
        device=engine.device,
        threads=call.threads,
        model=ModelReport.of(upscaler.weights),
        source_format=str(upscaler.source),
        formats=tuple(FormatReport.of(each) for each in ended.reader.changes.formats),
        target_format=str(upscaler.target),
        codec=plan.codec,
        sound=sink.sound_codec,
        bytes_out=sink.bytes_written,
        cpu_seconds=usage.cpu_seconds,
        peak_rss_bytes=resource_usage.peak_rss(),
        strength=ended.strengths.report() if conditioned else None,
        damage=ended.reader.damage,
        events=tuple(events),
        warnings=tuple(warnings),
    )


def _opened(
    feed: LiveFeed, stopping: Stopping, method: Deinterlace, announce: Callable[[str], None]
) -> MediaInfo:
    """The facts of the source, after its first pictures have been decoded."""
    feed.start()
    while not feed.ready(TICK):
        while feed.events:
            announce(feed.events.popleft())
        if stopping:
            raise KeyboardInterrupt
    info = feed.info()
    video = info.video
    if method is Deinterlace.AUTO and not video.interlaced:
        return info  # deinterlacing would delay every frame by one
    return replace(info, video=replace(video, fields=field_job(video, method)))
