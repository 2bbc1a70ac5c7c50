"""Still images to still images: pixels against `Upscaler`, metadata read back by Pillow."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from image_files import ICC, pattern, read, read_png16, save, write_png16
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from paragon_stream import Upscaler, upscale, upscale_images
from paragon_stream.errors import FormatError, InputError, LossError, OutputError, UsageError
from paragon_stream.media.facts.image_kinds import JFIF, SRGB

LOSSLESS_SUFFIXES = [".png", ".tif", ".bmp"]


@pytest.fixture(scope="module")
def upscaled() -> NDArray[np.uint8]:
    return upscale_rgb(pattern())


def upscale_rgb(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width, _ = rgb.shape
    with Upscaler(width=width, height=height, pixel_format="rgb24", color=SRGB, precision="fp32") as up:
        return up(rgb)


def run(source: Path, out: Path, **options: object) -> Path:
    """`engine="null"` where pixels do not matter."""
    upscale_images(source, out, precision="fp32", on_warning=raise_warning, **options)
    return out


def mode(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


def raise_warning(text: str) -> None:
    raise AssertionError(text)


def close(a: NDArray, b: NDArray, *, most: int = 1, share: float = 0.001) -> bool:
    """The same but for values that lie half-way between two codes."""
    difference = np.abs(a.astype(int) - b.astype(int))
    return a.shape == b.shape and difference.max() <= most and (difference > 0).mean() <= share


@pytest.mark.parametrize("suffix", LOSSLESS_SUFFIXES)
def test_lossless_kinds(tmp_path: Path, suffix: str, upscaled: NDArray[np.uint8]) -> None:
    image = Image.fromarray(pattern())
    sources = [save(tmp_path / f"from_{origin[1:]}{origin}", image) for origin in LOSSLESS_SUFFIXES]
    report = upscale_images(sources, tmp_path / "out" / f"*{suffix}", precision="fp32")
    assert not report.failed
    made = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in made] == sorted(f"{path.stem}{suffix}" for path in sources)
    for path in made:
        assert close(read(path), upscaled)


def test_lossless_webp_stays_lossless(tmp_path: Path, upscaled: NDArray[np.uint8]) -> None:
    source = save(tmp_path / "in.webp", Image.fromarray(pattern()), lossless=True, icc=True, orientation=1)
    out = run(source, tmp_path / "out.webp")
    assert b"VP8L" in out.read_bytes()[:1000]
    with Image.open(out) as image:
        assert image.mode == "RGB"
        assert image.info["icc_profile"] == ICC
    assert close(read(out), upscaled)


@pytest.mark.parametrize(("subsampling", "shape"), [("4:4:4", (0, 0)), ("4:2:2", (1, 0)), ("4:2:0", (1, 1))])
def test_jpeg_is_planes_in_planes_out(tmp_path: Path, subsampling: str, shape: tuple[int, int]) -> None:
    """Its own YUV planes, full range, centre-sited chroma, the same subsampling; odd sizes too."""
    source = save(tmp_path / "in.jpg", Image.fromarray(pattern(91, 71)), subsampling=subsampling, quality=97)
    planes, name = decoded(source)
    plain = name.replace("yuvj", "yuv")
    with Upscaler(width=91, height=71, pixel_format=plain, color=JFIF, precision="fp32") as up:
        wanted = up(planes)
    out = run(source, tmp_path / "out.jpg", encoder_options={"quality": "100"})
    found, out_name = decoded(out)
    assert out_name == name
    for plane, want in zip(found, wanted, strict=True):
        assert np.abs(plane.astype(int) - want.astype(int)).max() <= 2  # what quality 100 still loses
    with Image.open(out) as image:
        assert image.layer[0][1:3] == (1 << shape[0], 1 << shape[1])


def decoded(path: Path) -> tuple[tuple[NDArray[np.uint8], ...], str]:
    """The planes of a JPEG by plain FFmpeg, and their format."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        planes = []
        for plane in frame.planes:
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            planes.append(rows[: plane.height, : plane.width].copy())
        return tuple(planes), frame.format.name


def test_png_to_jpeg_and_back_in_color(tmp_path: Path, upscaled: NDArray[np.uint8]) -> None:
    source = save(tmp_path / "in.png", Image.fromarray(pattern()))
    jpeg = run(source, tmp_path / "out.jpg")
    assert np.abs(read(jpeg).astype(int) - upscaled).mean() < 2
    small = save(tmp_path / "in.jpg", Image.fromarray(pattern()), quality=100, subsampling=0)
    back = run(small, tmp_path / "back.png")
    assert np.abs(read(back).astype(int) - upscaled).mean() < 2
    webp = run(source, tmp_path / "out.webp")
    assert np.abs(read(webp).astype(int) - upscaled).mean() < 3


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_gray_stays_gray(tmp_path: Path, suffix: str) -> None:
    source = save(tmp_path / f"in{suffix}", Image.fromarray(pattern()).convert("L"))
    out = run(source, tmp_path / f"out{suffix}", strength=0.0)
    with Image.open(out) as image:
        assert (image.mode, image.size) == ("L", (180, 140))
    with Upscaler(width=90, height=70, pixel_format="gray", color=JFIF, precision="fp32") as up:
        assert close(read(out), up(read(source)), most=8 if suffix == ".jpg" else 1, share=1)


def test_bilevel_becomes_gray_and_palettes_rgb(tmp_path: Path) -> None:
    image = Image.fromarray(pattern())
    one = run(save(tmp_path / "one.png", image.convert("1")), tmp_path / "one_out.png")
    assert mode(one) == "L"
    indexed = image.quantize(16)
    out = run(save(tmp_path / "indexed.png", indexed), tmp_path / "indexed_out.png")
    assert close(read(out), upscale_rgb(np.asarray(indexed.convert("RGB"))))
    clear = run(save(tmp_path / "clear.png", indexed, transparency=3), tmp_path / "clear_out.png")
    assert mode(clear) == "RGBA"
    assert {0, 255} <= set(read(clear)[..., 3].ravel())


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_sixteen_bits_of_png(tmp_path: Path, count: int) -> None:
    """The low byte arrives: no step of the way has eight bits."""
    rng = np.random.default_rng(count)
    smooth = np.linspace(900, 60000, 40 * 30).reshape(30, 40, 1) + rng.integers(0, 200, (30, 40, count))
    samples = smooth.astype(np.uint16)
    source = write_png16(tmp_path / "in.png", samples)
    found = read_png16(run(source, tmp_path / "out.png"))
    colors = samples[..., : 1 if count < 3 else 3]
    name = "gray16le" if count < 3 else "rgb48le"
    with Upscaler(
        width=40, height=30, pixel_format=name, color=JFIF if count < 3 else SRGB, precision="fp32"
    ) as up:
        wanted = up(np.ascontiguousarray(colors[..., 0] if count < 3 else colors))
    assert found.shape == (60, 80, count)
    colors_found = found[..., 0] if count < 3 else found[..., :3]
    assert close(colors_found, wanted, most=3, share=1)
    assert len(np.unique(found & 255)) > 200
    if count in (2, 4):
        alpha = samples[..., -1].astype(float)
        means = found[..., -1].reshape(30, 2, 40, 2).mean(axis=(1, 3))
        assert np.abs(means - alpha)[2:-2, 2:-2].mean() < 60  # the base path: smooth, and the source's mean
        assert len(np.unique(found[..., -1] & 255)) > 200


def test_sixteen_bits_between_png_and_tiff(tmp_path: Path) -> None:
    samples = np.linspace(0, 65535, 40 * 30 * 3).reshape(30, 40, 3).astype(np.uint16)
    source = write_png16(tmp_path / "in.png", samples)
    straight = read_png16(run(source, tmp_path / "straight.png"))
    tiff = run(source, tmp_path / "out.tiff")
    with av.open(str(tiff)) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "rgb48le"
        assert np.array_equal(frame.to_ndarray(), straight)
    again = read_png16(run(tiff, tmp_path / "again.png"))
    assert again.shape == (120, 160, 3)


def test_alpha(tmp_path: Path) -> None:
    rgba = np.dstack([pattern(), np.full((70, 90), 255, np.uint8)])
    rgba[20:50, 30:60, 3] = 0
    for name in ("in.png", "in.tif", "in.webp"):
        save(tmp_path / name, Image.fromarray(rgba), **({"lossless": True} if name == "in.webp" else {}))
        suffix = Path(name).suffix
        out = run(tmp_path / name, tmp_path / f"out{suffix}")
        with Image.open(out) as image:
            found = np.asarray(image.convert("RGBA"))
        assert (found[..., 3] == 255).mean() > 0.75
        assert (found[50:90, 70:110, 3] == 0).all()
        assert (found[:34, :, 3] == 255).all()
        if suffix != ".webp":  # which may change what cannot be seen
            assert close(found[..., :3], upscale_rgb(rgba[..., :3].copy()))
    gray = np.dstack([rgba[..., 0], rgba[..., 3]])
    out = run(save(tmp_path / "la.png", Image.fromarray(gray, "LA")), tmp_path / "la_out.png")
    assert mode(out) == "LA"
    assert np.array_equal(read(out)[..., 1], found[..., 3])


@pytest.mark.parametrize(
    ("suffix", "to"), [(".jpg", ".jpg"), (".png", ".png"), (".tif", ".png"), (".webp", ".bmp")]
)
def test_orientation_is_applied_once(tmp_path: Path, suffix: str, to: str) -> None:
    """The result is upright and says so; what it shows is what viewers show of the source."""
    more = {"lossless": True} if suffix == ".webp" else {"quality": 100} if suffix == ".jpg" else {}
    image = Image.fromarray(pattern(90, 71))
    sources = [save(tmp_path / f"{o}{suffix}", image, orientation=o, **more) for o in range(1, 9)]
    report = upscale_images(
        sources, tmp_path / "out" / f"*{to}", precision="fp32", on_warning=lambda text: None
    )
    assert not report.failed
    for source in sources:
        with Image.open(source) as stored, Image.open(tmp_path / "out" / f"{source.stem}{to}") as out:
            shown = ImageOps.exif_transpose(stored)
            assert out.size == (2 * shown.width, 2 * shown.height)
            assert out.getexif().get(0x0112, 1) == 1
            smooth = np.asarray(out.resize(shown.size, Image.Resampling.BOX)).astype(int)
            assert np.abs(smooth - np.asarray(shown)).mean() < 3


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("origin", [".png", ".jpg", ".webp", ".tif"])
def test_profile_and_exif_arrive(tmp_path: Path, origin: str, suffix: str) -> None:
    source = save(tmp_path / f"in{origin}", Image.fromarray(pattern()), orientation=6, icc=True)
    out = run(source, tmp_path / f"out{suffix}", engine="null")
    with Image.open(out) as image:
        image.load()
        assert image.info["icc_profile"] == ICC
        tags = image.getexif()
        detail, place = tags.get_ifd(0x8769), tags.get_ifd(0x8825)
        assert image.size == (140, 180)
    assert (tags[0x010F], tags[0x0132], tags[0x0112]) == ("Maker", "2024:05:06 07:08:09", 1)
    assert float(detail[0x829A]) == 1 / 250
    assert (detail[0xA002], detail[0xA003]) == (140, 180)
    assert place[1] == "N"


def test_large_profiles_span_jpeg_segments(tmp_path: Path) -> None:
    profile = ICC + np.random.default_rng(1).integers(0, 256, 150_000, np.uint8).tobytes()
    Image.fromarray(pattern(20, 20)).save(tmp_path / "in.png", icc_profile=profile)
    out = run(tmp_path / "in.png", tmp_path / "out.jpg", engine="null")
    with Image.open(out) as image:
        assert image.info["icc_profile"] == profile
    back = run(out, tmp_path / "back.webp", engine="null")
    with Image.open(back) as image:
        assert image.info["icc_profile"] == profile


@pytest.mark.parametrize(
    ("space", "options", "target", "kept"),
    [
        (b"GRAY", {}, "out.png", True),
        (b"GRAY", {}, "out.webp", False),
        (b"RGB ", {}, "out.webp", True),
        (b"RGB ", {"pix_fmt": "gray"}, "out.png", False),
    ],
)
def test_profiles_of_another_colour_space_are_left_out(
    tmp_path: Path, space: bytes, options: dict[str, str], target: str, kept: bool
) -> None:
    profile = bytearray(ICC.ljust(128, b"\0"))
    profile[16:20] = space
    gray = space == b"GRAY"
    picture = Image.fromarray(pattern()[..., 0] if gray else pattern())
    picture.save(tmp_path / "in.png", icc_profile=bytes(profile))
    warnings: list[str] = []
    upscale_images(
        tmp_path / "in.png", tmp_path / target, on_warning=warnings.append, engine="null", **options
    )
    what = "gray" if gray else "RGB"
    lost = [] if kept else [f"in.png: ICC profile (for {what}) cannot be carried over"]
    assert [warning for warning in warnings if "ICC" in warning] == lost
    with Image.open(tmp_path / target) as image:
        assert image.info.get("icc_profile") == (bytes(profile) if kept else None)


def test_losses_are_said_or_refused(tmp_path: Path) -> None:
    rgba = np.dstack([pattern(), np.full((70, 90), 128, np.uint8)])
    source = save(tmp_path / "in.png", Image.fromarray(rgba), icc=True)
    warnings: list[str] = []
    upscale_images(source, tmp_path / "out.jpg", on_warning=warnings.append, engine="null")
    assert warnings == ["in.png: JPEG holds no transparency"]
    upscale_images(source, tmp_path / "out.bmp", on_warning=warnings.append, engine="null")
    assert warnings[1:] == ["in.png: BMP holds no transparency", "in.png: ICC profile cannot be carried over"]
    with pytest.raises(LossError, match="transparency"):
        upscale_images(source, tmp_path / "strict.jpg", strict=True)
    assert not (tmp_path / "strict.jpg").exists()


SRGB_POINTS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


@pytest.mark.parametrize(
    ("chunks", "lost"),
    [
        ({b"cICP": bytes((9, 16, 0, 1))}, "cICP"),  # BT.2020, PQ
        ({b"cICP": bytes((9, 16, 0, 1)), b"sRGB": b"\0"}, "cICP"),
        ({b"gAMA": struct.pack(">I", 100_000)}, "gAMA"),
        ({b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)}, "cHRM"),
        ({b"gAMA": struct.pack(">I", 45_455), b"cHRM": struct.pack(">8I", *SRGB_POINTS)}, ""),
        ({b"gAMA": struct.pack(">I", 100_000), b"sRGB": b"\0"}, ""),
        (
            {b"cICP": bytes((2, 13, 0, 1)), b"gAMA": struct.pack(">I", 45_455)},
            "",
        ),  # FFmpeg's, of the curve alone
        ({b"cICP": bytes((1, 1, 0, 1)), b"gAMA": struct.pack(">I", 50_994)}, ""),  # FFmpeg's, of BT.709
    ],
)
def test_a_colour_space_in_chunks_of_png(tmp_path: Path, chunks: dict[bytes, bytes], lost: str) -> None:
    more = PngInfo()
    for name, body in chunks.items():
        more.add(name, body)
    source = tmp_path / "in_01.png"
    Image.fromarray(pattern(20, 20)).save(source, pnginfo=more)
    for suffix in ("png", "jpg", "webp"):
        (image,) = upscale_images(source, tmp_path / f"out.{suffix}", engine="null").images
        wanted = [f"in_01.png: colour space ({lost}) cannot be carried over"] if lost else []
        assert list(image.warnings) == (wanted if suffix != "png" else [])
    report = upscale(tmp_path / "in_%02d.png", tmp_path / "out.mkv", engine="null", preset="ultrafast")
    wanted = [f"colour spaces ({lost}) of the images are not carried over"] if lost else []
    assert [text for text in report.warnings if "colour space" in text] == wanted


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_damaged_tiff_is_refused(tmp_path: Path, compression: str) -> None:
    """FFmpeg's decoder only logs it."""
    noise = np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)
    path = save(tmp_path / "in.tif", Image.fromarray(noise), compression=compression)
    assert (read(path) == noise).all()
    run(path, tmp_path / "good.png")
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"in\.tif is damaged: "):
        run(path, tmp_path / "out.png")


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    image = Image.fromarray(pattern())
    whole = {
        "cut.png": save(tmp_path / "a.png", image),
        "cut.jpg": save(tmp_path / "a.jpg", image),
        "cut.webp": save(tmp_path / "a.webp", image),
        "cut.tif": save(tmp_path / "a.tif", image, compression="tiff_lzw"),
        "cut.bmp": save(tmp_path / "a.bmp", image),
    }
    for name, path in whole.items():
        data = path.read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(InputError, match="damaged"):
            run(tmp_path / name, tmp_path / "out.png")
    image.save(tmp_path / "jpeg.tif", compression="jpeg")  # FFmpeg returns a black picture
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "film.dpx").write_bytes(b"SDPX" + bytes(2044))
    (tmp_path / "empty.png").touch()
    image.convert("CMYK").save(tmp_path / "cmyk.jpg")
    image.convert("CMYK").save(tmp_path / "cmyk.tif")
    image.save(tmp_path / "moving.webp", save_all=True, append_images=[image.rotate(90)], duration=50)
    for name, kind, word in (
        ("text.png", InputError, "not a PNG, JPEG, WebP, TIFF or BMP image$"),
        ("film.dpx", InputError, "convert it to PNG or TIFF first"),
        ("empty.png", InputError, "empty"),
        ("missing.png", InputError, "not exist"),
        ("cmyk.jpg", FormatError, "CMYK"),
        ("cmyk.tif", FormatError, "CMYK"),
        ("jpeg.tif", FormatError, "TIFF with JPEG inside"),
        ("moving.webp", InputError, "animation"),
    ):
        with pytest.raises(kind, match=word):
            run(tmp_path / name, tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
    assert not list(tmp_path.glob(".*"))


def test_content_decides_not_the_name(tmp_path: Path, upscaled: NDArray[np.uint8]) -> None:
    Image.fromarray(pattern()).save(tmp_path / "liar.jpg", format="PNG")
    assert close(read(run(tmp_path / "liar.jpg", tmp_path / "out.png")), upscaled)


def test_options(tmp_path: Path) -> None:
    source = save(tmp_path / "in.png", Image.fromarray(pattern()))
    small = run(source, tmp_path / "small.jpg", encoder_options={"quality": "30"}, pix_fmt="yuv420p")
    large = run(source, tmp_path / "large.jpg", encoder_options={"quality": "99"})
    assert small.stat().st_size * 3 < large.stat().st_size
    assert decoded(small)[1] == "yuvj420p"
    assert read_png16(run(source, tmp_path / "deep.png", pix_fmt="rgb48le")).shape == (140, 180, 3)
    for out, options in (
        ("x.jpg", {"encoder_options": {"quality": "200"}}),
        ("x.jpg", {"encoder_options": {"shine": "1"}}),
        ("x.png", {"encoder_options": {"shine": "1"}}),
        ("x.jpg", {"pix_fmt": "yuv420p10le"}),
        ("x.xyz", {}),
    ):
        with pytest.raises(UsageError):
            run(source, tmp_path / out, **options)
    assert not list(tmp_path.glob("x.*"))


def test_too_large_is_said_before_the_work(tmp_path: Path) -> None:
    source = save(tmp_path / "wide.png", Image.new("L", (9000, 2)))
    with pytest.raises(FormatError, match="16383"):
        run(source, tmp_path / "out.webp")
    with pytest.raises(OutputError, match="overwrite"):
        run(source, save(tmp_path / "there.png", Image.new("L", (2, 2))))
    with pytest.raises(UsageError, match="replace the input"):
        run(source, source, overwrite=True)
