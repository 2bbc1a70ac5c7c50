"""The VapourSynth filter: a node in, a node out.

    import paragon_stream.vapoursynth as paragon
    clip = paragon.upscale(clip, variant="realtime", scale=2)

How it works. The planes of a frame go into a compiled session unchanged and come out `scale` times larger in
the same format; the user converts nothing. The filter has no order, queue or thread of its own: output frame
n is computed from source frame n, in the callback in which the host requests it. The Python callback of one
node runs one call at a time. To have several frames in flight, the clip is split into several nodes, the
*branches* (frame n goes to branch n mod B), which VapourSynth runs in parallel. So the filter requests only
frames that the host has requested, whether the host seeks, stops half-way, evicts old frames (mpv) or uses
one thread.

Hosts that run scripts (vspipe, editors) show the messages of these modules in VapourSynth's own log.
"""

from paragon_stream.vapoursynth.clips import in_samples
from paragon_stream.vapoursynth.filter import options, reaches, upscale
from paragon_stream.vapoursynth.frames import MAX_PREFETCH

__all__ = ["MAX_PREFETCH", "in_samples", "options", "reaches", "upscale"]
