"""The filter and the ready-made script in a real vspipe: right bytes, no deadlock, a clean exit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs
from filter_material import content, make_clip, planes_of
from places import REPOSITORY, SUPPORT

import paragon_stream.vapoursynth as paragon
from paragon_stream.datafiles import data_folder

VSPIPE = Path(vs.__file__).with_name("vspipe.exe" if os.name == "nt" else "vspipe")
SCRIPT_PATH = data_folder("filters") / "paragon.vpy"

SCRIPT = """
import sys
sys.path[:0] = [{repository!r}, {support!r}]
import vapoursynth as vs
from filter_material import make_clip
import paragon_stream.vapoursynth as paragon
clip = make_clip(vs.YUV420P8, 64, 48, length=int(globals().get("length", 24)))
"""


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which vspipe finds this Python, by a configuration of its own."""
    home = tmp_path_factory.mktemp("vapoursynth")
    environment = {**os.environ, "XDG_CONFIG_HOME": str(home), "APPDATA": str(home)}
    environment["PYTHONPATH"] = str(REPOSITORY)
    subprocess.run(
        [sys.executable, "-m", "vapoursynth", "config"], env=environment, check=True, capture_output=True
    )
    return environment


@pytest.fixture
def script(tmp_path: Path) -> Iterator:
    def write(lines: str) -> Path:
        path = tmp_path / "script.vpy"
        path.write_text(SCRIPT.format(repository=str(REPOSITORY), support=str(SUPPORT)) + lines)
        return path

    return write


def vspipe(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[bytes]:
    command = [VSPIPE, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, timeout=240)


@pytest.fixture(scope="module")
def expected() -> bytes:
    """All planes of the first 24 frames, as vspipe writes them."""
    out = paragon.upscale(make_clip(vs.YUV420P8, 64, 48, length=24))
    return b"".join(plane.tobytes() for n in range(24) for plane in planes_of(out, n))


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("", ()),
        ("", ("-r", 1)),
        ("", ("-r", 16)),
        ("vs.core.num_threads = 1", ()),
        ("vs.core.num_threads = 1", ("-r", 16)),
        ("vs.core.num_threads = 7", ()),
    ],
)
def test_every_frame_is_right_and_in_order(environment, script, expected, line, arguments) -> None:
    """Also: an encode never holds a frame that was only scaled, not even its first."""
    done = vspipe(environment, *arguments, script(f"{line}\nparagon.upscale(clip).set_output()"), "-")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == expected


def test_part_of_a_clip(environment, script, expected) -> None:
    done = vspipe(environment, "-s", 5, "-e", 8, script("paragon.upscale(clip).set_output()"), "-")
    size = len(expected) // 24
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == expected[5 * size : 9 * size]


def test_two_outputs_and_filters_around(environment, script, expected) -> None:
    path = script(
        "big = paragon.upscale(clip)\n"
        "big.set_output(0)\n"
        "backwards = paragon.upscale(clip.std.Reverse(), prefetch=1).std.Reverse()\n"
        "vs.core.std.Interleave([big, backwards]).std.SelectEvery(2, 1).set_output(1)\n"
    )
    for output in (0, 1):
        done = vspipe(environment, "-o", output, path, "-")
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == expected


@pytest.mark.timeout(120)
def test_consumer_that_leaves_half_way(environment, script) -> None:
    path = script("paragon.upscale(clip).set_output()")
    process = subprocess.Popen(
        [VSPIPE, "-a", "length=100000", path, "-"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert len(process.stdout.read(50_000)) == 50_000
    process.stdout.close()
    process.communicate(timeout=60)
    assert process.returncode != 0


@pytest.mark.timeout(120)
def test_script_that_is_only_looked_at(environment, script) -> None:
    """`--info` renders nothing: no frame is asked for while a script loads, nothing is compiled."""
    done = vspipe(environment, "--info", script("paragon.upscale(clip).set_output()"), "-")
    assert done.returncode == 0, done.stderr.decode()
    assert b"Width: 128" in done.stdout
    assert b"compiled" not in done.stderr


def test_error_while_playing(environment, script) -> None:
    path = script(
        "bad = clip.std.SetFrameProps(_Matrix=14)\n"
        "clip = clip[:6] + bad[6:]\n"
        "paragon.upscale(clip).set_output()"
    )
    done = vspipe(environment, path, "-")
    assert done.returncode != 0
    assert b"matrix ICTCP is not linear in RGB code values" in done.stderr


class TestReadyMadeScript:
    """filters/paragon.vpy, as vspipe runs it."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        """A lossless file of known content."""
        av = pytest.importorskip("av")
        path = tmp_path / "source.mkv"
        format = vs.core.get_video_format(vs.YUV420P8)
        with av.open(path, "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for n in range(10):
                flat = np.concatenate([plane.ravel() for plane in content(n, format, 64, 48)])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(flat.reshape(72, 64), "yuv420p")))
            container.mux(stream.encode())
        return path

    def test_upscales_a_file(self, environment, source, expected) -> None:
        pytest.importorskip("vapoursynth")
        if not hasattr(vs.core, "bs"):
            pytest.skip("opening files needs BestSource")
        environment = {**environment, "HOME": str(source.parent)}  # BestSource keeps its index there
        done = vspipe(environment, "-a", f"source={source}", SCRIPT_PATH, "-")
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == expected[: len(expected) // 24 * 10]
        done = vspipe(environment, "-a", f"source={source}", "-a", "display=64x48", SCRIPT_PATH, "-")
        format = vs.core.get_video_format(vs.YUV420P8)
        untouched = b"".join(plane.tobytes() for n in range(10) for plane in content(n, format, 64, 48))
        assert done.stdout == untouched

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "say which file to open with  -a source=FILE"),
            (("-a", "source={source}", "-a", "variant=nope"), "there is no variant nope"),
            (("-a", "source={source}", "-a", "varaint=stream"), "there is no option varaint; choose from"),
            (("-a", "source={source}", "-a", "scale=two"), "option scale cannot be 'two'"),
            (("-a", "source={source}", "-a", "display=1920"), "option display cannot be '1920'"),
        ],
    )
    def test_says_what_is_wrong(self, environment, source, arguments, message) -> None:
        environment = {**environment, "HOME": str(source.parent)}
        arguments = [argument.format(source=source) for argument in arguments]
        done = vspipe(environment, *arguments, SCRIPT_PATH, "-")
        assert done.returncode != 0
        assert message in done.stderr.decode()

    @pytest.fixture
    def as_mpv(self, environment, script) -> Callable[..., str]:
        """Runs lines after the script, as mpv runs it for PAL DVD of 16:9: what these print."""

        def run(user_data: str, lines: str, before: str = "") -> str:
            path = script(
                f"{before}\n"
                "video_in = vs.core.std.BlankClip(format=vs.YUV420P8, width=720, height=576, length=2)\n"
                "video_in_dw, video_in_dh, display_res = 1024, 576, [1920, 1080]\n"
                f"user_data = {'engine=null wait=1 ' + user_data!r}\n"
                f"exec(compile({SCRIPT_PATH.read_text('utf-8')!r}, 'paragon.vpy', 'exec'))\n"
                f"{lines}"
            )
            done = vspipe(environment, "-e", 0, path, "--")
            assert done.returncode == 0, done.stderr.decode()
            return done.stderr.decode()

        return run

    @pytest.mark.parametrize(
        ("options", "size"),
        [
            ("to=display", "1350x1080"),  # shown as 1920x1080
            ("to=display fit=crop", "1350x1080"),
            ("to=1080p fit=pad", "1350x1080"),
            ("to=1440x1080 fit=pad", "1012x1080"),
            ("to=1.5", "1080x864"),
            ("to=960x540", "720x576"),  # not larger: passed through
        ],
    )
    def test_sizes_are_those_on_the_screen(self, as_mpv, options: str, size: str) -> None:
        printed = as_mpv(
            options, "made = vs.get_output().clip\nprint(f'{made.width}x{made.height}', file=sys.stderr)"
        )
        assert size in printed.split()

    def test_prefetch_gets_threads(self, as_mpv) -> None:
        before = "vs.core.num_threads = 2"
        show = "print('threads', vs.core.num_threads, file=sys.stderr)"
        assert "threads 2\n" in as_mpv("", show, before)
        assert "threads 9\n" in as_mpv("prefetch=9", show, before)

    @pytest.mark.parametrize(
        ("option", "strength"), [("", 0.4), ("strength=auto", 0.4), ("strength=0", None)]
    )
    def test_strength_of_played_videos(self, as_mpv, option: str, strength: float | None) -> None:
        show = "print(vs.get_output().clip.get_frame(0).props.get('_ParagonStrength'), file=sys.stderr)"
        assert str(strength) in as_mpv(option, show).split()

    def test_warnings_of_other_modules_are_shown(self, as_mpv) -> None:
        log = "print = lambda text, file: sys.stderr.write(f'shown: {text}')\n"
        log += "import logging\nlogging.getLogger('paragon_stream.runtimes').warning('a software GPU')"
        assert "shown: a software GPU" in as_mpv("", log)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_memory_is_flat_over_10000_frames(environment, script) -> None:
    """glibc's heap spreads by steps of some MB, on a busy machine for thousands of frames; if but every tenth
    result stayed, it would be 18 MB."""
    path = script(
        "clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=96, height=64, length=10000, keep=True)\n"
        "paragon.upscale(clip).set_output()\n"
    )
    frame_bytes = 192 * 128 * 3 // 2
    process = subprocess.Popen(
        [VSPIPE, path, "-"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None

    resident = {}
    for frames in range(1, 10_001):
        assert len(process.stdout.read(frame_bytes)) == frame_bytes
        if frames in (5000, 9990):
            status = Path(f"/proc/{process.pid}/status").read_text()
            resident[frames] = int(status.split("VmRSS:")[1].split()[0]) * 1024
    process.stdout.close()
    assert process.wait(60) == 0
    print(f"resident MB: { {frames: size >> 20 for frames, size in resident.items()} }")
    assert resident[9990] - resident[5000] < 4990 * frame_bytes / 12
