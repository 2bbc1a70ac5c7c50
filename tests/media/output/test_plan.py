"""The decisions before a render, and the requests that are refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from clips import make_clip

from paragon_stream.errors import LossError, OutputError, ParagonError, UsageError
from paragon_stream.frame import pixel_format
from paragon_stream.media.encode.abilities import encodes
from paragon_stream.media.encode.encoders import ENCODERS, find_encoder
from paragon_stream.media.facts.containers import CONTAINERS, container_for
from paragon_stream.media.facts.info import HdrMetadata, MediaInfo
from paragon_stream.media.facts.probe import probe
from paragon_stream.media.output.plan import OutputOptions, OutputPlan, plan_output
from paragon_stream.media.output.stream_plans import Action


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MediaInfo:
    return probe(make_clip(tmp_path_factory.mktemp("plan") / "in.mkv", frames=3, width=64, height=48))


def planned(info: MediaInfo, name: str, tmp_path: Path, **options: object) -> OutputPlan:
    return plan_output(info, tmp_path / name, 2, OutputOptions(**options))  # type: ignore[arg-type]


def with_format(info: MediaInfo, name: str) -> MediaInfo:
    video = replace(info.video, format=replace(info.video.format, pixel_format=pixel_format(name)))
    return replace(info, video=video)


@pytest.mark.parametrize(
    ("source", "suffix", "options", "encoder", "format", "loss"),
    [
        ("yuva420p", "mkv", {"crf": 20}, "libx264", "yuv420p", "transparency"),
        ("yuva420p", "mkv", {"preset": "fast"}, "libx264", "yuv420p", "transparency"),
        ("yuva444p10le", "mov", {"crf": 20}, "libx265", "yuv444p10le", "transparency"),
        ("rgba", "mp4", {"preset": "slow"}, "libx265", "gbrp", "transparency"),
        ("yuv420p16le", "mkv", {"crf": 20}, "libx265", "yuv420p12le", "12 bits"),
        ("gbrap16le", "mkv", {"crf": 20}, "libx265", "gbrp12le", "transparency"),
        ("gbrap16le", "mkv", {"crf": 20}, "libx265", "gbrp12le", "12 bits"),
        ("yuv411p", "mkv", {"crf": 20}, "libx264", "yuv422p", ""),
        ("yuv420p", "mkv", {"crf": 20}, "libx264", "yuv420p", ""),
    ],
)
def test_quality_and_preset_choose_an_encoder_that_has_them(
    clip: MediaInfo, tmp_path: Path, source: str, suffix: str, options: dict[str, object], encoder: str,
    format: str, loss: str,
) -> None:  # fmt: skip
    plan = planned(with_format(clip, source), f"out.{suffix}", tmp_path, **options)
    assert plan.job is not None
    assert (plan.job.encoder.name, plan.target.pixel_format.name) == (encoder, format)
    assert any(loss in each for each in plan.losses) if loss else not plan.losses


@pytest.mark.parametrize(("wanted", "codec"), [("p010le", None), ("p010le", "libx265"), ("nv12", "ffv1")])
def test_a_format_in_another_order_is_the_same_format(
    clip: MediaInfo, tmp_path: Path, wanted: str, codec: str | None
) -> None:
    plan = planned(clip, "out.mkv", tmp_path, pix_fmt=wanted, codec=codec)
    found, asked = plan.target.pixel_format, pixel_format(wanted)
    assert (found.depth, found.subsampling, found.family) == (asked.depth, asked.subsampling, asked.family)


@pytest.mark.parametrize(
    ("source", "suffix", "encoder", "format"),
    [
        ("yuv420p", "mkv", "libx264", "yuv420p"),
        ("yuv420p", "mp4", "libx264", "yuv420p"),
        ("nv12", "mp4", "libx264", "yuv420p"),
        ("yuv444p", "mov", "libx264", "yuv444p"),
        ("gray", "mkv", "libx264", "gray"),
        ("yuv420p10le", "mkv", "libx265", "yuv420p10le"),
        ("p010le", "mp4", "libx265", "yuv420p10le"),
        ("yuv420p9le", "mkv", "libx265", "yuv420p10le"),
        ("yuv422p12le", "ts", "libx265", "yuv422p12le"),
        ("yuv420p16le", "mkv", "ffv1", "yuv420p16le"),
        ("yuv411p", "mkv", "ffv1", "yuv411p"),
        ("yuva420p", "mkv", "ffv1", "yuva420p"),
        ("yuva444p10le", "mov", "prores_ks", "yuva444p10le"),
        ("gbrp", "mkv", "libx265", "gbrp"),
        ("rgb24", "mp4", "libx265", "gbrp"),
        ("rgb48le", "mkv", "ffv1", "gbrp16le"),
        ("yuv420p", "webm", "libsvtav1", "yuv420p"),
        ("yuv420p10le", "webm", "libsvtav1", "yuv420p10le"),
        ("yuv444p", "webm", "libvpx-vp9", "yuv444p"),
        ("gray10le", "webm", "libsvtav1", "yuv420p10le"),
    ],
)
def test_default_encoder_keeps_depth_and_subsampling(
    clip: MediaInfo, tmp_path: Path, source: str, suffix: str, encoder: str, format: str
) -> None:
    plan = planned(with_format(clip, source), f"out.{suffix}", tmp_path)
    assert plan.job is not None
    assert (plan.job.encoder.name, plan.target.pixel_format.name) == (encoder, format)
    assert (plan.target.width, plan.target.height) == (128, 96)
    had, has = pixel_format(source), plan.target.pixel_format
    assert has.depth >= had.depth and has.has_alpha == had.has_alpha
    assert had.family != "yuv" or has.subsampling == had.subsampling


@pytest.mark.parametrize(
    ("source", "encoder", "format"),
    [
        ("yuv420p", "prores", "yuv422p10le"),
        ("yuva420p", "prores", "yuva444p10le"),
        ("yuv411p", "libx264", "yuv422p"),
        ("yuv420p9le", "libx265", "yuv420p10le"),
    ],
)
def test_a_chosen_encoder_gets_the_nearest_format_that_loses_nothing(
    clip: MediaInfo, tmp_path: Path, source: str, encoder: str, format: str
) -> None:
    plan = planned(with_format(clip, source), "out.mov", tmp_path, codec=encoder)
    assert plan.target.pixel_format.name == format


@pytest.mark.parametrize(
    ("source", "encoder", "format", "losses"),
    [
        ("yuv420p12le", "prores", "yuv422p10le", ["10 bits of the video's 12"]),
        ("gbrp12le", "prores", "yuv444p10le", ["10 bits of the video's 12"]),
        ("gbrap10le", "prores", "yuva444p10le", []),
        ("gbrp16le", "libx265", "gbrp12le", ["12 bits of the video's 16"]),
        ("yuv444p", "libsvtav1", "yuv420p", ["resolution of colours"]),
        ("yuv411p", "libsvtav1", "yuv420p", ["resolution of colours"]),
        ("gray12le", "libsvtav1", "yuv420p10le", ["10 bits of the video's 12"]),
        ("rgba", "libsvtav1", "yuv420p", ["transparency", "stores RGB as yuv420p"]),
        ("yuv440p12le", "libx264", "yuv444p10le", ["10 bits of the video's 12"]),
    ],
)
def test_a_chosen_encoder_without_such_a_format_gets_the_nearest_with_a_named_loss(
    clip: MediaInfo, tmp_path: Path, source: str, encoder: str, format: str, losses: list[str]
) -> None:
    info = with_format(clip, source)
    plan = planned(info, "out.mkv", tmp_path, codec=encoder)
    assert plan.target.pixel_format.name == format
    assert len(plan.losses) == len(losses)
    assert all(part in loss for part, loss in zip(losses, plan.losses, strict=True))


def test_defaults_of_quality(clip: MediaInfo, tmp_path: Path) -> None:
    job = planned(clip, "a.mkv", tmp_path).job
    assert job is not None and job.settings["crf"] == "17" and job.settings["preset"] == "medium"
    deep = planned(clip, "a.mkv", tmp_path, pix_fmt="yuv420p10le").job
    assert deep is not None and deep.encoder.name == "libx265"
    assert deep.settings["crf"] == "18" and deep.settings["preset"] == "medium"


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda e: e.name)
def test_every_encoder_opens_with_its_defaults(clip: MediaInfo, tmp_path: Path, encoder: object) -> None:
    name = encoder.name  # type: ignore[attr-defined]
    if name.endswith("_nvenc") and not encodes(name):
        pytest.skip("needs an NVIDIA GPU with NVENC")
    suffix = {"libsvtav1": "webm", "libvpx-vp9": "webm", "prores_ks": "mov", "dnxhd": "mov"}.get(name, "mkv")
    source = with_format(clip, "yuv422p10le" if name == "prores_ks" else "yuv420p")
    if name == "dnxhd":  # takes pictures of 256x120 and larger
        large = replace(source.video.format, width=128, height=64)
        source = replace(source, video=replace(source.video, format=large))
    plan = planned(source, f"out.{suffix}", tmp_path, codec=name)
    assert plan.job is not None and plan.job.encoder.name == name


def test_aliases_and_any_encoder_of_ffmpeg(clip: MediaInfo, tmp_path: Path) -> None:
    assert find_encoder("HEVC").name == "libx265"
    assert find_encoder("av1").name == "libsvtav1"
    plan = planned(clip, "out.mkv", tmp_path, codec="mpeg4")
    assert plan.job is not None and plan.job.encoder.codec == "mpeg4"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("out.xyz", {}, ["'.xyz'|.xyz", ".mkv", ".webm", ".y4m"]),
        ("out", {}, ["no suffix", ".mkv"]),
        ("out.mkv", {"codec": "nonsense"}, ["nonsense", "libx264", "libsvtav1"]),
        ("out.mkv", {"codec": "aac"}, ["aac", "libx264"]),
        ("out.mkv", {"crf": 99}, ["crf 99", "51"]),
        ("out.mkv", {"codec": "ffv1", "crf": 20}, ["ffv1", "--crf"]),
        ("out.mkv", {"preset": "warp"}, ["warp", "veryslow"]),
        ("out.mkv", {"codec": "ffv1", "preset": "slow"}, ["ffv1", "--preset"]),
        ("out.mkv", {"encoder_options": {"refz": "3"}}, ["refz", "did you mean refs"]),
        ("out.mkv", {"encoder_options": {"refs": "many"}}, ["refs=many"]),
        ("out.mkv", {"encoder_options": {"x264-params": "nonsense=1"}}, ["nonsense"]),
        ("out.mkv", {"codec": "libx265", "encoder_options": {"x265-params": "nonsense=1"}}, ["nonsense"]),
        ("out.mkv", {"codec": "libx265", "encoder_options": {"x265-params": "ref=lots"}}, ["ref"]),
        ("out.mkv", {"codec": "libsvtav1", "encoder_options": {"svtav1-params": "nonsense=1"}}, ["nonsense"]),
        ("out.webm", {"codec": "libx264"}, ["webm", "h264", "libsvtav1"]),
        ("out.mov", {"codec": "libsvtav1"}, ["mov", "av1"]),
        ("out.mkv", {"pix_fmt": "rgb24"}, ["rgb24", "yuv420p"]),
        ("out.mkv", {"codec": "libx264", "pix_fmt": "yuv420p12le"}, ["yuv420p12le"]),
        ("out.mp4", {"pix_fmt": "yuv420p16le"}, ["yuv420p16le", ".mkv"]),
        ("out.y4m", {"codec": "libx264"}, ["y4m", "--codec"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_refused_before_the_render(
    clip: MediaInfo, tmp_path: Path, name: str, options: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        planned(clip, name, tmp_path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert any(choice in message for choice in word.split("|")), message
    assert list(tmp_path.iterdir()) == []


def test_the_same_mistake_is_explained_twice(clip: MediaInfo, tmp_path: Path) -> None:
    said = []
    for _ in range(2):
        with pytest.raises(UsageError) as caught:
            planned(clip, "a.mkv", tmp_path, encoder_options={"x264-params": "nonsense=1"})
        said.append(str(caught.value))
    assert said[0] == said[1] and "nonsense" in said[0]


def test_encoder_refuses_a_size(clip: MediaInfo, tmp_path: Path) -> None:
    odd = replace(clip, video=replace(clip.video, format=replace(clip.video.format, width=33, height=33)))
    with pytest.raises(UsageError, match="width not divisible by 2"):
        plan_output(odd, tmp_path / "a.mkv", 1)


def test_own_parameters_join_those_of_the_user(clip: MediaInfo, tmp_path: Path) -> None:
    hdr = HdrMetadata(
        mastering_display="G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)",
        content_light=(1000, 400),
    )
    source = replace(clip, video=replace(clip.video, hdr=hdr))
    plan = planned(
        source,
        "a.mkv",
        tmp_path,
        codec="libx265",
        encoder_options={"x265-params": "ref=2:bframes=3"},
    )
    assert plan.job is not None
    said = plan.job.settings["x265-params"].split(":")
    assert "max-cll=1000,400" in said and said[-2:] == ["ref=2", "bframes=3"]
    av1 = planned(source, "a.webm", tmp_path)
    assert av1.job is not None
    assert "G(0.265,0.69)" in av1.job.settings["svtav1-params"]
    assert "L(1000,0.0001)" in av1.job.settings["svtav1-params"]
    lost = planned(source, "a.mkv", tmp_path, codec="ffv1")
    assert any("HDR10" in loss for loss in lost.losses)


def test_losses_are_named_and_strict_refuses_them(tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "in.mkv",
        frames=4,
        audio="libopus",
        subtitles="ass",
        attachments=[("font.ttf", "font/ttf", b"\0\1\0\0" * 9)],
        chapters=2,
        languages=["und", "jpn", "ger"],
        metadata={"title": "Film", "odd_key": "x"},
    )
    info = probe(source)
    everything = plan_output(info, tmp_path / "out.mkv", 2, OutputOptions(strict=True))
    assert everything.losses == ()
    assert [s.action for s in everything.streams] == [Action.COPY, Action.COPY, Action.ATTACH]

    plan = plan_output(info, tmp_path / "out.mp4", 2)
    fates = {s.stream.codec or s.stream.kind: s for s in plan.streams}
    assert fates["opus"].action is Action.COPY
    assert fates["ass"].action is Action.CONVERT and fates["ass"].codec == "mov_text"
    text = "\n".join(plan.losses)
    assert "ger, ass" in text and "font.ttf" in text and "ODD_KEY" in text
    with pytest.raises(LossError, match=r"font\.ttf"):
        plan_output(info, tmp_path / "out.mp4", 2, OutputOptions(strict=True))

    web = plan_output(info, tmp_path / "out.webm", 2)
    assert [s.action for s in web.streams] == [Action.COPY, Action.CONVERT, Action.DROP]
    stream = plan_output(info, tmp_path / "out.ts", 2)
    assert any("chapters" in loss for loss in stream.losses)
    assert [s.action for s in stream.streams] == [Action.COPY, Action.DROP, Action.DROP]
    assert len(plan.describe()) == 4 and "libx264" in plan.describe()[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mkv"]


def test_uncarried_metadata_and_a_source_read_once_are_losses(clip: MediaInfo, tmp_path: Path) -> None:
    dynamic = replace(clip, video=replace(clip.video, uncarried=("closed captions", "HDR10+")))
    assert planned(dynamic, "a.mkv", tmp_path).losses == ("HDR10+ in the video cannot be carried over",)
    with pytest.raises(LossError, match="HDR10"):
        planned(dynamic, "a.mkv", tmp_path, strict=True)
    assert planned(dynamic, "a.mkv", tmp_path, codec="libx265").losses == ()
    lossless = planned(dynamic, "a.mkv", tmp_path, codec="ffv1").losses
    assert lossless[0] == "closed captions in the video cannot be carried over"
    source = make_clip(tmp_path / "two.mkv", frames=3, audio="aac")
    once = replace(probe(source), seekable=False)
    plan = planned(once, "a.mkv", tmp_path)
    assert [s.action for s in plan.streams] == [Action.DROP]
    assert "only once" in plan.losses[0]


def test_destination_is_checked(clip: MediaInfo, tmp_path: Path) -> None:
    taken = tmp_path / "taken.mkv"
    taken.write_bytes(b"precious")
    (tmp_path / "folder.mkv").mkdir()
    (tmp_path / "file").write_bytes(b"")
    link = tmp_path / "link.mkv"
    link.symlink_to(clip.path)
    hard = tmp_path / "hard.mkv"
    hard.hardlink_to(clip.path)
    cases: list[tuple[Path, dict[str, object], type[ParagonError], str]] = [
        (taken, {}, OutputError, "--overwrite"),
        (tmp_path / "folder.mkv", {"overwrite": True}, OutputError, "is a folder"),
        (tmp_path / "missing" / "a.mkv", {}, OutputError, "does not exist"),
        (tmp_path / "file" / "a.mkv", {}, OutputError, "not a folder"),
        (clip.path, {"overwrite": True}, UsageError, "replace the input"),
        (link, {"overwrite": True}, UsageError, "replace the input"),
        (hard, {"overwrite": True}, UsageError, "replace the input"),
        (clip.path.parent / "." / ".." / clip.path.parent.name / clip.path.name, {}, UsageError, "replace"),
    ]
    for path, options, kind, word in cases:
        with pytest.raises(kind, match=word):
            plan_output(clip, path, 2, OutputOptions(**options))  # type: ignore[arg-type]
    assert taken.read_bytes() == b"precious"
    plan_output(clip, taken, 2, OutputOptions(overwrite=True))
    assert taken.read_bytes() == b"precious"


def test_suffixes_and_ticks() -> None:
    assert container_for(Path("A.MKV")).name == "mkv"
    assert container_for(Path("a.m2ts")).muxer == "mpegts"
    mp4 = next(c for c in CONTAINERS if c.name == "mp4")
    for source in (Fraction(1, 1000), Fraction(1, 90000), Fraction(1001, 30000), Fraction(1, 1_000_000)):
        tick = mp4.video_tick(source)
        assert (source / tick).denominator == 1 and tick <= Fraction(1, 10000)
    assert mp4.video_tick(Fraction(1, 10**9)) == mp4.video_tick(Fraction(1, 10**12)) == Fraction(1, 90000)


def test_pictures_too_small_for_an_encoder(clip: MediaInfo, tmp_path: Path) -> None:
    """SVT-AV1 writes beyond its memory there, and the process ends."""
    small = replace(clip.video, format=replace(clip.video.format, width=4, height=2))
    plan = planned(replace(clip, video=small), "out.webm", tmp_path)
    assert plan.job is not None and plan.job.encoder.name == "libvpx-vp9"
    with pytest.raises(UsageError, match="libsvtav1 cannot encode 8x4"):
        planned(replace(clip, video=small), "out.webm", tmp_path, codec="av1")


@pytest.mark.parametrize(
    ("pixels", "encoder"), [("gbrp", "ffv1"), ("yuv410p", "ffv1"), ("yuv420p", "libx264")]
)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 3), (3, 1), (2, 2), (4, 4)])
def test_the_smallest_pictures(
    clip: MediaInfo, tmp_path: Path, pixels: str, encoder: str, width: int, height: int
) -> None:
    """x265 has a smallest size, FFV1 a smallest size of its slices."""
    like = replace(clip.video.format, width=width, height=height, pixel_format=pixel_format(pixels))
    plan = planned(replace(clip, video=replace(clip.video, format=like)), "out.mkv", tmp_path)
    assert plan.job is not None and plan.job.encoder.name == encoder
