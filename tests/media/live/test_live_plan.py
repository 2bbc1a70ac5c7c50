"""The plan of a live session: encoder settings, and what the output cannot hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clips import make_clip

from paragon_stream.errors import OutputError, UsageError
from paragon_stream.frame import pixel_format
from paragon_stream.geometry import enlarged
from paragon_stream.media.facts.info import HdrMetadata, MediaInfo, StreamKind
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.live.plan import LivePlan, Where, plan_live
from paragon_stream.options.live import LiveOutputOptions

HDR = HdrMetadata(
    mastering_display="G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)",
    content_light=(1000, 400),
)


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> MediaInfo:
    return probe(make_clip(tmp_path_factory.mktemp("plan") / "in.mkv", width=64, height=48, frames=2))


def planned(info: MediaInfo, destination: str | Path | None, **options: Any) -> LivePlan:
    text = None if destination is None else str(destination)
    return plan_live(info, text, enlarged(info.video.format, 2), LiveOutputOptions(**options))


def settings(info: MediaInfo, destination: str | Path, *given: str, **options: Any) -> dict[str, str]:
    extra = dict(each.split("=", 1) for each in given)
    plan = planned(info, destination, encoder_options=extra, **options)
    assert plan.job is not None
    return dict(plan.job.settings)


def test_options_of_the_user_replace_the_defaults_of_a_session(info: MediaInfo, tmp_path: Path) -> None:
    out, stream = tmp_path / "out.mkv", "udp://127.0.0.1:9"
    assert settings(info, out)["crf"] == "20" and settings(info, out)["preset"] == "veryfast"
    fast = settings(info, out, "preset=fast")
    assert (fast["preset"], fast["crf"]) == ("fast", "20")
    assert settings(info, out, "crf=18")["crf"] == "18"
    assert "crf" not in settings(info, out, "qp=0")
    assert "crf" not in settings(info, out, "b=5M")
    assert settings(info, stream)["maxrate"] == settings(info, stream)["b"] == "30720"
    assert settings(info, stream, "b=20M").keys().isdisjoint({"maxrate", "crf"})
    assert settings(info, stream, "b=20M")["b"] == "20M"
    with pytest.raises(UsageError, match=r"--bitrate 6M and -x b=5M set the same value"):
        settings(info, out, "b=5M", bitrate="6M")
    grain = settings(info, out, "svtav1-params=film-grain=8", codec="libsvtav1")
    assert grain["svtav1-params"] == "pred-struct=1:lookahead=0:film-grain=8", "still without delay"


def test_an_encoder_without_constant_quality_gets_a_bit_rate(info: MediaInfo, tmp_path: Path) -> None:
    assert settings(info, tmp_path / "out.mkv", codec="mpeg4")["b"] == str(round(128 * 96 * 25 * 0.2))


def test_hdr10_is_carried_or_announced(info: MediaInfo, tmp_path: Path) -> None:
    hdr = replace(info, video=replace(info.video, hdr=HDR))
    plan = planned(hdr, tmp_path / "out.mkv", codec="libx265", pix_fmt="yuv420p10le")
    assert plan.job is not None and plan.warnings == ()
    assert "max-cll=1000,400" in plan.job.settings["x265-params"]
    for name, what in (("out.y4m", "y4m"), ("out.nut", "nut")):
        sentence = f"{what} cannot store the HDR10 mastering metadata of the video"
        assert planned(hdr, tmp_path / name).warnings[0] == sentence
    assert planned(hdr, None).warnings == ()


def test_what_is_lost_of_the_video_is_announced(info: MediaInfo, tmp_path: Path) -> None:
    facts = {"uncarried": ("closed captions", "HDR10+"), "timecode": "01:00:00:00"}
    format = replace(info.video.format, pixel_format=pixel_format("yuva420p"))
    rich = replace(info, video=replace(info.video, format=format, **facts))
    assert planned(rich, tmp_path / "out.mkv").warnings == (
        "HDR10+ in the video cannot be carried over",
        "the transparency is dropped: libx264 gets yuv420p",
        "a live session stores no timecode: the video's, 01:00:00:00, is lost",
    )
    assert planned(rich, tmp_path / "out.y4m").warnings[:2] == (
        "closed captions in the video cannot be carried over",
        "HDR10+ in the video cannot be carried over",
    )


@pytest.mark.parametrize(
    ("destination", "codec"),
    [
        ("out.ts", "libvpx-vp9"),
        ("out.ts", "ffv1"),
        ("udp://127.0.0.1:9", "libsvtav1"),
        ("rtp://127.0.0.1:9", "libvpx-vp9"),
        ("out.flv", "mpeg4"),
    ],
)
def test_video_that_no_player_would_find_is_refused(
    info: MediaInfo, tmp_path: Path, destination: str, codec: str
) -> None:
    where = destination if "://" in destination else tmp_path / destination
    with pytest.raises(UsageError, match=r"video cannot be written to .*: choose libx264"):
        planned(info, where, codec=codec)


def test_codecs_of_streaming_services(info: MediaInfo) -> None:
    for codec in ("libx265", "libsvtav1", "libvpx-vp9"):
        assert planned(info, "rtmp://127.0.0.1/app/key", codec=codec).codec == codec
    assert planned(info, "rtp://127.0.0.1:9", codec="libx265").codec == "libx265"


def test_raw_video_announces_its_colours_and_y4m_its_silence(info: MediaInfo, tmp_path: Path) -> None:
    untagged = (
        "stores no colour tags: give the encoder the options for matrix 5, transfer 6, primaries 5 (H.273)"
    )
    silent = "y4m holds only the picture: the sound is left out"
    video = info.streams[info.video.index]
    loud = replace(info, streams=(video, replace(video, index=1, kind=StreamKind.AUDIO)))
    assert planned(loud, tmp_path / "out.y4m").warnings == (silent, f"y4m {untagged}")
    assert planned(loud, "-").warnings == (silent, f"y4m {untagged}")
    assert planned(info, "-").warnings == (f"y4m {untagged}",)
    assert planned(loud, tmp_path / "out.nut").warnings == (f"nut {untagged}",)
    assert planned(loud, tmp_path / "out.mkv").warnings == planned(loud, None).warnings == ()
    placement = enlarged(info.video.format, 2)
    unwanted = plan_live(loud, "-", placement, LiveOutputOptions(), sound=False)
    assert unwanted.warnings == (f"y4m {untagged}",)


def test_an_output_by_its_address_is_a_file(info: MediaInfo, tmp_path: Path) -> None:
    out = tmp_path / "a b.mkv"
    for options in ({}, {"format": "mkv"}):
        plan = planned(info, out.as_uri(), **options)
        assert (plan.where, plan.path) == (Where.FILE, out)
    out.write_bytes(b"good")
    with pytest.raises(OutputError, match="exists"):
        planned(info, out.as_uri(), format="mkv")
    with pytest.raises(UsageError, match="names no file of this machine"):
        planned(info, "file://server/out.mkv")
