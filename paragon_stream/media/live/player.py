"""The window: mpv, which plays a stream from a pipe."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from paragon_stream.errors import OutputError, reason
from paragon_stream.frame import ChromaLocation, ColorRange, Family, FrameFormat, Matrix, Primaries, Transfer
from paragon_stream.media.encode.outpipe import OutPipe
from paragon_stream.media.facts import side_data

_CLOSE_SECONDS = 3.0
_CLOSING = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP) if os.name == "posix" else ()
"""Signals by which users, and `Player.close`, end a player."""
_MATRICES: dict[int, str] = {
    Matrix.BT709: "bt.709",
    Matrix.BT470BG: "bt.601",
    Matrix.SMPTE170M: "bt.601",
    Matrix.SMPTE240M: "smpte-240m",
    Matrix.BT2020_NCL: "bt.2020-ncl",
}
_PRIMARIES: dict[int, str] = {
    Primaries.BT709: "bt.709",
    Primaries.BT470BG: "bt.601-625",
    Primaries.SMPTE170M: "bt.601-525",
    Primaries.BT2020: "bt.2020",
}
_GAMMAS: dict[int, str] = {Transfer.PQ: "pq", Transfer.HLG: "hlg"}
_LOCATIONS = {
    ChromaLocation.LEFT: "mpeg2/4/h264",
    ChromaLocation.CENTER: "mpeg1/jpeg",
    ChromaLocation.TOPLEFT: "uhd",
}
"""H.273 code points → names of mpv's filter `format`."""


def find_player(wanted: str | None) -> str:
    """The path of the player: `wanted`, or the installed mpv. Raises OutputError."""
    found = shutil.which(wanted or "mpv")
    if found is None:
        missing = f"{wanted} is not installed" if wanted else "mpv, which shows the window, is not installed"
        raise OutputError(
            f"{missing}: install mpv (https://mpv.io), name it with --player, or name an output"
        )
    return found


def player_arguments(
    format: FrameFormat, *, title: str, sound: bool, matrix: Sequence[int] | None = None
) -> list[str]:
    """Options of mpv, without its input: show every frame at once, even before its time, without sound; the
    colours; and the rotation (the display `matrix`)."""
    arguments = [
        "--profile=low-latency",
        "--cache=no",
        "--demuxer=lavf",
        "--demuxer-lavf-format=nut",
        "--demuxer-lavf-probesize=32",
        "--no-input-terminal",
        "--msg-level=all=error",
        "--force-window=yes",
        "--keep-open=no",
        "--idle=no",
        f"--title={title}",
    ]
    if not sound:
        arguments.append("--untimed")
    filters = [f"format={_colors(format)}"] if format.pixel_format.family is Family.YUV else []
    if matrix is not None:
        mirrored, degrees = side_data.turn(matrix)
        filters += ["hflip"] if mirrored else []
        arguments.append(f"--video-rotate={degrees}")
    if filters:
        arguments.append(f"--vf={','.join(filters)}")
    return arguments


def _colors(format: FrameFormat) -> str:
    """Colour options of mpv: NUT does not store colour tags."""
    color = format.color
    options = {
        "colormatrix": _MATRICES.get(color.matrix, "auto"),
        "colorlevels": "full" if color.range is ColorRange.FULL else "limited",
        "primaries": _PRIMARIES.get(color.primaries, "auto"),
        "gamma": _GAMMAS.get(color.transfer, "auto"),
        "chroma-location": _LOCATIONS.get(color.chroma_location, "unknown"),
    }
    return ":".join(f"{key}={value}" for key, value in options.items())


class Player:
    """A running player. Write NUT into `pipe`; `close` it.

    Raises OutputError if it cannot be started.
    """

    def __init__(self, program: str, arguments: Sequence[str]) -> None:
        self._name = Path(program).name
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        reading, writing = os.pipe()
        self._input = os.fdopen(writing, "wb", buffering=0)
        # mpv closes its standard input when it finds no GPU and tries the screen without X. So it reads from
        # another descriptor of the same pipe.
        posix = os.name == "posix"
        try:
            self._process = subprocess.Popen(
                [program, *arguments, f"fd://{reading}" if posix else "-"],
                stdin=reading,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                pass_fds=(reading,) if posix else (),
            )
        except OSError as error:
            self._input.close()
            self._said.close()
            raise OutputError(f"{program} cannot be started: {reason(error)}") from error
        finally:
            os.close(reading)
        self.pipe = OutPipe(self._input)

    def close(self, *, gone: bool) -> str:
        """End the player. If it is `gone` by itself, returns why it failed; else "" (closing the window is no
        failure)."""
        self.pipe.close()
        with contextlib.suppress(OSError):
            self._input.close()
        try:
            self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_CLOSE_SECONDS)
            self._process.kill()
            self._process.wait()
        self._said.seek(0)
        words = [line.strip() for line in self._said if line.strip()]
        self._said.close()
        code = self._process.returncode
        if not gone or code in (0, 4) or -code in _CLOSING:  # 4: quit by a signal
            return ""
        how = f"failed with exit code {code}" if code > 0 else f"crashed ({signal.strsignal(-code)})"
        return f"{self._name} {how}" + (f": {words[-1]}" if words else "")
