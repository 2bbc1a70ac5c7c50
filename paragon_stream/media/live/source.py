"""Parses the name of a live source into FFmpeg's URL, format and options.

| name | source |
|---|---|
| `screen`, `:0.0` | the screen: x11grab, on Windows gdigrab, on macOS avfoundation |
| `/dev/video0`, `camera`, `camera:1`, `video=NAME` | a capture device: v4l2, dshow, avfoundation |
| `/dev/v4l/by-id/…`, a link to a device | the same, on Linux |
| `rtmp://…`, `rtsp://…`, `udp://…`, `http://….m3u8` | a network stream |
| `-` | standard input |
| anything else, `file:///…` | a file, played at its own speed, or a named pipe |

Only the X11 screen, streams, pipes and files have been tested; the devices follow FFmpeg's manuals.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.request import url2pathname

from paragon_stream.errors import UsageError
from paragon_stream.media.facts.rate import parse_rate
from paragon_stream.media.live.input_options import check_input_options
from paragon_stream.media.live.names import shown_name
from paragon_stream.media.source.opened import ffmpeg_name
from paragon_stream.options.live import TIMEOUT, CaptureOptions

SCREEN_RATE = 30
"""Default rate of screen capture, frames per second."""
RECONNECT = 30.0
"""Default of `--reconnect` for network sources, seconds."""

_DISPLAY = re.compile(r"[\w.-]*:\d+(\.\d+)?$")
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_REGION = re.compile(r"(?P<width>\d+)x(?P<height>\d+)(?:\+(?P<x>\d+)\+(?P<y>\d+))?$")
_LISTENERS = ("rtmp", "tcp", "http")
_LOOK_MICROSECONDS = "1000000"
"""Length of the part that FFmpeg analyses before the first picture; its default of 5 s is too long."""


class Kind(Enum):
    """Kinds of sources, as messages name them."""

    SCREEN = "screen"
    DEVICE = "capture device"
    NETWORK = "network stream"
    PIPE = "pipe"
    FILE = "file"


@dataclass(frozen=True, kw_only=True)
class Region:
    """A part of a screen, pixels."""

    width: int
    height: int
    x: int = 0
    y: int = 0

    @classmethod
    def parse(cls, text: str) -> Region:
        """WxH or WxH+X+Y. Raises UsageError."""
        match = _REGION.match(text)
        if match is None or not int(match["width"]) or not int(match["height"]):
            raise UsageError(f"{text!r} is not a region: give WIDTHxHEIGHT+X+Y, such as 1280x720+0+0")
        return cls(**{name: int(value) for name, value in match.groupdict(default="0").items()})


@dataclass(frozen=True, kw_only=True)
class LiveSource:
    """A live source. `url` and `format` are FFmpeg's; `name` has no passwords or keys."""

    name: str
    kind: Kind
    url: str
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    paced: bool | None = None
    listen: bool = False
    timeout: float = TIMEOUT
    reconnect: float = 0.0


def find_source(address: str, wanted: CaptureOptions, platform: str) -> LiveSource:
    """Parse the user's text `address` for `platform` (`sys.platform`). Opens nothing.

    Raises UsageError for options that a source of this kind does not have.
    """
    address = without_scheme(address)
    scheme = _URL.match(address)
    if _is_device(address, platform):
        kind = Kind.DEVICE
    elif address == "screen" or _DISPLAY.match(address):
        kind = Kind.SCREEN
    elif scheme:
        kind = Kind.NETWORK
    elif address == "-" or stat.S_ISFIFO(_mode(address)):
        kind = Kind.PIPE
    else:
        kind = Kind.FILE
    _check(address, kind, wanted, scheme["scheme"].lower() if scheme else "")
    url, format, options = {
        Kind.SCREEN: _screen,
        Kind.DEVICE: _device,
        Kind.NETWORK: _network,
        Kind.PIPE: _stream,
        Kind.FILE: _stream,
    }[kind](address, wanted, platform)
    reconnect = wanted.reconnect
    if reconnect is None:
        reconnect = RECONNECT if kind is Kind.NETWORK else 0.0
    elif kind in (Kind.FILE, Kind.PIPE):
        reconnect = 0.0  # --reconnect then applies to the output only: these sources end
    return LiveSource(
        name={"-": "standard input"}.get(address, shown_name(address)),
        kind=kind,
        url=url,
        format=wanted.input_format or format,
        options={**options, **(wanted.input_options or {})},
        paced=False if kind in (Kind.SCREEN, Kind.DEVICE) else wanted.paced,
        listen=wanted.listen,
        timeout=wanted.timeout,
        reconnect=reconnect,
    )


def without_scheme(address: str) -> str:
    """The path that `file://…` names; any other `address` as it is. Raises UsageError if it names none."""
    if not address.lower().startswith("file://"):
        return address
    host, slash, path = address[len("file://") :].partition("/")
    if host.lower() not in ("", "localhost") or not path:
        raise UsageError(f"{address} names no file of this machine: give its path alone")
    return url2pathname(slash + path)


def _is_device(address: str, platform: str) -> bool:
    if address == "camera" or address.startswith(("camera:", "/dev/video", "/dev/v4l/", "video=")):
        return True
    # Also by a name of the user's own, such as a link that udev makes.
    return platform not in ("win32", "darwin") and stat.S_ISCHR(_mode(address))


def _mode(address: str) -> int:
    """The kind and the permissions of the file `address`, as in `os.stat_result`; 0 if there is none."""
    try:
        return Path(address).stat().st_mode
    except (OSError, ValueError):
        return 0


def _check(address: str, kind: Kind, wanted: CaptureOptions, scheme: str) -> None:
    name = shown_name(address)
    if wanted.region is not None and kind is not Kind.SCREEN:
        raise UsageError(f"--region is for screens: {name} is a {kind.value}")
    if not wanted.cursor and kind is not Kind.SCREEN:
        raise UsageError(f"--no-cursor is for screens: {name} is a {kind.value}")
    if wanted.listen and scheme not in _LISTENERS:
        raise UsageError(f"--listen is for {', '.join(f'{each}://' for each in _LISTENERS)}; not for {name}")
    raw = wanted.input_format is not None
    if kind not in (Kind.SCREEN, Kind.DEVICE) and not raw:
        for value, option in (
            (wanted.input_size, "--input-size"),
            (wanted.fps, "--fps"),
            (wanted.input_pix_fmt, "--input-pix-fmt"),
        ):
            if value is not None:
                raise UsageError(f"{option} is for screens, devices and raw video (--input-format rawvideo)")
    if wanted.input_size is not None and kind is Kind.SCREEN:
        raise UsageError("--input-size is for devices: of a screen, --region WxH+X+Y is captured")
    if wanted.input_size is not None:
        Region.parse(wanted.input_size)
    check_input_options(wanted.input_options or {})
    if wanted.reconnect is not None and not wanted.reconnect >= 0:  # also NaN
        raise UsageError(f"--reconnect takes seconds, or 0 for no attempts: not {wanted.reconnect:g}")
    if not wanted.timeout > 0:
        raise UsageError(f"--timeout takes seconds, more than 0: not {wanted.timeout:g}")


def _given(**options: object) -> dict[str, str]:
    return {name: str(value) for name, value in options.items() if value is not None}


def _screen(address: str, wanted: CaptureOptions, platform: str) -> tuple[str, str, dict[str, str]]:
    region = None if wanted.region is None else Region.parse(wanted.region)
    size = None if region is None else f"{region.width}x{region.height}"
    options = _given(framerate=parse_rate(wanted.fps) or SCREEN_RATE)
    if platform == "win32":
        options |= _given(video_size=size, draw_mouse=int(wanted.cursor))
        if region is not None:
            options |= _given(offset_x=region.x, offset_y=region.y)
        return "desktop", "gdigrab", options
    if platform == "darwin":
        if region is not None:
            raise UsageError("--region is not supported on macOS: avfoundation captures whole screens")
        return "Capture screen 0:none", "avfoundation", options | _given(capture_cursor=int(wanted.cursor))
    options |= _given(video_size=size, draw_mouse=int(wanted.cursor))
    # The header has all facts, so FFmpeg does not need to analyse, and delay, any frames.
    options |= {"probesize": "32", "analyzeduration": "0"}
    if region is not None:
        options |= _given(grab_x=region.x, grab_y=region.y)
    return "" if address == "screen" else address, "x11grab", options


def _device(address: str, wanted: CaptureOptions, platform: str) -> tuple[str, str, dict[str, str]]:
    options = _given(video_size=wanted.input_size, framerate=parse_rate(wanted.fps))
    number = address.partition(":")[2] or "0"
    if platform == "win32":
        if not address.startswith("video="):
            raise UsageError(f"on Windows a device is named as in video=NAME, not {address}")
        return address, "dshow", options | _given(pixel_format=wanted.input_pix_fmt, rtbufsize="64M")
    if platform == "darwin":
        name = address.removeprefix("video=") if address.startswith("video=") else number
        return f"{name}:none", "avfoundation", options | _given(pixel_format=wanted.input_pix_fmt)
    if address.startswith("video="):
        raise UsageError(f"on Linux a device is named as in /dev/video0, not {address}")
    path = f"/dev/video{number}" if address.partition(":")[0] == "camera" else address
    return path, "v4l2", options | _given(input_format=wanted.input_pix_fmt)


def _network(address: str, wanted: CaptureOptions, platform: str) -> tuple[str, None, dict[str, str]]:
    scheme = address.partition("://")[0].lower()
    options = {"analyzeduration": _LOOK_MICROSECONDS}
    if wanted.listen:
        options["listen"] = "1"
    if scheme == "rtsp":
        options["rtsp_transport"] = "tcp"  # over UDP, FFmpeg's default, every lost packet damages pictures
    if scheme == "udp":
        options["overrun_nonfatal"] = "1"
    return address, None, options | _raw(wanted)


def _stream(address: str, wanted: CaptureOptions, platform: str) -> tuple[str, None, dict[str, str]]:
    return "pipe:0" if address == "-" else ffmpeg_name(Path(address)), None, _raw(wanted)


def _raw(wanted: CaptureOptions) -> dict[str, str]:
    return _given(
        video_size=wanted.input_size, framerate=parse_rate(wanted.fps), pixel_format=wanted.input_pix_fmt
    )
