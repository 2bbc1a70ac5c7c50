"""`wait=False`: plain frames until the engine is ready, engine frames from then on, and a word about it."""

from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest
import vapoursynth as vs
from filter_material import assert_same, make_clip, planes_of

import paragon_stream.vapoursynth as paragon
from paragon_stream.errors import EngineError
from paragon_stream.runtimes.cache import SessionCache, compile_request

pytestmark = pytest.mark.timeout(60)


class _Gate:
    """A cache that compiles only once the test lets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        self.open = threading.Event()
        self.compiled = threading.Event()
        self.requests: list[object] = []
        self.error = error
        self.cache = SessionCache(build=self.build)
        monkeypatch.setattr("paragon_stream.runtimes.cache.SESSIONS", self.cache)

    def build(self, request):
        self.requests.append(request)
        assert self.open.wait(30)
        try:
            if self.error:
                raise self.error
            return compile_request(request)
        finally:
            self.compiled.set()

    def release(self) -> None:
        self.open.set()
        assert self.compiled.wait(30)
        time.sleep(0.1)  # from "compiled" to "in the cache"
        while self.error is None and not self.cache.ready(self.requests[0]):
            time.sleep(0.01)


def test_switches_at_a_frame_boundary(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "paragon_stream.vapoursynth")
    clip = make_clip(vs.YUV420P10, length=10, props=lambda n: {"_SARNum": 4, "_SARDen": 3, "Mark": n})
    sharp = [planes_of(paragon.upscale(clip), n) for n in range(10)]
    plain = clip.resize.Bicubic(width=128, height=96)

    gate = _Gate(monkeypatch)
    out = paragon.upscale(clip, wait=False)
    assert (out.format.id, out.width, out.height, out.num_frames) == (clip.format.id, 128, 96, 10)
    for n in range(4):
        assert_same(planes_of(out, n), planes_of(plain, n))
    gate.release()
    for n in range(4, 10):
        assert_same(planes_of(out, n), sharp[n])
        with out.get_frame(n) as frame:
            assert (frame.props["_SARNum"], frame.props["_SARDen"], frame.props["Mark"]) == (4, 3, n)
    assert len(gate.requests) == 1
    assert [r.message for r in caplog.records if "from frame" in r.message] == [
        "paragon.upscale: from frame 0 on: plain scaling while the engine is compiled",
        "paragon.upscale: from frame 4 on: the engine takes over",
    ]


@pytest.mark.parametrize(("fit", "size"), [("pad", 200), ("crop", 160), ("stretch", 160), ("inside", 200)])
def test_plain_frames_have_the_geometry_of_the_engine(
    fit: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = [0, 1]  # limited, full
    clip = make_clip(vs.YUV420P8, length=2, props=lambda n: {"_Range": ranges[n], "_Matrix": 1})
    options = {"to": f"{size}x{size}", "fit": fit}
    sharp = [planes_of(paragon.upscale(clip, **options), n) for n in range(2)]
    _Gate(monkeypatch)
    out = paragon.upscale(clip, wait=False, **options)
    for n in range(2):
        for plain, made in zip(planes_of(out, n), sharp[n], strict=True):
            assert plain.shape == made.shape
            difference = np.abs(plain.astype(float) - made)
            assert np.median(difference) < 6
            if fit == "pad":
                assert not difference[:10].any() and not difference[-10:].any()


def test_a_cached_engine_gives_no_plain_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(vs.YUV420P8, length=3)
    sharp = [planes_of(paragon.upscale(clip), n) for n in range(3)]
    out = paragon.upscale(clip, wait=False)  # as after a seek in mpv
    for n in range(3):
        assert_same(planes_of(out, n), sharp[n])


def test_waiting_never_gives_a_plain_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(vs.YUV420P8, length=4)
    sharp = [planes_of(paragon.upscale(clip), n) for n in range(4)]
    gate = _Gate(monkeypatch)
    out = paragon.upscale(clip)
    futures = [out.get_frame_async(n) for n in range(4)]
    time.sleep(0.3)
    assert not any(future.done() for future in futures)
    gate.release()
    for future in futures:
        future.result().close()
    for n in range(4):
        assert_same(planes_of(out, n), sharp[n])
    assert len(gate.requests) == 1


def test_a_failure_is_reported_and_ends_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = _Gate(monkeypatch, EngineError("this GPU is too old"))
    out = paragon.upscale(make_clip(vs.YUV420P8, length=4), wait=False)
    out.get_frame(0).close()
    gate.release()
    with pytest.raises(vs.Error, match="this GPU is too old"):
        out.get_frame(1)


def test_colour_that_changes_gets_its_own_engine_behind_plain_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(vs.YUV420P8, length=4, props=lambda n: {"_Matrix": 1 if n < 2 else 6})
    plain = clip.resize.Bicubic(width=128, height=96)
    gate = _Gate(monkeypatch)
    out = paragon.upscale(clip, wait=False)
    out.get_frame(0).close()
    gate.release()
    gate.open.clear()
    assert (planes_of(out, 1)[0] != planes_of(plain, 1)[0]).any()
    assert_same(planes_of(out, 2), planes_of(plain, 2))
    gate.open.set()
    assert len(gate.requests) == 2


def test_floats_too(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = _Gate(monkeypatch)
    out = paragon.upscale(make_clip(vs.RGB48, length=2).resize.Point(format=vs.RGBS), wait=False)
    with out.get_frame(0) as frame:
        assert frame.format.id == vs.RGBS
    gate.release()
    out.get_frame(1).close()


@pytest.mark.parametrize(
    ("format", "props"),
    [
        (vs.YUV420P8, {"_FieldBased": 2}),  # 23 rows in a field: not divisible by two
        (vs.YUV420P8, {"_FieldBased": 1, "_Field": 1}),
        (vs.YUV420PS, {"_FieldBased": 2}),
        (vs.RGB24, {"_Matrix": 1}),  # left over from YUV
        (vs.RGBS, {"_Matrix": 1}),
    ],
)
def test_properties_make_no_difference_to_plain_frames(
    monkeypatch: pytest.MonkeyPatch, format: int, props: dict[str, int]
) -> None:
    clip = make_clip(vs.YUV420P16, 64, 46, length=1).resize.Point(
        format=format, matrix_in=1, matrix=0 if "RGB" in vs.core.get_video_format(format).name else None
    )
    _Gate(monkeypatch)
    tagged = paragon.upscale(clip.std.SetFrameProps(**props), wait=False)
    assert_same(planes_of(tagged, 0), planes_of(paragon.upscale(clip, wait=False), 0))
    with tagged.get_frame(0) as frame:
        assert frame.props["_FieldBased"] == 0
        assert "_Field" not in frame.props
