"""A failure is one clear sentence in a vs.Error, and nothing hangs afterwards."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import vapoursynth as vs
from filter_material import make_clip, planes_of
from places import REPOSITORY

import paragon_stream.vapoursynth as paragon
from paragon_stream.errors import EngineError
from paragon_stream.runtimes.cache import SessionCache, compile_request


def _variable_format() -> vs.VideoNode:
    parts = [make_clip(vs.YUV420P8, length=1), make_clip(vs.GRAY8, length=1)]
    return vs.core.std.Splice(parts, mismatch=True)


def _variable_size() -> vs.VideoNode:
    parts = [make_clip(vs.GRAY8, 32, 32, length=1), make_clip(vs.GRAY8, 16, 16, length=1)]
    return vs.core.std.Splice(parts, mismatch=True)


@pytest.mark.parametrize("make", [_variable_format, _variable_size])
def test_variable_clips(make) -> None:
    with pytest.raises(vs.Error, match="constant format and size"):
        paragon.upscale(make())


@pytest.mark.parametrize("format", [vs.GRAY32])
def test_formats_that_are_not_taken(format: vs.PresetVideoFormat) -> None:
    clip = vs.core.std.BlankClip(format=format, width=64, height=48, length=1)
    with pytest.raises(vs.Error, match=f"{clip.format.name} is not supported"):
        paragon.upscale(clip)


@pytest.mark.parametrize(
    ("odd", "plain"),
    [
        ({"_Matrix": [1, 6], "_Transfer": [16, 1]}, {"_Matrix": 1, "_Transfer": 16}),
        ({"_ChromaLocation": [1, 0], "_Range": [1, 0]}, {"_ChromaLocation": 1, "_Range": 1}),
        ({"_Matrix": "BT.709", "_Primaries": "x", "_FieldBased": "x"}, {}),
        ({"_ParagonStrength": float("nan")}, {}),
        ({"_ParagonStrength": [0.9, 0.1]}, {"_ParagonStrength": 0.9}),
    ],
)
def test_properties_of_scripts_are_read_as_other_filters_read_them(odd: dict, plain: dict) -> None:
    """The first of several numbers counts; what is no number counts as absent."""
    clip = make_clip(vs.YUV420P8, length=1)
    first, second = (paragon.upscale(clip.std.SetFrameProps(**props)) for props in (odd, plain))
    for got, wanted in zip(planes_of(first, 0), planes_of(second, 0), strict=True):
        assert (got == wanted).all()
    colours = ("_Matrix", "_Range", "_Transfer", "_Primaries", "_ChromaLocation")
    a, b = first.get_frame(0).props, second.get_frame(0).props
    assert [a[name] for name in colours] == [b[name] for name in colours]


def test_something_that_is_no_clip() -> None:
    with pytest.raises(vs.Error, match="must be a video clip, not str"):
        paragon.upscale("clip.mkv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "nope"}, "nope"),
        ({"scale": 7}, "7"),
        ({"engine": "nope"}, "nope"),
        ({"precision": "fp8"}, "fp8"),
        ({"weights": "missing-set"}, "missing-set"),
        ({"weights": "missing/file.safetensors"}, "missing/file.safetensors"),
        ({"to": "101x77", "fit": "stretch"}, "101x77 is not possible in yuv420p"),
        ({"prefetch": 0}, "prefetch must be between 1 and"),
        ({"prefetch": 1000}, "prefetch must be between 1 and"),
    ],
)
def test_options_that_make_no_sense(options: dict, message: str) -> None:
    with pytest.raises(vs.Error, match=message) as caught:
        paragon.upscale(make_clip(vs.YUV420P8, length=1), **options)
    assert "\n" not in str(caught.value)


def test_sides_of_a_result_are_multiples_of_its_subsampling() -> None:
    """A box of 480 lines is 854 columns wide."""
    clip = make_clip(vs.YUV411P8, length=1)
    with pytest.raises(vs.Error, match=r"854x480 is not possible in yuv411p: the width .* multiple of 4"):
        paragon.upscale(clip, to="480p", fit="pad")
    with pytest.raises(vs.Error, match=r"102x77 .*: the height must be a multiple of 2"):
        paragon.upscale(make_clip(vs.YUV420P8, length=1), to="102x77", fit="stretch")


def test_damaged_weights(tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(b"\x10\0\0\0\0\0\0\0 not what it says")
    with pytest.raises(vs.Error, match=r"damaged\.safetensors"):
        paragon.upscale(make_clip(vs.YUV420P8, length=1), weights=path)


def test_colour_that_cannot_be_processed_fails_that_frame_only() -> None:
    clip = make_clip(vs.YUV420P8, length=6, props=lambda n: {"_Matrix": 14 if n == 3 else 1})
    out = paragon.upscale(clip)
    with pytest.raises(vs.Error, match=r"paragon\.upscale: .*ICTCP"):
        out.get_frame(3)
    for n in (2, 4, 5):
        out.get_frame(n).close()


class _Fragile:
    """A session that fails on every second frame, in `run` or in its completion."""

    def __init__(self, session, in_run: bool) -> None:
        self.__dict__.update(session=session, in_run=in_run, job=session.job, calls=itertools.count())
        self.engine, self.device = session.engine, session.device

    def run(self, inputs, outputs, strength):
        completion = self.session.run(inputs, outputs, strength)
        if next(self.calls) % 2:
            return completion
        completion.wait()
        if self.in_run:
            raise EngineError("the device was lost")
        return self

    def wait(self) -> None:
        raise EngineError("the device was lost")

    def close(self) -> None:
        self.session.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("in_run", [True, False])
def test_engine_that_fails_while_playing(monkeypatch: pytest.MonkeyPatch, in_run: bool) -> None:
    cache = SessionCache(build=lambda request: _Fragile(compile_request(request), in_run))
    monkeypatch.setattr("paragon_stream.runtimes.cache.SESSIONS", cache)
    out = paragon.upscale(make_clip(vs.YUV420P8, length=12))
    futures = [out.get_frame_async(n) for n in range(12)]
    errors = 0
    for future in futures:
        try:
            future.result().close()
        except vs.Error as error:
            assert "the device was lost" in str(error)
            errors += 1
    assert errors == 6
    cache.clear()  # no frame holds the session any more
    assert not cache._entries


@pytest.mark.timeout(60)
def test_engine_that_cannot_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []

    def refuse(request):
        attempts.append(request)
        raise EngineError("out of memory on the device")

    monkeypatch.setattr("paragon_stream.runtimes.cache.SESSIONS", SessionCache(build=refuse))
    out = paragon.upscale(make_clip(vs.YUV420P8, length=4))
    for n in range(2):
        with pytest.raises(vs.Error, match="out of memory on the device"):
            out.get_frame(n)
    assert len(attempts) == 2  # asked again, tried again


def test_source_that_fails_reports_its_own_error() -> None:
    def broken(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        raise vs.Error(f"the disk is gone at {n}")

    clip = make_clip(vs.YUV420P8, length=4)
    out = paragon.upscale(clip.std.ModifyFrame(clip, broken), engine="null")
    with pytest.raises(vs.Error, match="the disk is gone at 2"):
        planes_of(out, 2)


@pytest.mark.parametrize(
    ("name", "variant", "scale"),
    [("stream_x2_fidelity", "stream", 2), ("realtime_x3_fidelity", "realtime", 3)],
)
def test_weights_alone_determine_the_network(name: str, variant: str, scale: int) -> None:
    weights = REPOSITORY / "engines" / f"{name}.safetensors"
    clip = make_clip(vs.YUV420P8, width=32, height=32, length=1)
    choices = {"threads": 1, "device": "cpu", "precision": "fp32"}
    result = planes_of(paragon.upscale(clip, weights=weights, **choices), 0)
    named = planes_of(paragon.upscale(clip, weights="fidelity", variant=variant, scale=scale, **choices), 0)
    assert result[0].shape == (32 * scale, 32 * scale)
    assert all((mine == theirs).all() for mine, theirs in zip(result, named, strict=True))
    if variant == "stream":
        other = planes_of(paragon.upscale(clip, weights="fidelity", variant="realtime", **choices), 0)
        assert (result[0] != other[0]).any()


def test_threads_and_devices_are_checked() -> None:
    clip = vs.core.std.BlankClip(width=32, height=32, format=vs.YUV420P8, length=1)
    with pytest.raises(vs.Error, match="threads must be at least 1"):
        paragon.upscale(clip, threads=0)
    with pytest.raises(vs.Error, match="cuda:7"):
        paragon.upscale(clip, device="cuda:7", engine="openvino").get_frame(0)
