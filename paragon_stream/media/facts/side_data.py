"""Parses FFmpeg's binary side data of a video stream.

Layouts are those of FFmpeg's headers display.h, mastering_display_metadata.h, dovi_meta.h and defs.h; all
are native-endian C structs that FFmpeg promises not to reorder.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import av
from av.sidedata.sidedata import Type

from paragon_stream.errors import FormatError
from paragon_stream.media.facts.hdr10_plus import windows
from paragon_stream.media.facts.info import HdrMetadata
from paragon_stream.media.timecode import Timecode

_IDENTITY = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)

STEREO = "stereo 3D packing"
CAPTIONS = "closed captions"
HDR10_PLUS = "HDR10+"
_STEREO_MODES = {(1, 0): "left_right", (1, 1): "right_left", (2, 0): "top_bottom", (2, 1): "bottom_top"}
"""(AVStereo3D's type, whether the right view comes first) → Matroska's `stereo_mode`."""

_UNCARRIED_FRAMES = {
    Type.A53_CC: CAPTIONS,
    Type.DYNAMIC_HDR_PLUS: HDR10_PLUS,
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid",
    Type.DOVI_RPU_BUFFER: "Dolby Vision",
    Type.DOVI_METADATA: "Dolby Vision",
    Type.STEREO3D: STEREO,
    Type.SPHERICAL: "spherical projection",
}
_UNCARRIED_STREAMS = {
    "dovi_conf": "Dolby Vision",
    "dynamic_hdr10_plus": HDR10_PLUS,
    "a53_cc": CAPTIONS,
    "stereo_3d": STEREO,
    "spherical": "spherical projection",
}


def is_readable(codec: str) -> bool:
    """Whether the side data of a codec's frames can be read: not PNG's.

    PyAV 19 frees the metadata of side data twice, which crashes the process; only PNG's ICC profiles have
    such metadata.
    """
    return codec not in ("png", "apng")


def readable(frames: Sequence[av.VideoFrame], codec: str) -> Sequence[av.VideoFrame]:
    """The frames whose side data can be read."""
    return frames if is_readable(codec) else ()


def display_matrix(context: av.VideoCodecContext, frame: av.VideoFrame | None) -> tuple[int, ...] | None:
    """Nine fixed-point integers (16.16, the last of each row 2.30); None if the picture is upright."""
    data = context.coded_side_data.get("display_matrix") or frame_data(frame, Type.DISPLAYMATRIX)
    if data is None or len(data) < 36:
        return None
    matrix = struct.unpack_from("=9i", data)
    return None if matrix == _IDENTITY or not any(matrix[:6]) else matrix


def turn(matrix: Sequence[int]) -> tuple[bool, int]:
    """The effect of a display matrix: whether it mirrors left to right, and the rotation after that, in
    degrees clockwise.

    The rows of the matrix are the images of the vectors (1, 0) and (0, 1) (libavutil/display.h).
    """
    (right_x, right_y), (down_x, down_y) = matrix[0:2], matrix[3:5]
    mirrored = right_x * down_y - right_y * down_x < 0
    angle = math.degrees(math.atan2(right_y, right_x)) + (180 if mirrored else 0)
    return mirrored, round(angle) % 360


def hdr_metadata(context: av.VideoCodecContext, frame: av.VideoFrame | None) -> HdrMetadata | None:
    """HDR10 static metadata of the frame, or else of the container; None if there is none."""
    stream = context.coded_side_data
    mastering = frame_data(frame, Type.MASTERING_DISPLAY_METADATA) or stream.get("mastering_display_metadata")
    light = frame_data(frame, Type.CONTENT_LIGHT_LEVEL) or stream.get("content_light_level")
    display = _mastering_display(mastering) if mastering else None
    levels = struct.unpack_from("=2I", light) if light and len(light) >= 8 else None
    if levels == (0, 0):
        levels = None  # both "unknown"
    if display is None and levels is None:
        return None
    return HdrMetadata(mastering_display=display, content_light=levels)


def uncarried_mastering(context: av.VideoCodecContext, frame: av.VideoFrame | None) -> tuple[str, ...]:
    """A name for mastering display metadata without primaries or luminance, which encoders do not accept;
    else empty."""
    data = frame_data(frame, Type.MASTERING_DISPLAY_METADATA)
    data = data or context.coded_side_data.get("mastering_display_metadata")
    if data is None or len(data) < 88 or _mastering_display(data) is not None:
        return ()
    flags = struct.unpack_from("=22i", data)[20:22]
    return ("an incomplete mastering display",) if any(flags) else ()


def _mastering_display(data: bytes) -> str | None:
    """AVMasteringDisplayMetadata: ten rationals (R, G, B, white x, y; min, max luminance), two flags."""
    if len(data) < 88:
        return None
    numbers = struct.unpack_from("=22i", data)
    has_primaries, has_luminance = numbers[20:22]
    if not (has_primaries and has_luminance) or 0 in numbers[1:20:2]:
        return None
    values = [numbers[i] / numbers[i + 1] for i in range(0, 20, 2)]
    red, green, blue, white = [
        (round(values[i] * 50000), round(values[i + 1] * 50000)) for i in range(0, 8, 2)
    ]
    dark, bright = round(values[8] * 10000), round(values[9] * 10000)
    points = "".join(
        f"{name}({x},{y})"
        for name, (x, y) in zip(("G", "B", "R", "WP"), (green, blue, red, white), strict=True)
    )
    return f"{points}L({bright},{dark})"


def container_crop(context: av.VideoCodecContext) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) columns and rows that the container crops; mostly zeros."""
    data = context.coded_side_data.get("frame_cropping")
    if not data or len(data) < 16:
        return 0, 0, 0, 0
    top, bottom, left, right = struct.unpack_from("=4I", data)
    return left, top, right, bottom


def stereo_mode(context: av.VideoCodecContext, frame: av.VideoFrame | None) -> str:
    """Matroska's `stereo_mode` of a frame with two views; "" for one view, and for interleaved lines, whose
    neighbouring pixels belong to different views."""
    data = context.coded_side_data.get("stereo_3d") or frame_data(frame, Type.STEREO3D)
    if data is None or len(data) < 8:
        return ""
    kind, flags = struct.unpack_from("=ii", data)
    return _STEREO_MODES.get((kind, flags & 1), "")


def timecode(frames: Sequence[av.VideoFrame], rate: Fraction | None) -> str:
    """The SMPTE timecode (ST 12-1) of the first frame: "01:02:03:04", or with ";" where numbers are dropped.

    "" if it is zero or does not advance with the frames, because such times mean nothing.
    """
    found = [frame_data(frame, Type.S12M_TIMECODE) for frame in frames]
    if len(frames) < 2 or rate is None or not all(data and len(data) >= 8 for data in found):
        return ""
    times = [_timecode(int.from_bytes(data[4:8], sys.byteorder), round(rate)) for data in found if data]
    rising = all(a < b for a, b in pairwise(times))
    return str(times[0]) if rising and not times[0].is_zero else ""


def _timecode(bits: int, nominal: int) -> Timecode:
    """AV_FRAME_DATA_S12M_TIMECODE: decimal digits of frames, seconds, minutes, hours, with flags between."""
    fields = (bits >> 24 & 0x3F, bits >> 16 & 0x7F, bits >> 8 & 0x7F, bits & 0x3F)
    frames, seconds, minutes, hours = ((field >> 4) * 10 + (field & 15) for field in fields)
    if nominal > 30:  # two frames have the same number, and a flag
        frames = 2 * frames + (bits >> (7 if nominal == 50 else 23) & 1)
    return Timecode.counted(hours, minutes, seconds, frames, drop=bool(bits >> 30 & 1), nominal=nominal)


def uncarried_in_frames(frames: Sequence[av.VideoFrame]) -> tuple[str, ...]:
    """Names of the frames' side data that not every output can hold, or none."""
    found = {
        _UNCARRIED_FRAMES[kind] for frame in frames for kind in frame.side_data if kind in _UNCARRIED_FRAMES
    }
    if HDR10_PLUS in found and any(
        windows(data) > 1 for frame in frames if (data := frame_data(frame, Type.DYNAMIC_HDR_PLUS))
    ):
        found.add(f"{HDR10_PLUS} with several windows")
    return tuple(sorted(found))


def uncarried_in_stream(context: av.VideoCodecContext) -> tuple[str, ...]:
    """The same for the stream's header."""
    return tuple(
        sorted({_UNCARRIED_STREAMS[key] for key in context.coded_side_data if key in _UNCARRIED_STREAMS})
    )


def refuse_dolby_vision_5(context: av.VideoCodecContext) -> None:
    """Raise FormatError for Dolby Vision with an IPT-PQ-c2 base layer: profile 5, and 10 without a compatible
    base.

    Its code values are not R'G'B' under any matrix; without the RPU the colours are wrong.
    """
    record = context.coded_side_data.get("dovi_conf")
    if not record or len(record) < 8:
        return
    profile, compatibility = record[2], record[7]
    if profile == 5 or (profile in (10, 20) and compatibility == 0):
        raise FormatError(
            f"the video is Dolby Vision profile {profile}, whose base layer has no standard colours; "
            "convert it to HDR10 first"
        )


def frame_data(frame: av.VideoFrame | None, kind: Type) -> bytes | None:
    """The bytes of a frame's side data; None if it has none of this kind."""
    found = None if frame is None else frame.side_data.get(kind)
    return None if found is None else bytes(found)
